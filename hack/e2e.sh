#!/usr/bin/env bash
# Runs the end-to-end tests on the cluster that KUBECONFIG names.
# usage: hack/e2e.sh [IMAGE]
# With IMAGE, the nodes must already have that image and CLIENT_IMAGE. Without it, the script builds both
# without a container engine and loads them: with LOAD_ARCHIVE (a command that takes an archive of docker
# save, by default that of kind), or with LOAD_IMAGE (a command that takes a binary and a name, and makes the
# image itself). E2E_ARGS are arguments for go test.
set -euo pipefail
cd "$(dirname "$0")/.."

architecture=$(go env GOARCH)

load_archive() { # FILE
	# shellcheck disable=SC2086 # a command with arguments
	${LOAD_ARCHIVE:-kind load image-archive} "$1"
}

build_and_load() {
	CGO_ENABLED=0 GOOS=linux go -C test/e2e/client build -trimpath -buildvcs=false -o "$PWD/bin/e2e-client" .
	if [ -n "${LOAD_IMAGE:-}" ]; then
		make build
		# shellcheck disable=SC2086 # a command with arguments
		$LOAD_IMAGE bin/gatehouse "$IMAGE"
		# shellcheck disable=SC2086 # as above
		$LOAD_IMAGE bin/e2e-client "$CLIENT_IMAGE"
		return
	fi
	make image IMAGE="$IMAGE" IMAGE_PLATFORMS="linux/$architecture"
	go -C hack/image run . archive -name "$CLIENT_IMAGE" -out "$PWD/bin/e2e-client.tar" "$PWD/bin/e2e-client"
	load_archive "dist/gatehouse-image_linux_$architecture.tar"
	load_archive bin/e2e-client.tar
}

export IMAGE=${1:-ghcr.io/gatehouse-auth/gatehouse:e2e}
export CLIENT_IMAGE=${CLIENT_IMAGE:-ghcr.io/gatehouse-auth/e2e-client:e2e}
[ $# -gt 0 ] || build_and_load
# shellcheck disable=SC2086 # several arguments
GATEHOUSE_E2E=1 go test ./test/e2e -count=1 -timeout 60m -v ${E2E_ARGS:-}
