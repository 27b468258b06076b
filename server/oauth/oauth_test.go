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

// gate is a service that also takes forms.
type gate struct{ *servertest.Gate }

// newGate starts the door with users in every state.
func newGate(t testing.TB) gate {
	g := gate{servertest.New(t, servertest.Options{LockAfter: 10, PasswordCacheTTL: time.Minute})}
	past := g.Now().Add(-time.Hour)
	g.Put(t, directory.User{Login: "alice", Groups: []string{"operators", "developers"}}, "alice-secret")
	g.Put(t, directory.User{Login: "bob"}, "bob-secret")
	g.Put(t, directory.User{Login: oddLogin}, oddSecret)
	g.Put(t, directory.User{Login: "raw"}, "100%sure")
	g.Put(t, directory.User{Login: "revoked", Revoked: true}, "right")
	g.Put(t, directory.User{Login: "expired", ExpiresAt: past}, "right")
	g.Put(t, directory.User{Login: "locked", LockedUntil: g.Now().Add(time.Hour)}, "right")
	g.Put(t, directory.User{Login: "brief", MaximumLifetime: time.Minute}, "right")
	g.Put(t, directory.User{Login: "stale", Credentials: &directory.Credentials{Passwords: []directory.Password{
		{Hash: servertest.Hash(t, "right"), ExpiresAt: past},
	}}})
	return g
}

// newGateWithout starts the door with a directory that is not complete.
func newGateWithout(t testing.TB) gate {
	return gate{servertest.New(t, servertest.Options{Unsynced: true})}
}

func basic(login, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(login+":"+password))
}

// post sends a form. Parameters are given as name, value, name, value.
func (g gate) post(t testing.TB, path string, headers []string, parameters ...string) servertest.Answer {
	t.Helper()
	f := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		f.Add(parameters[i], parameters[i+1])
	}
	return g.Send(t, "POST", path, f.Encode(), append(headers, "Content-Type: application/x-www-form-urlencoded")...)
}

func decode(t testing.TB, a servertest.Answer) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(a.Body), &out); err != nil {
		t.Fatalf("%v in\n%s", err, a)
	}
	return out
}

// refused checks status and error code of a refusal, and what all of them have in common.
func refused(t testing.TB, a servertest.Answer, status int, code string) {
	t.Helper()
	body := decode(t, a)
	if a.Status != status || body["error"] != code || body["error_description"] == "" {
		t.Errorf("want %d %s, got\n%s", status, code, a)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Pragma") != "no-cache" {
		t.Errorf("a refusal may be kept by caches:\n%s", a)
	}
	if got, want := a.Header.Get("WWW-Authenticate") != "", status == http.StatusUnauthorized; got != want {
		t.Errorf("status %d has a challenge: %t", status, got)
	}
}

func user(t testing.TB, g gate, login string) *directory.User {
	t.Helper()
	u, ok := g.Directory.ByLogin(login)
	if !ok {
		t.Fatalf("no user %s", login)
	}
	return u
}

// issue makes both kinds of token of a user past the doors.
func issue(t testing.TB, g gate, login string) (signed, opaque string) {
	t.Helper()
	signed, _, err := g.Grants.JWT(t.Context(), user(t, g, login), 0)
	if err != nil {
		t.Fatal(err)
	}
	opaque, err = g.Grants.Opaque(t.Context(), user(t, g, login), grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	return signed, opaque
}

func TestTheAnswersOfTheDialectStayAsTheyAre(t *testing.T) {
	g := newGate(t)
	signed, _ := issue(t, g, "revoked")
	client := []string{basic("alice", "alice-secret")}
	for name, a := range map[string]servertest.Answer{
		"invalid-client":         g.post(t, tokenPath, []string{basic("alice", "wrong")}, "grant_type", "client_credentials"),
		"invalid-grant":          g.post(t, tokenPath, client, "grant_type", "password", "username", "bob", "password", "wrong"),
		"invalid-request":        g.post(t, tokenPath, client, "scope", "x"),
		"unsupported-grant-type": g.post(t, tokenPath, client, "grant_type", "authorization_code"),
		"introspect-no-caller":   g.post(t, introspectPath, nil, "token", "x"),
		"introspect-bad-bearer":  g.post(t, introspectPath, []string{"Authorization: Bearer x"}, "token", "x"),
		"introspect-inactive":    g.post(t, introspectPath, client, "token", signed),
		"revoke-unknown":         g.post(t, revokePath, client, "token", "x"),
		"not-found":              g.Send(t, "GET", "/oauth2/nothing", ""),
		"method-not-allowed":     g.Send(t, "GET", tokenPath, ""),
		"discovery":              g.Send(t, "GET", openidPath, ""),
	} {
		t.Run(name, func(t *testing.T) { a.Golden(t, name, *update) })
	}
}

func TestADirectoryThatIsNotCompleteAnswersUnavailable(t *testing.T) {
	g := newGateWithout(t)
	client, bearer := []string{basic("alice", "alice-secret")}, []string{"Authorization: Bearer x"}
	for name, a := range map[string]servertest.Answer{
		"token":              g.post(t, tokenPath, client, "grant_type", "client_credentials"),
		"introspect, Basic":  g.post(t, introspectPath, client, "token", "x"),
		"introspect, Bearer": g.post(t, introspectPath, bearer, "token", "x"),
		"revoke":             g.post(t, revokePath, bearer, "token", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, a, http.StatusServiceUnavailable, "temporarily_unavailable")
			a.Golden(t, "unavailable", *update)
		})
	}
}
