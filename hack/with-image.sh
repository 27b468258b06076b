#!/usr/bin/env bash
# Prints a kustomization with the image replaced. It does not change the tree.
# usage: hack/with-image.sh KUSTOMIZE IMAGE FOLDER
# IMAGE is NAME:TAG, NAME@DIGEST or NAME:TAG@DIGEST.
set -euo pipefail
cd "$(dirname "$0")/.."
kustomize=$1 image=$2 folder=$3

# kustomize accepts only relative paths, so the overlay is inside the tree.
mkdir -p bin
overlay=$(mktemp -d bin/overlay.XXXXXX)
trap 'rm -rf "$overlay"' EXIT

digest=${image#"${image%%@*}"}
digest=${digest#@}
name=${image%%@*}
tag=${name##*:}
case $tag in */* | "$name") tag='' ;; esac
if [ -z "$tag$digest" ]; then
	echo "with-image: $image has neither tag nor digest; use NAME:TAG or NAME@DIGEST" >&2
	exit 1
fi
cat >"$overlay/kustomization.yaml" <<-EOF
	resources: [../../$folder]
	images: [{name: ghcr.io/gatehouse-auth/gatehouse, newName: "${name%:"$tag"}", newTag: "$tag", digest: "$digest"}]
EOF
"$kustomize" build "$overlay"
