#!/usr/bin/env bash
# Prints a kustomization with the image replaced. It does not change the tree.
# usage: hack/with-image.sh KUSTOMIZE IMAGE FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
kustomize=$1 image=$2 folder=$3

# kustomize accepts only relative paths, so the overlay is inside the tree.
mkdir -p bin
overlay=$(mktemp -d bin/overlay.XXXXXX)
trap 'rm -rf "$overlay"' EXIT

tag=${image##*:}
case $tag in */* | "$image") echo "with-image: $image has no tag; use NAME:TAG" >&2 && exit 1 ;; esac
cat >"$overlay/kustomization.yaml" <<-EOF
	resources: [../../$folder]
	images: [{name: ghcr.io/gatehouse-auth/gatehouse, newName: "${image%:*}", newTag: "$tag"}]
EOF
"$kustomize" build "$overlay"
