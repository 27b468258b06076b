package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatehouse-auth/gatehouse/internal/assertion/assertiontest"
	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const (
	form    = "Content-Type: application/x-www-form-urlencoded"
	jsonApp = "Content-Type: application/json"
	repo    = "repo:acme/shop:ref:refs/heads/main"
)

// place is a place that takes an assertion.
type place struct {
	name string
	// send sends an assertion, or a password where the place takes one.
	send func(s *servertest.Service, login, secret string) servertest.Answer
	// takesPasswords reports whether an assertion stands in the place of a password.
	takesPasswords bool
}

func assertionPlaces(t testing.TB) []place {
	basic := func(login, secret string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+secret))
	}
	return []place{
		{"redis", func(s *servertest.Service, login, secret string) servertest.Answer {
			return s.Send(t, "POST", "/v1/users/authorize", "", basic(login, secret))
		}, true},
		{"puppet", func(s *servertest.Service, login, secret string) servertest.Answer {
			return s.Send(t, "POST", "/rbac-api/v1/auth/token", fmt.Sprintf(`{"login": %q, "password": %q}`, login, secret), jsonApp)
		}, true},
		{"forward auth", func(s *servertest.Service, login, secret string) servertest.Answer {
			return s.Send(t, "GET", "/auth/verify", "", basic(login, secret))
		}, true},
		{"token exchange", func(s *servertest.Service, _, secret string) servertest.Answer {
			return s.Send(t, "POST", "/oauth2/token", url.Values{
				"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {secret},
				"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
			}.Encode(), form)
		}, false},
		{"client assertion", func(s *servertest.Service, _, secret string) servertest.Answer {
			return s.Send(t, "POST", "/oauth2/token", url.Values{
				"grant_type": {"client_credentials"}, "client_assertion": {secret},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			}.Encode(), form)
		}, false},
	}
}

// newAssertionService starts a service with a user who logs in by an identity, and others.
func newAssertionService(t testing.TB) (*servertest.Service, *assertiontest.Issuer) {
	i := assertiontest.New(t, "https://ci.test")
	s := servertest.New(t, servertest.Options{LockAfter: 5, PasswordCacheTTL: time.Minute, Assertions: servertest.Trust(t, i, nil)})
	identity := func(subject string) []directory.Identity {
		return []directory.Identity{{Issuer: i.URL, Subject: subject, Claims: map[string]string{"environment": "production"}}}
	}
	s.Put(t, directory.User{Login: "shop", Identities: identity(repo)})
	s.Put(t, directory.User{Login: "both", Identities: identity("both")}, "right")
	s.Put(t, directory.User{Login: "alice"}, "right")
	s.Put(t, directory.User{Login: "revoked", Revoked: true, Identities: identity("revoked")})
	s.Put(t, directory.User{Login: "expired", ExpiresAt: s.Now().Add(-time.Hour), Identities: identity("expired")})
	return s, i
}

func production(i *assertiontest.Issuer, s *servertest.Service, subject string) map[string]any {
	return i.Claims(s.Now(), subject, map[string]any{"environment": "production"})
}

func TestAssertionLogsIn(t *testing.T) {
	t.Parallel()
	s, i := newAssertionService(t)
	for _, r := range assertionPlaces(t) {
		for range 2 {
			if a := r.send(s, "shop", i.Sign(t, production(i, s, repo))); a.Status != 200 {
				t.Errorf("%s: %s", r.name, a)
			}
		}
	}
	events := s.Events()
	logins := 0
	for _, e := range events {
		if e.Name != audit.Login {
			continue
		}
		logins++
		if e.Credential != audit.Identity || e.Issuer != i.URL || e.Subject != repo || e.Login != "shop" || e.Outcome != audit.Allowed {
			t.Errorf("the event of a login is %+v", e)
		}
	}
	if logins != 10 {
		t.Errorf("%d events for 10 logins", logins)
	}
	err := testutil.GatherAndCompare(s.Registry, strings.NewReader(`
# HELP gatehouse_assertions_total Logins with a token of another issuer, by trusted issuer and outcome; no issuer if it is not trusted.
# TYPE gatehouse_assertions_total counter
gatehouse_assertions_total{issuer="https://ci.test",outcome="allowed"} 10
`), "gatehouse_assertions_total")
	if err != nil {
		t.Error(err)
	}
}

// Names of issuers and subjects that anyone can make up enter neither the metrics nor the log.
func TestOnlyTrustedIssuersAreNamed(t *testing.T) {
	t.Parallel()
	s, i := newAssertionService(t)
	redis := assertionPlaces(t)[0]
	i.AddKey(t, "unknown", assertiontest.ES256)
	redis.send(s, "shop", i.Sign(t, i.Claims(s.Now(), repo, map[string]any{"iss": "https://made-up.test"})))
	redis.send(s, "shop", i.SignWith(t, "unknown", production(i, s, "made up")))
	redis.send(s, "shop", i.Sign(t, production(i, s, "no-one")))
	var got []string
	for _, e := range s.Events() {
		got = append(got, e.Reason+" "+e.Issuer+" "+e.Subject)
	}
	want := []string{
		"assertion_untrusted_issuer  ", "assertion_unknown_key https://ci.test ", "assertion_of_no_user https://ci.test no-one",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the events are %q, want %q", got, want)
	}
	err := testutil.GatherAndCompare(s.Registry, strings.NewReader(`
# HELP gatehouse_assertions_total Logins with a token of another issuer, by trusted issuer and outcome; no issuer if it is not trusted.
# TYPE gatehouse_assertions_total counter
gatehouse_assertions_total{issuer="",outcome="refused"} 1
gatehouse_assertions_total{issuer="https://ci.test",outcome="refused"} 2
`), "gatehouse_assertions_total")
	if err != nil {
		t.Error(err)
	}
}

// A wrong assertion gets the same answer as a wrong password, for known and unknown logins alike,
// and costs the account nothing.
func TestWrongAssertionLooksLikeAWrongPassword(t *testing.T) {
	t.Parallel()
	s, i := newAssertionService(t)
	wrong := i.Forgeries(t, s.Now(), "both")
	wrong["of another environment"] = i.Sign(t, i.Claims(s.Now(), "both", map[string]any{"environment": "test"}))
	wrong["without the environment"] = i.Sign(t, i.Claims(s.Now(), "both", nil))
	wrong["of another user"] = i.Sign(t, production(i, s, repo))
	wrong["of no user"] = i.Sign(t, production(i, s, "no-one"))
	own, _, err := s.Grants.JWT(t.Context(), mustUser(t, s, "both"), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	wrong["of Gatehouse itself"] = own
	for _, r := range assertionPlaces(t) {
		want := r.send(s, "both", "no assertion at all")
		if want.Status == 200 {
			t.Fatalf("%s takes everything", r.name)
		}
		for name, text := range wrong {
			if !r.takesPasswords && name == "of another user" {
				continue // the login follows from the assertion
			}
			for _, login := range []string{"both", "alice", "unknown"} {
				got := r.send(s, login, text)
				if tooLarge := len(text) > 64<<10; tooLarge && (got.Status == 413 || got.Status == 431) {
					continue // for any body or header of this size
				}
				if got.String() != want.String() {
					t.Errorf("%s, %s, an assertion %s:\n%s\nwant\n%s", r.name, login, name, got, want)
				}
			}
		}
	}
	for _, e := range s.Events() {
		if e.Name == audit.Issue && e.Outcome == audit.Allowed && e.Login == "alice" {
			t.Errorf("a token was issued: %+v", e)
		}
	}
	s.Put(t, *mustUser(t, s, "both")) // the failures of "no assertion at all" stay below the lock
	if a := assertionPlaces(t)[0].send(s, "both", "right"); a.Status != 200 {
		t.Errorf("wrong assertions have locked the account: %s", a)
	}
}

func mustUser(t testing.TB, s *servertest.Service, login string) *directory.User {
	u, ok := s.Directory.ByLogin(login)
	if !ok {
		t.Fatalf("%s is unknown", login)
	}
	next := *u
	return &next
}

func TestLockDoesNotConcernAssertions(t *testing.T) {
	t.Parallel()
	s, i := newAssertionService(t)
	redis := assertionPlaces(t)[0]
	for range 5 {
		redis.send(s, "both", "wrong")
	}
	if a := redis.send(s, "both", "right"); a.Status != 401 {
		t.Fatalf("the account is not locked: %s", a)
	}
	if a := redis.send(s, "both", i.Sign(t, production(i, s, "both"))); a.Status != 200 {
		t.Errorf("an assertion of a locked account: %s", a)
	}
}

func TestRevokedAndExpiredUsersHaveNoAssertions(t *testing.T) {
	t.Parallel()
	s, i := newAssertionService(t)
	for _, login := range []string{"revoked", "expired"} {
		for _, r := range assertionPlaces(t) {
			if a := r.send(s, login, i.Sign(t, production(i, s, login))); a.Status != 401 && a.Status != 400 {
				t.Errorf("%s, %s: %s", r.name, login, a)
			}
		}
	}
	text := i.Sign(t, production(i, s, repo))
	u := mustUser(t, s, "shop")
	u.Identities, u.Credentials = nil, &directory.Credentials{}
	s.Put(t, *u)
	for _, r := range assertionPlaces(t) {
		if a := r.send(s, "shop", text); a.Status == 200 {
			t.Errorf("%s: logged in without the identity", r.name)
		}
	}
}

// A user who can log in may exchange tokens, also without a password.
func TestUserWithOnlyAnIdentityExchangesTokens(t *testing.T) {
	t.Parallel()
	s, i := newAssertionService(t)
	login := func(path string, body string, headers ...string) string {
		t.Helper()
		var tokens map[string]any
		a := s.Send(t, "POST", path, body, headers...)
		if err := json.Unmarshal([]byte(a.Body), &tokens); a.Status != 200 || err != nil {
			t.Fatalf("log in at %s: %s", path, a)
		}
		for _, name := range []string{"access_token", "token"} {
			if text, ok := tokens[name].(string); ok {
				return text
			}
		}
		t.Fatalf("log in at %s: %s", path, a)
		return ""
	}
	assertion := i.Sign(t, production(i, s, repo))
	jwt := login("/v1/users/authorize", "", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("shop:"+assertion)))
	opaque := login("/rbac-api/v1/auth/token", fmt.Sprintf(`{"login": "shop", "password": %q}`, assertion), jsonApp)
	exchanges := map[string]func() servertest.Answer{
		"refresh of a JWT": func() servertest.Answer {
			return s.Send(t, "POST", "/v1/users/refresh_jwt", "", "Authorization: JWT "+jwt)
		},
		"JWT for an opaque": func() servertest.Answer {
			return s.Send(t, "POST", "/rbac-api/v1/tokens", "{}", jsonApp, "X-Authentication: "+jwt)
		},
		"opaque for another": func() servertest.Answer {
			return s.Send(t, "POST", "/rbac-api/v1/tokens", "{}", jsonApp, "X-Authentication: "+opaque)
		},
	}
	for name, exchange := range exchanges {
		if a := exchange(); a.Status != 200 {
			t.Errorf("%s: %s", name, a)
		}
	}
	u := mustUser(t, s, "shop")
	u.Identities, u.Credentials = nil, &directory.Credentials{Revision: "2"}
	s.Put(t, *u)
	for name, exchange := range exchanges {
		if a := exchange(); a.Status != 401 {
			t.Errorf("%s, without the identity: %s", name, a)
		}
	}
}

func TestWithoutKeysTheServiceIsUnavailable(t *testing.T) {
	t.Parallel()
	i := assertiontest.New(t, "https://ci.test")
	i.Fail(true)
	s := servertest.New(t, servertest.Options{Assertions: servertest.Trust(t, i, nil)})
	s.Put(t, directory.User{Login: "alice"}, "right")
	for _, r := range assertionPlaces(t) {
		a := r.send(s, "alice", i.Sign(t, production(i, s, repo)))
		if a.Status != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s", r.name, a)
		}
		if !r.takesPasswords {
			continue
		}
		if a := r.send(s, "alice", "right"); a.Status != 200 {
			t.Errorf("%s: a password is refused: %s", r.name, a)
		}
	}
}

func TestTokenExchange(t *testing.T) {
	t.Parallel()
	s, i := newAssertionService(t)
	good := i.Sign(t, production(i, s, repo))
	request := func(changes url.Values) servertest.Answer {
		v := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {good},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
		}
		maps.Copy(v, changes)
		return s.Send(t, "POST", "/oauth2/token", v.Encode(), form)
	}
	for name, c := range map[string]struct {
		changes url.Values
		status  int
		want    string
	}{
		"id_token":         {nil, 200, `"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"`},
		"jwt":              {url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"}}, 200, `"token_type":"Bearer"`},
		"access_token":     {url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}}, 200, `"expires_in":300`},
		"a JWT is wanted":  {url.Values{"requested_token_type": {"urn:ietf:params:oauth:token-type:jwt"}}, 200, `"issued_token_type":"urn:ietf:params:oauth:token-type:jwt"`},
		"no subject_token": {url.Values{"subject_token": {""}}, 400, `"error":"invalid_request"`},
		"a wrong token":    {url.Values{"subject_token": {"x"}}, 400, `"error":"invalid_request"`},
		"no type":          {url.Values{"subject_token_type": {""}}, 400, `"error":"invalid_request"`},
		"another type":     {url.Values{"subject_token_type": {"urn:ietf:params:oauth:token-type:saml2"}}, 400, `"error":"invalid_request"`},
		"a refresh token":  {url.Values{"requested_token_type": {"urn:ietf:params:oauth:token-type:refresh_token"}}, 400, `"error":"invalid_request"`},
		"an actor":         {url.Values{"actor_token": {good}}, 400, `"error":"invalid_request"`},
		"the audience":     {url.Values{"audience": {servertest.Issuer}, "resource": {servertest.Issuer}}, 200, `"token_type":"Bearer"`},
		"another audience": {url.Values{"audience": {"https://other.test"}}, 400, `"error":"invalid_target"`},
		"another resource": {url.Values{"resource": {"https://other.test"}}, 400, `"error":"invalid_target"`},
		"another grant":    {url.Values{"grant_type": {"other"}}, 400, `"error":"unsupported_grant_type"`},
	} {
		if a := request(c.changes); a.Status != c.status || !strings.Contains(a.Body, c.want) {
			t.Errorf("%s: %s", name, a)
		}
	}
}

func TestClientAssertion(t *testing.T) {
	t.Parallel()
	s, i := newAssertionService(t)
	good := i.Sign(t, production(i, s, repo))
	for name, c := range map[string]struct {
		changes url.Values
		header  string
		status  int
		want    string
	}{
		"no client_id":       {nil, "X: y", 200, `"token_type":"Bearer"`},
		"the client_id":      {url.Values{"client_id": {"shop"}}, "X: y", 200, `"token_type":"Bearer"`},
		"another client_id":  {url.Values{"client_id": {"alice"}}, "X: y", 401, `"error":"invalid_client"`},
		"a wrong assertion":  {url.Values{"client_assertion": {"x"}}, "X: y", 401, `"error":"invalid_client"`},
		"another type":       {url.Values{"client_assertion_type": {"x"}}, "X: y", 400, `"error":"invalid_request"`},
		"a secret beside it": {url.Values{"client_secret": {"x"}}, "X: y", 400, `"error":"invalid_request"`},
		"a header beside it": {nil, "Authorization: Basic YTpi", 400, `"error":"invalid_request"`},
		"only the type":      {url.Values{"client_assertion": {""}}, "X: y", 400, `"error":"invalid_request"`},
	} {
		v := url.Values{
			"grant_type": {"client_credentials"}, "client_assertion": {good},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		}
		maps.Copy(v, c.changes)
		if a := s.Send(t, "POST", "/oauth2/token", v.Encode(), form, c.header); a.Status != c.status || !strings.Contains(a.Body, c.want) {
			t.Errorf("%s: %s", name, a)
		}
	}
}

func TestDiscoveryNamesAssertions(t *testing.T) {
	t.Parallel()
	s, _ := newAssertionService(t)
	var document struct {
		Grants []string `json:"grant_types_supported"`
		Auth   []string `json:"token_endpoint_auth_methods_supported"`
		Algs   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	}
	if err := json.Unmarshal([]byte(s.Send(t, "GET", "/.well-known/openid-configuration", "").Body), &document); err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(document)
	for _, want := range []string{"urn:ietf:params:oauth:grant-type:token-exchange", "private_key_jwt", "RS256 ES256 EdDSA"} {
		if !strings.Contains(all, want) {
			t.Errorf("discovery does not name %s: %s", want, all)
		}
	}
}

// BenchmarkLogin compares a remembered password with a remembered assertion.
func BenchmarkLoginByIdentity(b *testing.B) {
	i := assertiontest.New(b, "https://ci.test")
	s := servertest.New(b, servertest.Options{PasswordCacheTTL: time.Hour, Assertions: servertest.Trust(b, i, nil)})
	s.Put(b, directory.User{Login: "shop", Identities: []directory.Identity{{Issuer: i.URL, Subject: repo}}}, "right")
	redis := assertionPlaces(b)[0]
	for name, secret := range map[string]func() string{
		"password":             func() string { return "right" },
		"remembered assertion": constant(i.Sign(b, i.Claims(s.Now(), repo, nil))),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if a := redis.send(s, "shop", secret()); a.Status != 200 {
					b.Fatal(a)
				}
			}
		})
	}
	b.Run("new assertion", func(b *testing.B) {
		texts := make([]string, 2000)
		for n := range texts {
			texts[n] = i.Sign(b, i.Claims(s.Now(), repo, map[string]any{"jti": n}))
		}
		n := 0
		for b.Loop() {
			if a := redis.send(s, "shop", texts[n%len(texts)]); a.Status != 200 {
				b.Fatal(a)
			}
			n++
		}
	})
}

// constant returns a function that returns a text.
func constant(text string) func() string { return func() string { return text } }
