package puppet_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/puppet"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	loginPath        = "/rbac-api/v1/auth/token"
	generatePath     = "/rbac-api/v1/tokens"
	currentPath      = "/rbac-api/v1/users/current"
	revokePath       = "/rbac-api/v2/tokens"
	authenticatePath = "/rbac-api/v2/auth/token/authenticate"

	year = 365 * 24 * time.Hour
)

func config(s *servertest.Service) puppet.Config {
	return puppet.Config{
		Logins: &authn.Logins{Passwords: s.Passwords, Assertions: s.Assertions}, Tokens: s.Tokens, Grants: s.Grants, Directory: s.Directory, Keys: s.Keys,
		AdminGroups: []string{"wheel", "gatehouse-admins"}, Version: "1.2.3", Now: s.Now,
	}
}

// newService starts a service with users in every state that the API distinguishes, or must not.
func newService(t testing.TB) *servertest.Service {
	s := servertest.New(t, servertest.Options{LockAfter: 10, PasswordCacheTTL: time.Minute})
	past := s.Now().Add(-time.Hour)
	s.Put(t, directory.User{Login: "alice", DisplayName: "Alice", Email: "alice@example.com", Groups: []string{"operators"}}, "right")
	s.Put(t, directory.User{Login: "bob"}, "right")
	s.Put(t, directory.User{Login: "admin", Groups: []string{"operators", "gatehouse-admins"}}, "right")
	s.Put(t, directory.User{Login: "revoked", Revoked: true}, "right")
	s.Put(t, directory.User{Login: "expired", ExpiresAt: past}, "right")
	s.Put(t, directory.User{Login: "locked", LockedUntil: s.Now().Add(time.Hour)}, "right")
	s.Put(t, directory.User{Login: "brief", DefaultLifetime: 10 * time.Minute, MaximumLifetime: 30 * time.Minute}, "right")
	s.Put(t, directory.User{Login: "passwordless"})
	s.Put(t, directory.User{Login: "stale", Credentials: &directory.Credentials{Passwords: []directory.Password{
		{Hash: servertest.Hash(t, "right"), ExpiresAt: past},
	}}})
	return s
}

// newUnsyncedService starts a service whose directory is not complete.
func newUnsyncedService(t testing.TB) *servertest.Service {
	return servertest.New(t, servertest.Options{Unsynced: true})
}

func user(t testing.TB, s *servertest.Service, login string) *directory.User {
	t.Helper()
	u, ok := s.Directory.ByLogin(login)
	if !ok {
		t.Fatalf("no user %s", login)
	}
	return u
}

// issueOpaque returns an opaque token for a user, without a request to an API.
func issueOpaque(t testing.TB, s *servertest.Service, login string, o grant.Order) string {
	t.Helper()
	text, err := s.Grants.Opaque(t.Context(), user(t, s, login), o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// issueJWT returns a JWT for a user, without a request to an API.
func issueJWT(t testing.TB, s *servertest.Service, login string) string {
	t.Helper()
	text, _, err := s.Grants.JWT(t.Context(), user(t, s, login), 0)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func claims(t testing.TB, s *servertest.Service, text string) token.Claims {
	t.Helper()
	c, err := s.Tokens.Verifier.Verify(text, s.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tokenHeader returns the header that carries a token.
func tokenHeader(text string) string { return "X-Authentication: " + text }

// jsonObject encodes an object. The members alternate between names and values.
func jsonObject(t testing.TB, members ...any) string {
	t.Helper()
	m := map[string]any{}
	for i := 0; i < len(members); i += 2 {
		m[fmt.Sprint(members[i])] = members[i+1]
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// loginBody returns the body of a login with the right password and additional members.
func loginBody(t testing.TB, login string, members ...any) string {
	return jsonObject(t, append([]any{"login", login, "password", "right"}, members...)...)
}

// issuedToken returns the token in the response of a route that issues tokens.
func issuedToken(t testing.TB, a servertest.Answer) string {
	t.Helper()
	text, ok := strings.CutPrefix(a.Body, `{"token":"`)
	text, closed := strings.CutSuffix(text, `"}`)
	if a.Status != http.StatusOK || !ok || !closed || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("want 200 with token alone, got\n%s", a)
	}
	return text
}

func decode(t testing.TB, a servertest.Answer) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		t.Fatalf("%v in\n%s", err, a)
	}
	return out
}

// assertRefused checks the status and the kind of an error without details, and what all errors
// have in common.
func assertRefused(t testing.TB, a servertest.Answer, status int, kind string) {
	t.Helper()
	body := decode(t, a)
	if a.Status != status || body["kind"] != "puppetlabs.rbac/"+kind || body["msg"] == "" || len(body) != 2 {
		t.Errorf("want %d %s, got\n%s", status, kind, a)
	}
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("wrong headers for an error:\n%s", a)
	}
}

// assertRevocationRefused checks the status, the kind and the details of an error, where details
// alternates between names and values.
func assertRevocationRefused(t testing.TB, a servertest.Answer, status int, kind string, details ...any) {
	t.Helper()
	body := decode(t, a)
	got, err := json.Marshal(body["details"])
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != status || body["kind"] != "puppetlabs.rbac/"+kind || string(got) != jsonObject(t, details...) {
		t.Errorf("want %d %s %s, got\n%s", status, kind, jsonObject(t, details...), a)
	}
	end := "No tokens were revoked."
	if i := slices.Index(details, any("other_tokens_revoked")); i >= 0 && details[i+1] == true {
		end = "All other tokens were successfully revoked."
	}
	if msg, _ := body["msg"].(string); !strings.HasSuffix(msg, end) {
		t.Errorf("the message does not end with %q:\n%s", end, a)
	}
}

// assertAlive checks that a route accepts a token.
func assertAlive(t testing.TB, s *servertest.Service, text string) {
	t.Helper()
	if a := s.Send(t, "GET", currentPath, "", tokenHeader(text)); a.Status != http.StatusOK {
		t.Errorf("the token is refused:\n%s", a)
	}
}

// assertDead checks that a route refuses a token with an error of this kind.
func assertDead(t testing.TB, s *servertest.Service, text, kind string) {
	t.Helper()
	assertRefused(t, s.Send(t, "GET", currentPath, "", tokenHeader(text)), http.StatusUnauthorized, kind)
}

func TestResponsesMatchGoldenFiles(t *testing.T) {
	s := newService(t)
	alice := issueOpaque(t, s, "alice", grant.Order{})
	gone := issueOpaque(t, s, "bob", grant.Order{})
	s.Put(t, directory.User{Login: "bob", TokensValidAfter: s.Now()}, "right")
	old := issueOpaque(t, s, "alice", grant.Order{Lifetime: time.Nanosecond})
	for name, a := range map[string]servertest.Answer{
		"wrong-password":      s.Send(t, "POST", loginPath, jsonObject(t, "login", "alice", "password", "wrong")),
		"user-revoked":        s.Send(t, "POST", loginPath, loginBody(t, "revoked")),
		"key-missing":         s.Send(t, "POST", loginPath, `{"login":"alice"}`),
		"key-unknown":         s.Send(t, "POST", loginPath, loginBody(t, "alice", "ttl", 60)),
		"malformed":           s.Send(t, "POST", loginPath, `{"login":`),
		"unsupported-type":    s.Send(t, "POST", loginPath, `{}`, "Content-Type: text/plain"),
		"request-too-large":   s.Send(t, "POST", loginPath, strings.Repeat(" ", 65537)),
		"html":                s.Send(t, "POST", loginPath, jsonObject(t, "login", "alice", "password", "wrong"), "Accept: text/html"),
		"no-token":            s.Send(t, "GET", currentPath, ""),
		"invalid-token":       s.Send(t, "GET", currentPath, "", tokenHeader("garbage")),
		"token-expired":       s.Send(t, "GET", currentPath, "", tokenHeader(old)),
		"token-revoked":       s.Send(t, "GET", currentPath, "", tokenHeader(gone)),
		"ask-invalid-token":   s.Send(t, "POST", authenticatePath, `{"token":"garbage"}`),
		"ask-token-expired":   s.Send(t, "POST", authenticatePath, jsonObject(t, "token", old)),
		"ask-token-revoked":   s.Send(t, "POST", authenticatePath, jsonObject(t, "token", gone)),
		"current":             s.Send(t, "GET", currentPath, "", tokenHeader(alice)),
		"empty-list":          s.Send(t, "GET", "/rbac-api/v1/users/"+servertest.UID("alice")+"/tokens", "", tokenHeader(alice)),
		"list-denied":         s.Send(t, "GET", "/rbac-api/v1/users/"+servertest.UID("bob")+"/tokens", "", tokenHeader(alice)),
		"list-invalid-uuid":   s.Send(t, "GET", "/rbac-api/v1/users/bob/tokens", "", tokenHeader(alice)),
		"list-bad-limit":      s.Send(t, "GET", "/rbac-api/v1/users/"+servertest.UID("alice")+"/tokens?limit=x", "", tokenHeader(alice)),
		"revoke-nothing":      s.Send(t, "DELETE", revokePath, "", tokenHeader(alice)),
		"revoke-malformed":    s.Send(t, "DELETE", revokePath, `{"revoke_tokens":["garbage"],"else":1}`, tokenHeader(alice)),
		"revoke-denied":       s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_usernames=bob", "", tokenHeader(alice)),
		"revoke-done":         s.Send(t, "DELETE", revokePath+"?revoke_tokens_by_labels=none", "", tokenHeader(alice)),
		"not-found":           s.Send(t, "GET", "/rbac-api/v1/nothing", ""),
		"method-not-allowed":  s.Send(t, "GET", loginPath, ""),
		"status-simple":       s.Send(t, "GET", "/status/v1/simple", ""),
		"status-simple-other": s.Send(t, "GET", "/status/v1/simple/else", ""),
		"status-services":     s.Send(t, "GET", "/status/v1/services", ""),
		"status-service":      s.Send(t, "GET", "/status/v1/services/rbac-service?level=critical", ""),
		"status-other":        s.Send(t, "GET", "/status/v1/services/else", ""),
		"status-bad-level":    s.Send(t, "GET", "/status/v1/services?level=gossip", ""),
	} {
		t.Run(name, func(t *testing.T) { a.Golden(t, name, *update) })
	}
}

func TestUnavailableWhileDirectoryIsIncomplete(t *testing.T) {
	s := newUnsyncedService(t)
	for name, a := range map[string]servertest.Answer{
		"login":        s.Send(t, "POST", loginPath, loginBody(t, "alice")),
		"generate":     s.Send(t, "POST", generatePath, "", tokenHeader("x")),
		"current":      s.Send(t, "GET", currentPath, "", tokenHeader("x")),
		"revoke":       s.Send(t, "DELETE", revokePath, "", tokenHeader("x")),
		"revoke one":   s.Send(t, "DELETE", revokePath+"/x", ""),
		"authenticate": s.Send(t, "POST", authenticatePath, `{"token":"x"}`),
	} {
		t.Run(name, func(t *testing.T) {
			assertRefused(t, a, http.StatusServiceUnavailable, "server-error")
			a.Golden(t, "unavailable", *update)
		})
	}
	if a := s.Send(t, "GET", "/status/v1/simple", ""); a.Status != http.StatusServiceUnavailable || a.Body != "starting" {
		t.Errorf("the simple status is\n%s", a)
	}
	s.Send(t, "GET", "/status/v1/services", "").Golden(t, "status-starting", *update)
}

func TestStatusIsStartingWhileNoKeyCanIssueTokens(t *testing.T) {
	s := newService(t)
	s.Keys.Use(token.Keys{})
	if a := s.Send(t, "GET", "/status/v1/simple", ""); a.Status != http.StatusServiceUnavailable || a.Body != "starting" {
		t.Errorf("the simple status is\n%s", a)
	}
}
