#!/usr/bin/env bash
# Installs the programs that the tests beside this file run, and prints the folders that hold them,
# separated by colons. Debian's programs come from its packages, which takes root if one is missing.
# Go's are built from the versions that programs/*/go.mod pin, and npm installs the libraries of
# node/package-lock.json.
#
# What is built is outside the tree, in one folder for each pin:
# $XDG_CACHE_HOME/gatehouse/foreign/PROGRAM-VERSION. With empty caches this takes half an hour on two
# cores. The script does not build what exists. If BUILD_UNTIL is set, it ends a build at that time (in
# seconds since 1970), and leaves out the program and those after it; the tests skip them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gatehouse/foreign

# debian FILE PACKAGE... names the packages that the machine lacks if it lacks the file.
missing=()
debian() {
  [ -e "$1" ] || missing+=("${@:2}")
}

# install_missing does not let the packages start their daemons, which would take the ports of others.
install_missing() {
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "these Debian packages are missing: ${missing[*]}; install them, or run this as root" >&2
    return 1
  fi
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ca-certificates >&2
}

# pin PROGRAM prints the package and the version that its go.mod pins.
pin() {
  awk '
    $1 == "tool" { tool = $2 }
    $1 == "require" && $2 != "(" { version[$2] = $3 }
    $2 ~ /^v[0-9]/ { version[$1] = $2 }
    END { for (module in version) if (index(tool "/", module "/") == 1) print tool, version[module] }' "programs/$1/go.mod"
}

# build PROGRAM [FLAG...] compiles into a temporary file first, so that no one starts a partial binary.
folders=
build() {
  local name=$1 package version folder
  read -r package version < <(pin "$name")
  folder=$cache/$name-$version
  folders+=$folder:
  [ -x "$folder/$name" ] && return
  echo "building $name $version: several minutes the first time" >&2
  mkdir -p "$folder"
  local left=$((${BUILD_UNTIL:-9999999999} - $(date +%s))) status=0
  [ "$left" -gt 0 ] && CGO_ENABLED=0 timeout "$left" \
    go -C "programs/$name" build -trimpath -ldflags '-s -w' "${@:2}" -o "$folder/.$name.$$" "$package" >&2 || status=$?
  if [ "$left" -le 0 ] || [ "$status" = 124 ]; then
    echo "left out $name: there was no time to build it; make test-foreign builds and runs it" >&2
    return
  fi
  [ "$status" = 0 ] || return "$status"
  mv "$folder/.$name.$$" "$folder/$name"
}

# libraries installs those of Node.js, in one folder for each lock file.
libraries() {
  local folder
  folder=$cache/node-$(cksum <node/package-lock.json | cut -d' ' -f1)
  folders+=$folder:
  [ -e "$folder/node_modules/.package-lock.json" ] && return
  echo "installing the libraries of Node.js" >&2
  mkdir -p "$folder"
  cp node/package.json node/package-lock.json "$folder"
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund >&2)
}

debian /usr/bin/caddy caddy
debian /usr/sbin/haproxy haproxy
debian /usr/sbin/apache2 apache2
debian /usr/lib/apache2/modules/mod_auth_openidc.so libapache2-mod-auth-openidc
debian /usr/sbin/nginx nginx-light
debian /usr/bin/curl curl
debian /usr/bin/ruby ruby
debian /usr/lib/python3/dist-packages/requests python3-requests
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
install_missing
build caddy
build oauth2-proxy
build opa
build prometheus -tags remove_all_sd
build traefik
libraries
echo "${folders%:}"
