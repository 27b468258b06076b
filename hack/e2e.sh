#!/usr/bin/env bash
# Runs the end-to-end tests on the cluster that KUBECONFIG names.
# usage: hack/e2e.sh [IMAGE]
# With IMAGE, the nodes must already have that image and CLIENT_IMAGE. Without it, the script builds static
# binaries, puts them into images and loads these: with LOAD_IMAGE (a command that takes a binary and a
# name), or with docker and kind. E2E_ARGS are arguments for go test.
set -euo pipefail
cd "$(dirname "$0")/.."

kind_load() { # BINARY NAME
	local folder
	folder=$(mktemp -d)
	cp "$1" "$folder/"
	printf 'FROM scratch\nCOPY %s /\nUSER 65532:65532\nENTRYPOINT ["/%s"]\n' "${1##*/}" "${1##*/}" >"$folder/Dockerfile"
	docker build --quiet --tag "$2" "$folder"
	kind load docker-image "$2"
	rm -r "$folder"
}

build_and_load() {
	make build
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/e2e-client ./test/e2e/client
	# shellcheck disable=SC2086 # a command with arguments
	${LOAD_IMAGE:-kind_load} bin/gatehouse "$IMAGE"
	${LOAD_IMAGE:-kind_load} bin/e2e-client "$CLIENT_IMAGE"
}

export IMAGE=${1:-ghcr.io/gatehouse-auth/gatehouse:e2e}
export CLIENT_IMAGE=${CLIENT_IMAGE:-ghcr.io/gatehouse-auth/e2e-client:e2e}
[ $# -gt 0 ] || build_and_load
# shellcheck disable=SC2086 # several arguments
GATEHOUSE_E2E=1 go test ./test/e2e -count=1 -timeout 60m -v ${E2E_ARGS:-}
