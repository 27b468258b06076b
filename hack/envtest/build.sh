#!/usr/bin/env bash
# Builds kube-apiserver and etcd for the tests, from the module versions that go.mod beside this file pins,
# and prints the folder that contains them. If KUBEBUILDER_ASSETS names a folder, the script prints that
# one and builds nothing.
#
#   build.sh            build what is missing, print the folder
#   build.sh --folder   print the folder, build nothing
#
# With KUBERNETES=oldest it builds the kube-apiserver of the oldest Kubernetes that is supported, which
# oldest/go.mod pins.
#
# The binaries are outside the tree, in one folder for each pair of versions:
# $XDG_CACHE_HOME/gatehouse/envtest/VERSIONS. With an empty Go cache a build takes 7 to 10 minutes on two
# cores and about 150 MB. The script does not build binaries that exist.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

pinned() { awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2; exit }' "${2:-.}/go.mod"; }
modules=.
[ "${KUBERNETES:-newest}" = oldest ] && modules=oldest
kubernetes=$(pinned k8s.io/kubernetes "$modules")
etcd=$(pinned go.etcd.io/etcd/server/v3)
folder=${KUBEBUILDER_ASSETS:-${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/envtest/$kubernetes-etcd-$etcd}

# build MODULES NAME PACKAGE LDFLAGS compiles into a temporary file first, so that no one starts a partial
# binary.
build() {
  local modules=$1 name=$2 package=$3 ldflags=$4 packages
  [ -x "$folder/$name" ] && return
  packages=$(go -C "$modules" list -deps "$package" | wc -l)
  echo "building $name: up to $((packages)) packages, then the link" >&2
  CGO_ENABLED=0 go -C "$modules" build -v -trimpath -ldflags "$ldflags" -o "$folder/.$name.$$" "$package" 2>&1 | progress
  mv "$folder/.$name.$$" "$folder/$name"
}

# progress prints errors and counts the packages that go build -v names.
progress() {
  awk '/^[A-Za-z0-9_.\/-]+$/ { if (++n % 100 == 0) print "  " n " packages compiled"; next } !/^go: downloading/ { print }' >&2
}

if [ -z "${KUBEBUILDER_ASSETS:-}" ] && [ "${1:-}" != --folder ]; then
  mkdir -p "$folder"
  if ! [ -x "$folder/etcd" ] || ! [ -x "$folder/kube-apiserver" ]; then
    echo "building the API server for tests into $folder: several minutes the first time, and only once for $kubernetes" >&2
  fi
  release=${kubernetes#v}
  minor=${release#*.}
  # Without the stamp the server reports v0.0.0-master, which kubectl and client libraries cannot parse.
  stamp=k8s.io/component-base/version
  build . etcd go.etcd.io/etcd/server/v3 "-s -w"
  build "$modules" kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver \
    "-s -w -X $stamp.gitVersion=$kubernetes -X $stamp.gitMajor=${release%%.*} -X $stamp.gitMinor=${minor%%.*}"
fi
echo "$folder"
