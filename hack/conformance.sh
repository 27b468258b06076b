#!/usr/bin/env bash
# Starts the binary standalone on a free port in a folder of its own, and runs a conformance runner against it.
# usage: hack/conformance.sh BINARY FOLDER [runner flags]
# FOLDER contains the users in named/users.yaml, and the runner's module in run/.
set -euo pipefail
binary=$(realpath "${1:?give the binary}")
cases=$(realpath "${2:?give the folder of the conformance cases}")
shift 2

work=$(mktemp -d)
server=
cleanup() {
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT

taken() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_port prints the first of three consecutive free ports.
free_port() {
	local port
	while port=$((20000 + RANDOM % 10000)); taken "$port" || taken $((port + 1)) || taken $((port + 2)); do :; done
	echo "$port"
}

wait_ready() {
	for _ in $(seq 300); do
		curl --silent --fail --output /dev/null "$1" && return
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	echo "the server did not become ready; its output:" >&2
	cat "$work/log" >&2
	return 1
}

mkdir "$work/manifests"
cp "$cases/named/users.yaml" "$work/manifests"
(cd "$cases/run" && go build -o "$work/runner" .)

port=$(free_port)
"$binary" serve --manifests "$work/manifests" --state-dir "$work/state" --bind-address "127.0.0.1:$port" \
	--health-probe-bind-address "127.0.0.1:$((port + 1))" --metrics-bind-address "127.0.0.1:$((port + 2))" >"$work/log" 2>&1 &
server=$!
wait_ready "http://127.0.0.1:$((port + 1))/readyz"

cd "$cases/run"
"$work/runner" -url "https://127.0.0.1:$port" -ca "$work/state/ca.crt" \
	-manifests "$work/manifests" "$@"
