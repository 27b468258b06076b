# The calls that Puppet's pages print for curl. The environment has URL, CA, LOGIN and PASSWORD.
set -euo pipefail

call() {
  curl --silent --show-error --cacert "$CA" --output answer --write-out '%{http_code}' "$@"
}

expect() {
  local want=$1 what=$2 got
  got=$(call "${@:3}")
  if [ "$got" != "$want" ]; then
    echo "$what: answered $got $(cat answer), want $want" >&2
    exit 1
  fi
}

login() {
  expect 200 "a login" -X POST -H 'Content-Type: application/json' "$URL/rbac-api/v1/auth/token${2:-}" \
    -d "{\"login\": \"$LOGIN\", \"password\": \"$PASSWORD\", \"lifetime\": \"4h\"$1}"
  token=$(cut -d '"' -f 4 answer)
}

cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT

login ', "label": "provision-time token"'
labelled=$token
login ', "label": "provision-time token"'
[ "$token" = "$labelled" ] || { echo "a repeated label gets another token" >&2; exit 1; }

login '' '?trace=1'
expect 200 "a token in the header" -H "X-Authentication: $token" "$URL/rbac-api/v1/users/current"
expect 200 "an empty header and a token in the query" -H 'X-Authentication;' "$URL/rbac-api/v1/users/current?token=$token"
expect 401 "an empty header alone" -H 'X-Authentication;' "$URL/rbac-api/v1/users/current"
expect 200 "a token made from a token" -X POST -H "X-Authentication: $token" -H 'Content-Type: application/json' \
  "$URL/rbac-api/v1/tokens" -d '{"description": "pipeline", "client": "curl"}'
made=$(cut -d '"' -f 4 answer)

expect 200 "the check of a token" -X POST -H 'Content-Type: application/json' "$URL/rbac-api/v2/auth/token/authenticate" \
  -d "{\"token\": \"$made\", \"update_last_activity?\": false}"
grep -q "\"login\":\"$LOGIN\"" answer || { echo "the check answers $(cat answer)" >&2; exit 1; }

# curl sends a body of DELETE as a form unless told otherwise.
expect 204 "a revocation with a body" -X DELETE -H "X-Authentication: $token" "$URL/rbac-api/v2/tokens" \
  -d "{\"revoke_tokens\": [\"$made\"]}"
expect 401 "a revoked token" -H "X-Authentication: $made" "$URL/rbac-api/v1/users/current"
expect 403 "the check of a revoked token" -X POST -H 'Content-Type: application/json' \
  "$URL/rbac-api/v2/auth/token/authenticate" -d "{\"token\": \"$made\", \"update_last_activity?\": false}"

expect 204 "a revocation by label" -X DELETE -H "X-Authentication: $token" \
  "$URL/rbac-api/v2/tokens?revoke_tokens_by_labels=provision-time%20token"
expect 401 "a token whose label is revoked" -H "X-Authentication: $labelled" "$URL/rbac-api/v1/users/current"
expect 400 "a stray parameter of a revocation" -X DELETE -H "X-Authentication: $token" \
  "$URL/rbac-api/v2/tokens?revoke_tokens_by_labels=none&force=true"

expect 204 "a revocation by the token itself" -X DELETE "$URL/rbac-api/v2/tokens/$token"
expect 401 "a token that revoked itself" -H "X-Authentication: $token" "$URL/rbac-api/v1/users/current"
