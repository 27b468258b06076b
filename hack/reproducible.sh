#!/usr/bin/env bash
# Builds the image and the chart from two copies of the tree in different folders and compares the bytes: of
# the binary, of the image with its SBOM, and of the package of the chart.
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
	git ls-files -co --exclude-standard -z | tar --create --null --files-from - --ignore-failed-read | tar --extract --touch --directory "$1"
	if [ -n "${REPRODUCIBLE_COLD:-}" ]; then export GOCACHE="$1.cache"; fi
	make -C "$1" image package-chart VERSION="$version" IMAGE=reproducible.test/gatehouse:1 IMAGE_PLATFORMS="linux/$2" SOURCE_DATE_EPOCH=0 >/dev/null
}

for architecture; do
	one=$work/one/$architecture another=$work/another/folder/$architecture
	(build_copy "$one" "$architecture")
	(build_copy "$another" "$architecture")
	cmp "$one/bin/image/linux_$architecture/gatehouse" "$another/bin/image/linux_$architecture/gatehouse"
	diff --recursive "$one/dist" "$another/dist"
	echo "$architecture: binary $(sha256sum <"$one/bin/image/linux_$architecture/gatehouse" | cut -d' ' -f1), image $(cat "$one/dist/image.digest")"
done
