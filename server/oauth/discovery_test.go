package oauth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/assertion/assertiontest"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestDiscoveryDocumentsAreEqualAndCacheable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	openid := s.Send(t, "GET", openidPath, "")
	if got := s.Send(t, "GET", "/.well-known/oauth-authorization-server", ""); got.String() != openid.String() {
		t.Errorf("the documents differ:\n%s%s", openid, got)
	}
	if got := openid.Header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control is %q", got)
	}
}

// RFC 8414, 2, and OpenID Connect Discovery 1.0, 3, require these members if there is no
// authorization endpoint.
func TestDiscoveryHasAllRequiredMembers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	document := decode(t, s.Send(t, "GET", openidPath, ""))
	for _, member := range []string{
		"issuer", "jwks_uri", "token_endpoint", "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported",
	} {
		if _, ok := document[member]; !ok {
			t.Errorf("%s is missing", member)
		}
	}
}

func TestDiscoveryIsAccurate(t *testing.T) {
	t.Parallel()
	ci := assertiontest.New(t, "https://ci.test")
	s := service{servertest.New(t, servertest.Options{Assertions: servertest.Trust(t, ci, nil)})}
	s.Put(t, directory.User{Login: "alice", Identities: []directory.Identity{{Issuer: ci.URL, Subject: "job"}}}, "alice-secret")
	s.Put(t, directory.User{Login: "bob"}, "bob-secret")
	assertion := ci.Sign(t, ci.Claims(s.Now(), "job", nil))
	var document map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s.Send(t, "GET", openidPath, "").Body), &document); err != nil {
		t.Fatal(err)
	}
	list := func(member string) (out []string) {
		if err := json.Unmarshal(document[member], &out); err != nil {
			t.Fatalf("%s: %v", member, err)
		}
		return out
	}
	path := func(member string) string {
		p, ok := strings.CutPrefix(strings.Trim(string(document[member]), `"`), servertest.Issuer)
		if !ok {
			t.Errorf("%s is not below the issuer", member)
		}
		return p
	}
	credentials := map[string]struct{ headers, form []string }{
		"client_secret_basic": {headers: []string{basic("alice", "alice-secret")}},
		"client_secret_post":  {form: []string{"client_id", "alice", "client_secret", "alice-secret"}},
		"private_key_jwt": {form: []string{
			"client_assertion", assertion, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		}},
	}
	signed, _ := issue(t, s, "alice")

	grants := map[string][]string{
		"client_credentials": {"grant_type", "client_credentials"},
		"password":           {"grant_type", "password", "username", "bob", "password", "bob-secret"},
		"urn:ietf:params:oauth:grant-type:token-exchange": {
			"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange",
			"subject_token", assertion, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt",
		},
	}
	for _, grant := range list("grant_types_supported") {
		for _, method := range list("token_endpoint_auth_methods_supported") {
			c := credentials[method]
			assertGranted(t, s, s.post(t, path("token_endpoint"), c.headers, append(c.form, grants[grant]...)...))
		}
	}
	credentials["Bearer"] = struct{ headers, form []string }{headers: []string{"Authorization: Bearer " + signed}}
	for _, endpoint := range []string{"introspection_endpoint", "revocation_endpoint"} {
		for _, method := range list(strings.TrimSuffix(endpoint, "_endpoint") + "_endpoint_auth_methods_supported") {
			c := credentials[method]
			if a := s.post(t, path(endpoint), c.headers, append(c.form, "token", "x")...); a.Status != http.StatusOK {
				t.Errorf("%s does not accept %s:\n%s", endpoint, method, a)
			}
		}
	}
	if a := s.Send(t, "GET", path("jwks_uri"), ""); a.Status != http.StatusOK {
		t.Errorf("jwks_uri:\n%s", a)
	}
	checkClaims(t, s, list("claims_supported"))
}

// checkClaims compares the claims that discovery lists with those in a token of a user who has all
// of them.
func checkClaims(t *testing.T, s service, listed []string) {
	t.Helper()
	u := s.Put(t, directory.User{Login: "full", DisplayName: "Full", Email: "full@example.com", Groups: []string{"g"}}, "right")
	text, _, err := s.Grants.JWT(t.Context(), u, 0)
	if err != nil {
		t.Fatal(err)
	}
	for claim := range payload(t, text) {
		if !slices.Contains(listed, claim) {
			t.Errorf("claims_supported does not list %s", claim)
		}
	}
	if got := len(payload(t, text)); got != len(listed) {
		t.Errorf("%d claims are listed and a token has %d", len(listed), got)
	}
}

func TestDiscoveryListsAlgorithmsNewestFirst(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.Options{Algorithm: token.EdDSA})
	if got := fmt.Sprint(decode(t, s.Send(t, "GET", openidPath, ""))["id_token_signing_alg_values_supported"]); got != "[EdDSA ES256]" {
		t.Errorf("got %s", got)
	}
}

func TestIssuerMayEndWithASlash(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.Options{Issuer: "https://gatehouse.test/"})
	document := decode(t, s.Send(t, "GET", openidPath, ""))
	if document["issuer"] != "https://gatehouse.test/" || document["jwks_uri"] != "https://gatehouse.test/.well-known/jwks.json" {
		t.Errorf("%v", document)
	}
}

func TestKeysArePublicAndCacheable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a := s.Send(t, "GET", keysPath, "")
	want := fmt.Sprintf("public, max-age=%d", int(token.JWKSMaxAge/time.Second))
	if a.Status != http.StatusOK || a.Header.Get("Cache-Control") != want || a.Header.Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("got\n%s", a)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(a.Body), &set); err != nil || len(set.Keys) != len(s.Keys.Keys().All(token.Sign)) {
		t.Fatalf("%v in\n%s", err, a)
	}
	for _, key := range set.Keys {
		for member := range key {
			if !slices.Contains([]string{"kty", "use", "kid", "alg", "crv", "x", "y"}, member) {
				t.Errorf("a public key has the member %s", member)
			}
		}
	}
}

func TestEmptyKeySetIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Keys.Use(token.Keys{})
	assertRefused(t, s.Send(t, "GET", keysPath, ""), http.StatusServiceUnavailable, "temporarily_unavailable")
}

func TestHEADIsAllowedWhereGETIs(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for path, want := range map[string]int{keysPath: 200, openidPath: 200, tokenPath: 405} {
		if a := s.Send(t, "HEAD", path, ""); a.Status != want || a.Body != "" {
			t.Errorf("%s: got\n%s", path, a)
		}
	}
}
