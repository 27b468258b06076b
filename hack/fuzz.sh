#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time, one after the other.
# usage: hack/fuzz.sh 20s
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:?give the time for each target, such as 20s}

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# fuzz runs one target. When the time is up while a worker is busy, Go may report the end of its own
# context as a failure, without any input that fails (https://go.dev/issue/75804). Such a run is
# repeated, at most twice; every other failure counts.
fuzz() {
	local try
	for try in 1 2 3; do
		go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "./$1" 2>&1 | tee "$output" && return
		grep -q '^    context deadline exceeded$' "$output" && ! grep -q 'Failing input' "$output" || break
		echo "repeating $2: its time ended without a finding (try $try)"
	done
	return 1
}

# Compile only folders with a target.
folders=$(git ls-files -co --exclude-standard '*_test.go' | xargs grep -l '^func Fuzz' | xargs -rn 1 dirname | sort -u)
for folder in $folders; do
	for target in $(go test -list '^Fuzz' "./$folder" | grep '^Fuzz'); do
		echo "== $folder $target for $time"
		fuzz "$folder" "$target"
	done
done
