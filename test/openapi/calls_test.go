package openapi_test

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// redisCalls provoke each answer of the API of Redis Enterprise.
func redisCalls(w *world) []call {
	const authorize, refresh = "POST /v1/users/authorize", "POST /v1/users/refresh_jwt"
	return []call{
		{operation: authorize, status: 200, service: w.Service, headers: []string{basic("ada")}},
		{operation: authorize, status: 200, service: w.Service, body: `{"ttl":60}`, headers: []string{jsonType, basic("ada")}},
		{operation: authorize, status: 400, service: w.Service, body: `{"ttl":0}`, headers: []string{jsonType, basic("ada")}},
		{operation: authorize, status: 401, service: w.Service},
		{operation: authorize, status: 401, service: w.Service, headers: []string{basic("paula")}},
		{operation: authorize, status: 409, service: w.patient, headers: []string{basic("rita")}, every: time.Second},
		{operation: authorize, status: 413, service: w.Service, body: large, headers: []string{jsonType, basic("ada")}},
		{operation: authorize, status: 429, service: w.patient, headers: []string{basic("tom")}},
		{operation: authorize, status: 503, service: w.unsynced, headers: []string{basic("ada")}},

		{operation: refresh, status: 200, service: w.Service, headers: []string{"Authorization: JWT " + w.jwt}},
		{operation: refresh, status: 400, service: w.Service, body: `[]`, headers: []string{jsonType, bearer(w.jwt)}},
		{operation: refresh, status: 401, service: w.Service, headers: []string{bearer(w.opaque)}},
		{operation: refresh, status: 401, service: w.Service, headers: []string{bearer(w.stale)}},
		{operation: refresh, status: 409, service: w.patient, headers: []string{bearer(w.patientJWT["rosa"])}, every: time.Second},
		{operation: refresh, status: 413, service: w.Service, body: large, headers: []string{jsonType, bearer(w.jwt)}},
		{operation: refresh, status: 429, service: w.patient, headers: []string{bearer(w.patientJWT["theo"])}},
		{operation: refresh, status: 503, service: w.unsynced, headers: []string{bearer(w.jwt)}},
	}
}

// loginCalls provoke each answer of the two addresses at which Puppet's clients log in.
func loginCalls(w *world) (out []call) {
	const ada = `{"login":"ada","password":"correct horse"}`
	for _, operation := range []string{"POST /rbac-api/v1/auth/token", "POST /auth/token"} {
		out = append(out, []call{
			{operation: operation, status: 200, service: w.Service, body: ada, headers: []string{jsonType}},
			{operation: operation, status: 400, service: w.Service, body: `{`, headers: []string{jsonType}},
			{operation: operation, status: 400, service: w.Service, body: `{"login":"ada"}`, headers: []string{jsonType}},
			{operation: operation, status: 401, service: w.Service, body: `{"login":"ada","password":"wrong"}`, headers: []string{jsonType}},
			{operation: operation, status: 401, service: w.Service, body: `{"login":"victor","password":"correct horse"}`, headers: []string{jsonType}},
			{
				operation: operation, status: 409, service: w.Service, numbered: true, headers: []string{jsonType},
				body: `{"login":"lena","password":"correct horse","label":"#"}`,
			},
			{operation: operation, status: 413, service: w.Service, body: large, headers: []string{jsonType}},
			{operation: operation, status: 415, service: w.Service, body: ada, headers: []string{formType}},
			{
				operation: operation, status: 429, service: w.Service, headers: []string{jsonType},
				body: `{"login":"tom","password":"correct horse","lifetime":"2d"}`,
			},
			{operation: operation, status: 503, service: w.unsynced, body: ada, headers: []string{jsonType}},
		}...)
	}
	return out
}

// generateCalls provoke each answer to a request for a token with a token.
func generateCalls(w *world) []call {
	const generate = "POST /rbac-api/v1/tokens"
	calls := []call{
		{operation: generate, status: 200, service: w.Service, headers: []string{authentication(w.admin)}},
		{operation: generate, status: 200, service: w.Service, body: `{"label":"ci"}`, headers: []string{jsonType, authentication(w.admin)}},
		{operation: generate, status: 400, service: w.Service, body: `{`, headers: []string{jsonType, authentication(w.admin)}},
		{operation: generate, status: 400, service: w.Service, body: `{"label":" "}`, headers: []string{jsonType, authentication(w.admin)}},
		{operation: generate, status: 409, service: w.Service, body: `{"label":"#"}`, numbered: true, headers: []string{jsonType, authentication(w.tokens["liam"])}},
		{operation: generate, status: 413, service: w.Service, body: large, headers: []string{jsonType, authentication(w.admin)}},
		{operation: generate, status: 415, service: w.Service, body: `{}`, headers: []string{formType, authentication(w.admin)}},
		{operation: generate, status: 429, service: w.Service, body: `{"lifetime":"2d"}`, headers: []string{jsonType, authentication(w.tokens["tilda"])}},
		{operation: generate, status: 503, service: w.unsynced, headers: []string{authentication(w.admin)}},
	}
	return append(calls, tokenRefusals(w, generate, "")...)
}

// tokenRefusals provoke each refusal of the token that a request comes with.
func tokenRefusals(w *world, operation, path string) (out []call) {
	out = []call{{operation: operation, status: 401, service: w.Service, path: path}}
	for _, text := range []string{w.ended, "garbage", w.expired, w.revoked} {
		out = append(out, call{operation: operation, status: 401, service: w.Service, path: path, headers: []string{authentication(text)}})
	}
	return out
}

// readCalls provoke each answer of the routes that describe users and list tokens.
func readCalls(w *world) []call {
	const current, list = "GET /rbac-api/v1/users/current", "GET /rbac-api/v1/users/{id}/tokens"
	own := "/rbac-api/v1/users/" + servertest.UID("ada") + "/tokens"
	ada, admin := []string{authentication(w.opaque)}, []string{authentication(w.admin)}
	calls := []call{
		{operation: current, status: 200, service: w.Service, headers: ada},
		{operation: current, status: 200, service: w.Service, path: "/rbac-api/v1/users/current?token=" + w.admin},
		{operation: current, status: 503, service: w.unsynced, headers: ada},

		{operation: list, status: 200, service: w.Service, path: own, headers: ada},
		{operation: list, status: 200, service: w.Service, path: own + "?limit=1&offset=1&order=desc&order_by=client", headers: admin},
		{operation: list, status: 400, service: w.Service, path: "/rbac-api/v1/users/ada/tokens", headers: ada},
		{operation: list, status: 400, service: w.Service, path: own + "?limit=-1", headers: ada},
		{operation: list, status: 403, service: w.Service, path: "/rbac-api/v1/users/" + someone + "/tokens", headers: ada},
		{operation: list, status: 404, service: w.Service, path: "/rbac-api/v1/users/" + someone + "/tokens", headers: admin},
		{operation: list, status: 503, service: w.unsynced, path: own, headers: ada},
	}
	calls = append(calls, tokenRefusals(w, current, "")...)
	return append(calls, tokenRefusals(w, list, own)...)
}

// examinationCalls provoke each answer to the question whether a token is good.
func examinationCalls(w *world) []call {
	const ask = "POST /rbac-api/v2/auth/token/authenticate"
	about := func(text string) string { return `{"token":"` + text + `","update_last_activity?":false}` }
	return []call{
		{operation: ask, status: 200, service: w.Service, body: about(w.opaque), headers: []string{jsonType}},
		{operation: ask, status: 200, service: w.Service, body: about(w.jwt), headers: []string{jsonType}},
		{operation: ask, status: 400, service: w.Service, body: `{`, headers: []string{jsonType}},
		{operation: ask, status: 400, service: w.Service, body: `{}`, headers: []string{jsonType}},
		{operation: ask, status: 400, service: w.Service, body: about("garbage"), headers: []string{jsonType}},
		{operation: ask, status: 403, service: w.Service, body: about(w.expired), headers: []string{jsonType}},
		{operation: ask, status: 403, service: w.Service, body: about(w.revoked), headers: []string{jsonType}},
		{operation: ask, status: 403, service: w.Service, body: about(w.ended), headers: []string{jsonType}},
		{operation: ask, status: 413, service: w.Service, body: large, headers: []string{jsonType}},
		{operation: ask, status: 415, service: w.Service, body: about(w.opaque), headers: []string{formType}},
		{operation: ask, status: 503, service: w.unsynced, body: about(w.opaque), headers: []string{jsonType}},
	}
}

// revocationCalls provoke each answer of the two routes of Puppet that revoke.
func revocationCalls(w *world) []call {
	const many, one = "DELETE /rbac-api/v2/tokens", "DELETE /rbac-api/v2/tokens/{token}"
	ada := []string{authentication(w.opaque)}
	path := func(text string) string { return "/rbac-api/v2/tokens/" + text }
	calls := []call{
		{operation: many, status: 204, service: w.Service, body: `{"revoke_tokens":["` + w.revoked + `"]}`, headers: ada},
		{operation: many, status: 204, service: w.Service, path: "/rbac-api/v2/tokens?revoke_tokens=" + w.revoked, headers: ada},
		{operation: many, status: 400, service: w.Service, headers: ada},
		{
			operation: many, status: 400, service: w.Service, headers: []string{authentication(w.admin)},
			body: `{"revoke_tokens":["x"],"revoke_tokens_by_usernames":["nobody",""],"revoke_tokens_by_labels":[""],"revoke_tokens_by_ids":["?"],"other":1}`,
		},
		{
			operation: many, status: 403, service: w.Service, headers: ada,
			body: `{"revoke_tokens_by_usernames":["root"],"revoke_tokens_by_ids":["` + servertest.UID("root") + `"]}`,
		},
		{operation: many, status: 413, service: w.Service, body: large, headers: ada},
		{operation: many, status: 429, service: w.Service, body: `{"revoke_tokens_by_labels":["none"]}`, headers: []string{authentication(w.tokens["toni"])}},
		{operation: many, status: 503, service: w.unsynced, body: `{"revoke_tokens":["` + w.revoked + `"]}`, headers: ada},

		{operation: one, status: 204, service: w.Service, path: path(w.revoked)},
		{operation: one, status: 400, service: w.Service, path: path("garbage")},
		{operation: one, status: 413, service: w.Service, path: path(w.revoked), body: large},
		{operation: one, status: 429, service: w.Service, path: path("#"), tokens: w.many["tess"]},
		{operation: one, status: 503, service: w.unsynced, path: path(w.revoked)},
	}
	return append(calls, tokenRefusals(w, many, "")...)
}

// statusCalls provoke each answer of the routes that describe the service.
func statusCalls(w *world) (out []call) {
	for operation, path := range map[string]string{
		"GET /status/v1/simple":             "/status/v1/simple",
		"GET /status/v1/simple/{service}":   "/status/v1/simple/rbac-service",
		"GET /status/v1/services":           "/status/v1/services",
		"GET /status/v1/services/{service}": "/status/v1/services/rbac-service",
	} {
		out = append(out,
			call{operation: operation, status: 200, service: w.Service, path: path},
			call{operation: operation, status: 503, service: w.unsynced, path: path})
	}
	return append(out,
		call{operation: "GET /status/v1/services", status: 200, service: w.Service, path: "/status/v1/services?level=critical&timeout=1"},
		call{operation: "GET /status/v1/services", status: 400, service: w.Service, path: "/status/v1/services?level=high"},
		call{operation: "GET /status/v1/services/{service}", status: 400, service: w.Service, path: "/status/v1/services/rbac-service?timeout=0"},
		call{operation: "GET /status/v1/services/{service}", status: 404, service: w.Service, path: "/status/v1/services/other"},
		call{operation: "GET /status/v1/simple/{service}", status: 404, service: w.Service, path: "/status/v1/simple/other"},
	)
}

// oauthCalls provoke each answer of OAuth but those about a submitted token.
func oauthCalls(w *world) []call {
	const keys, issue, follow = "GET /.well-known/jwks.json", "POST /oauth2/token", "GET /oauth2/revocations"
	client := form("grant_type", "client_credentials")
	exchange := form("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", w.assertion,
		"subject_token_type", "urn:ietf:params:oauth:token-type:jwt")
	return []call{
		{operation: "GET /.well-known/openid-configuration", status: 200, service: w.Service},
		{operation: "GET /.well-known/oauth-authorization-server", status: 200, service: w.Service},
		{operation: keys, status: 200, service: w.Service},
		{operation: keys, status: 503, service: w.keyless},

		{operation: issue, status: 200, service: w.Service, body: client, headers: []string{formType, basic("ada")}},
		{operation: issue, status: 200, service: w.Service, body: exchange, headers: []string{formType}},
		{operation: issue, status: 400, service: w.Service, headers: []string{formType, basic("ada")}},
		{operation: issue, status: 400, service: w.Service, body: form("grant_type", "password", "username", "ada", "password", "wrong"), headers: []string{formType, basic("root")}},
		{operation: issue, status: 400, service: w.Service, body: form("grant_type", "client_credentials", "audience", "other"), headers: []string{formType, basic("ada")}},
		{operation: issue, status: 400, service: w.Service, body: form("grant_type", "implicit"), headers: []string{formType, basic("ada")}},
		{operation: issue, status: 401, service: w.Service, body: client, headers: []string{formType}},
		{operation: issue, status: 409, service: w.patient, body: client, headers: []string{formType, basic("rolf")}, every: time.Second},
		{operation: issue, status: 413, service: w.Service, body: large, headers: []string{formType, basic("ada")}},
		{operation: issue, status: 429, service: w.patient, body: client, headers: []string{formType, basic("tina")}},
		{operation: issue, status: 503, service: w.unsynced, body: client, headers: []string{formType, basic("ada")}},

		{operation: follow, status: 200, service: w.Service, headers: []string{bearer(w.admin)}},
		{operation: follow, status: 200, service: w.Service, headers: []string{basic("root"), "Prefer: wait=0"}},
		{operation: follow, status: 400, service: w.Service, path: "/oauth2/revocations?wait=soon", headers: []string{bearer(w.admin)}},
		{operation: follow, status: 401, service: w.Service},
		{operation: follow, status: 401, service: w.Service, headers: []string{bearer("garbage")}},
		{operation: follow, status: 503, service: w.unsynced, headers: []string{bearer(w.admin)}},
	}
}

// submissionCalls provoke each answer of the routes of OAuth that take a token.
func submissionCalls(w *world) (out []call) {
	const introspect, revoke = "POST /oauth2/introspect", "POST /oauth2/revoke"
	good := form("token", w.revoked)
	for _, operation := range []string{introspect, revoke} {
		out = append(out, []call{
			{operation: operation, status: 200, service: w.Service, body: good, headers: []string{formType, basic("root")}},
			{operation: operation, status: 400, service: w.Service, headers: []string{formType, basic("root")}},
			{operation: operation, status: 401, service: w.Service, body: good, headers: []string{formType}},
			{operation: operation, status: 401, service: w.Service, body: good, headers: []string{formType, bearer("garbage")}},
			{operation: operation, status: 413, service: w.Service, body: large, headers: []string{formType, bearer(w.admin)}},
			{operation: operation, status: 503, service: w.unsynced, body: good, headers: []string{formType, bearer(w.admin)}},
		}...)
	}
	return append(out,
		call{operation: introspect, status: 200, service: w.Service, body: form("token", w.jwt), headers: []string{formType, bearer(w.admin)}},
		call{operation: revoke, status: 429, service: w.Service, body: "token=#", tokens: w.many["tula"], headers: []string{formType, bearer(w.admin)}})
}

// proxyCalls provoke each answer to API servers and proxies.
func proxyCalls(w *world) (out []call) {
	const review = "POST /apis/authentication.k8s.io/v1/tokenreviews"
	about := func(text string) string {
		return `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"` + text + `"}}`
	}
	out = []call{
		{operation: review, status: 200, service: w.Service, body: about(w.jwt), headers: []string{jsonType}},
		{operation: review, status: 200, service: w.Service, body: about(w.revoked), headers: []string{jsonType}},
		{operation: review, status: 400, service: w.Service, body: about(""), headers: []string{jsonType}},
		{operation: review, status: 413, service: w.Service, body: large, headers: []string{jsonType}},
		{operation: review, status: 503, service: w.unsynced, body: about(w.jwt), headers: []string{jsonType}},
	}
	for operation, path := range map[string]string{"GET /auth/verify": "", "GET /auth/verify/{path}": "/auth/verify/orders/1?sort=up"} {
		out = append(out,
			call{operation: operation, status: 200, service: w.Service, path: path, headers: []string{bearer(w.jwt)}},
			call{operation: operation, status: 200, service: w.Service, path: path, headers: []string{basic("root")}},
			call{operation: operation, status: 401, service: w.Service, path: path},
			call{operation: operation, status: 503, service: w.unsynced, path: path, headers: []string{bearer(w.jwt)}})
	}
	return out
}
