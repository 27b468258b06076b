#!/usr/bin/env bash
# Builds the binary from two copies of the tree in different folders and compares the bytes.
# usage: hack/reproducible.sh VERSION [ARCHITECTURE...]
# The builds share the compiler's cache. Anything that would differ between folders is compiled again for
# each, because the folder is then part of the cache key. REPRODUCIBLE_COLD=1 gives each build an empty
# cache of its own, which takes minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?give the version}
shift
[ $# -gt 0 ] || set -- "$(go env GOARCH)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build_copy() { # FOLDER ARCHITECTURE
	mkdir -p "$1"
	git ls-files -co --exclude-standard -z | tar --create --null --files-from - --ignore-failed-read | tar --extract --directory "$1"
	if [ -n "${REPRODUCIBLE_COLD:-}" ]; then export GOCACHE="$1.cache"; fi
	GOARCH=$2 make -C "$1" build VERSION="$version" >/dev/null
}

for architecture; do
	(build_copy "$work/one/$architecture" "$architecture")
	(build_copy "$work/another/folder/$architecture" "$architecture")
	cmp "$work/one/$architecture/bin/gatehouse" "$work/another/folder/$architecture/bin/gatehouse"
	echo "$architecture: $(sha256sum <"$work/one/$architecture/bin/gatehouse" | cut -d' ' -f1)"
done
