#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time, one after the other.
# usage: hack/fuzz.sh 20s
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:?give the time for each target, such as 20s}

# Compile only folders with a target.
folders=$(git ls-files -co --exclude-standard '*_test.go' | xargs grep -l '^func Fuzz' | xargs -rn 1 dirname | sort -u)
for folder in $folders; do
	for target in $(go test -list '^Fuzz' "./$folder" | grep '^Fuzz'); do
		echo "== $folder $target for $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$folder"
	done
done
