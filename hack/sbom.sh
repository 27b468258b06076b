#!/usr/bin/env bash
# Writes the modules of a binary, with their licences, as CycloneDX. It has no serial number, time or path, so
# that the same binary has the same SBOM.
# usage: hack/sbom.sh VERSION BINARY OUTPUT
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?give the version} binary=${2:?give the binary} output=${3:?give the file to write}

# A build does not need all files of a module, so the cache may lack some. This compares them with go.sum.
go version -m "$binary" | awk '$1 == "dep" { print $2 "@" $3 }' | xargs go mod download

# The tool asks for modules outside of this one, where there is no go.sum. From the cache alone it gets what
# was compared above. It warns that the cache has neither this module nor the standard library.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cyclonedx=$(GOFLAGS=-trimpath go tool -modfile=hack/tools/sbom/go.mod -n cyclonedx-gomod)
GOPROXY=off GOSUMDB=off "$cyclonedx" bin -json -licenses -std -noserial -notimestamp \
	-version "$version" -output "$output" "$binary" 2>"$log" || { cat "$log" >&2 && exit 1; }
if sed 's/\x1b\[[0-9;]*m//g' "$log" | grep --invert-match --extended-regexp "module=($(go list -m)|std)@" >&2; then
	echo "sbom: $output does not have the licences of these modules" >&2
	exit 1
fi
