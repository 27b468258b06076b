package oauth_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	tokenPath      = "/oauth2/token"
	introspectPath = "/oauth2/introspect"
	revokePath     = "/oauth2/revoke"
	keysPath       = "/.well-known/jwks.json"
	openidPath     = "/.well-known/openid-configuration"

	oddLogin  = "Jean.O'Brien+ops_42%!#&=?/~@mail.example.com"
	oddSecret = "a:b c+d%41&=é"
)

// service is a servertest.Service that can also send forms.
type service struct{ *servertest.Service }

// newService starts a service with users in every state.
func newService(t testing.TB) service {
	s := service{servertest.New(t, servertest.Options{LockAfter: 10, PasswordCacheTTL: time.Minute})}
	past := s.Now().Add(-time.Hour)
	s.Put(t, directory.User{Login: "alice", Groups: []string{"operators", "developers"}}, "alice-secret")
	s.Put(t, directory.User{Login: "bob"}, "bob-secret")
	s.Put(t, directory.User{Login: oddLogin}, oddSecret)
	s.Put(t, directory.User{Login: "raw"}, "100%sure")
	s.Put(t, directory.User{Login: "plus"}, "1+1%3D2")
	s.Put(t, directory.User{Login: "revoked", Revoked: true}, "right")
	s.Put(t, directory.User{Login: "expired", ExpiresAt: past}, "right")
	s.Put(t, directory.User{Login: "locked", LockedUntil: s.Now().Add(time.Hour)}, "right")
	s.Put(t, directory.User{Login: "brief", MaximumLifetime: time.Minute}, "right")
	s.Put(t, directory.User{Login: "stale", Credentials: &directory.Credentials{Passwords: []directory.Password{
		{Hash: servertest.Hash(t, "right"), ExpiresAt: past},
	}}})
	return s
}

// newUnsyncedService starts a service whose directory is not complete.
func newUnsyncedService(t testing.TB) service {
	return service{servertest.New(t, servertest.Options{Unsynced: true})}
}

func basic(login, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))
}

// post sends a form. The parameters alternate between names and values.
func (s service) post(t testing.TB, path string, headers []string, parameters ...string) servertest.Answer {
	t.Helper()
	f := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		f.Add(parameters[i], parameters[i+1])
	}
	return s.Send(t, "POST", path, f.Encode(), append(headers, "Content-Type: application/x-www-form-urlencoded")...)
}

func decode(t testing.TB, a servertest.Answer) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		t.Fatalf("%v in\n%s", err, a)
	}
	return out
}

// assertRefused checks the status and the error code of a refusal, and what all refusals have in
// common.
func assertRefused(t testing.TB, a servertest.Answer, status int, code string) {
	t.Helper()
	body := decode(t, a)
	if a.Status != status || body["error"] != code || body["error_description"] == "" {
		t.Errorf("want %d %s, got\n%s", status, code, a)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		t.Errorf("a refusal permits caching:\n%s", a)
	}
	if got, want := a.Header.Get("WWW-Authenticate") != "", status == http.StatusUnauthorized; got != want {
		t.Errorf("status %d has a challenge: %t", status, got)
	}
}

func user(t testing.TB, s service, login string) *directory.User {
	t.Helper()
	u, ok := s.Directory.ByLogin(login)
	if !ok {
		t.Fatalf("no user %s", login)
	}
	return u
}

// issue returns tokens of both kinds for a user, without a request to an API.
func issue(t testing.TB, s service, login string) (signed, opaque string) {
	t.Helper()
	signed, _, err := s.Grants.JWT(t.Context(), user(t, s, login), 0)
	if err != nil {
		t.Fatal(err)
	}
	opaque, err = s.Grants.Opaque(t.Context(), user(t, s, login), grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	return signed, opaque
}

func TestResponsesMatchGoldenFiles(t *testing.T) {
	s := newService(t)
	signed, _ := issue(t, s, "revoked")
	client := []string{basic("alice", "alice-secret")}
	for name, a := range map[string]servertest.Answer{
		"invalid-client":         s.post(t, tokenPath, []string{basic("alice", "wrong")}, "grant_type", "client_credentials"),
		"invalid-grant":          s.post(t, tokenPath, client, "grant_type", "password", "username", "bob", "password", "wrong"),
		"invalid-request":        s.post(t, tokenPath, client, "scope", "x"),
		"unsupported-grant-type": s.post(t, tokenPath, client, "grant_type", "authorization_code"),
		"introspect-no-caller":   s.post(t, introspectPath, nil, "token", "x"),
		"introspect-bad-bearer":  s.post(t, introspectPath, []string{"Authorization: Bearer x"}, "token", "x"),
		"introspect-inactive":    s.post(t, introspectPath, client, "token", signed),
		"revoke-unknown":         s.post(t, revokePath, client, "token", "x"),
		"not-found":              s.Send(t, "GET", "/oauth2/nothing", ""),
		"method-not-allowed":     s.Send(t, "GET", tokenPath, ""),
		"discovery":              s.Send(t, "GET", openidPath, ""),
	} {
		t.Run(name, func(t *testing.T) { a.Golden(t, name, *update) })
	}
}

func TestUnavailableWhileDirectoryIsIncomplete(t *testing.T) {
	s := newUnsyncedService(t)
	client, bearer := []string{basic("alice", "alice-secret")}, []string{"Authorization: Bearer x"}
	for name, a := range map[string]servertest.Answer{
		"token":              s.post(t, tokenPath, client, "grant_type", "client_credentials"),
		"introspect, Basic":  s.post(t, introspectPath, client, "token", "x"),
		"introspect, Bearer": s.post(t, introspectPath, bearer, "token", "x"),
		"revoke":             s.post(t, revokePath, bearer, "token", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			assertRefused(t, a, http.StatusServiceUnavailable, "temporarily_unavailable")
			a.Golden(t, "unavailable", *update)
		})
	}
}
