#!/usr/bin/env bash
# Prints what CHANGELOG.md says about a version, without the heading.
# usage: hack/release-notes.sh VERSION
# A version that is not in the file is an error, so that nothing is released without a word about it.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?give the version, such as v1.2.3}

notes=$(awk -v heading="## [${version#v}]" '
	/^## / { on = index($0, heading) == 1; next }
	/^\[[^]]*\]: / { next }
	on' CHANGELOG.md)
if [ -z "${notes//[[:space:]]/}" ]; then
	echo "release-notes: CHANGELOG.md has nothing under \"## [${version#v}]\"; rename Unreleased" >&2
	exit 1
fi
printf '%s\n' "$notes"
