"""The calls of Python programs with requests, to both APIs. The environment has URL, CA, LOGIN and PASSWORD."""
import json
import os
import sys

import requests

session = requests.Session()
login, password = os.environ["LOGIN"], os.environ["PASSWORD"]


def expect(status, what, response):
    if response.status_code != status:
        sys.exit(f"{what}: answered {response.status_code} {response.text}, want {status}")
    return response


def call(method, path, **options):
    # REQUESTS_CA_BUNDLE would prevail over the same setting of the session.
    return session.request(method, os.environ["URL"] + path, verify=os.environ["CA"], **options)


# A string as data has no Content-Type.
body = json.dumps({"login": login, "password": password, "label": "script"})
token = expect(200, "a login without a type", call("POST", "/rbac-api/v1/auth/token", data=body)).json()["token"]
again = expect(200, "a repeated label", call("POST", "/auth/token", json={"login": login, "password": password, "label": "script"}))
if again.json() != {"token": token}:
    sys.exit("a repeated label gets another token")

current = "/rbac-api/v1/users/current"
expect(200, "a token in the header", call("GET", current, headers={"X-Authentication": token}))
expect(200, "an empty header and a query", call("GET", current, params={"token": token}, headers={"X-Authentication": ""}))
expect(200, "the suffix of consoles", call("GET", current, headers={"X-Authentication": token + "|no_keepalive"}))
expect(415, "a form", call("POST", "/rbac-api/v1/auth/token", data={"login": login, "password": password}))
expect(400, "an unknown key", call("POST", "/rbac-api/v1/auth/token", json={"login": login, "password": password, "ttl": 1}))

garbage = expect(400, "a garbage token", call("DELETE", "/rbac-api/v2/tokens/garbage", headers={"X-Authentication": token})).json()
if not isinstance(garbage["details"], dict):
    sys.exit(f"a garbage token is answered with {garbage}")
expect(204, "a revocation", call("DELETE", "/rbac-api/v2/tokens", params={"revoke_tokens_by_labels": "script"}, headers={"X-Authentication": token}))
expect(401, "a revoked token", call("GET", current, headers={"X-Authentication": token}))

# Redis clients send no body, or a lifetime with a parameter in the type.
jwt = expect(200, "a login without a body", call("POST", "/v1/users/authorize", auth=(login, password))).json()["access_token"]
typed = {"Content-Type": "application/json;charset=utf-8"}
expect(200, "a lifetime", call("POST", "/v1/users/authorize?dry_run", auth=(login, password), data='{"ttl": 60}', headers=typed))
expect(200, "credentials in the body are ignored", call(
    "POST", "/v1/users/authorize", auth=(login, password), json={"username": "other", "password": "x", "ttl": 60}))
expect(401, "credentials in the body alone", call("POST", "/v1/users/authorize", json={"username": login, "password": password}))
for scheme in "JWT", "Bearer":
    fresh = expect(200, "a refresh", call("POST", "/v1/users/refresh_jwt", headers={"Authorization": f"{scheme} {jwt}"})).json()
expect(204, "a revocation of a JWT", call("DELETE", "/rbac-api/v2/tokens/" + jwt))
expect(401, "a refresh of a revoked token", call("POST", "/v1/users/refresh_jwt", headers={"Authorization": "JWT " + jwt}))
expect(200, "the other token", call("POST", "/v1/users/refresh_jwt", headers={"Authorization": "JWT " + fresh["access_token"]}))
