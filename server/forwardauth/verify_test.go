package forwardauth_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/server/door"
	"github.com/gatehouse-auth/gatehouse/server/forwardauth"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const (
	ada      = "3f0b7a52-6a61-4b50-8f43-6d5f1f6f0a01"
	secret   = "correct horse"
	verified = "/auth/verify"
)

func TestVerifySaysWhoItIs(t *testing.T) {
	g := newGate(t)
	u := put(t, g, directory.User{Login: "ada@example.com", Groups: []string{"operators", "developers"}})
	jwt, opaque := tokens(t, g, u)
	for name, header := range map[string]http.Header{
		"by a JWT as Bearer":                 {"Authorization": {"Bearer " + jwt}},
		"by a JWT as JWT":                    {"Authorization": {"JWT " + jwt}},
		"whatever the case of the scheme":    {"Authorization": {"bEARER " + jwt}},
		"by an opaque token as Bearer":       {"Authorization": {"Bearer " + opaque}},
		"by a JWT in X-Authentication":       {"X-Authentication": {jwt}},
		"by an opaque one there":             {"X-Authentication": {opaque}},
		"with the suffix of Puppet clients":  {"X-Authentication": {opaque + "|no_keepalive"}},
		"by a password":                      basic("ada@example.com", secret),
		"by Authorization where both are":    {"Authorization": {"Bearer " + jwt}, "X-Authentication": {"garbage"}},
		"whatever the client says about it":  {"Authorization": {"Bearer " + jwt}, "X-Auth-User": {"root"}, "X-Auth-Groups": {"admins"}},
		"with a suffix that tokens may have": {"X-Authentication": {jwt + "|no_keepalive"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, g, http.MethodGet, header, "")
			want(t, a, http.StatusOK, "")
			if got := a.header.Get("X-Auth-User"); got != "ada@example.com" {
				t.Errorf("X-Auth-User is %q", got)
			}
			if got := a.header.Get("X-Auth-Uid"); got != ada {
				t.Errorf("X-Auth-Uid is %q", got)
			}
			if got := a.header.Values("X-Auth-Groups"); !slices.Equal(got, []string{"operators,developers"}) {
				t.Errorf("X-Auth-Groups is %q", got)
			}
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q", got)
			}
		})
	}
}

func TestVerifyLeavesTheGroupsOutWhereThereAreNone(t *testing.T) {
	g := newGate(t)
	put(t, g, directory.User{Login: "ada"})
	a := ask(t, g, http.MethodGet, basic("ada", secret), "")
	want(t, a, http.StatusOK, "")
	if got, ok := a.header["X-Auth-Groups"]; ok {
		t.Errorf("X-Auth-Groups is %q", got)
	}
}

func TestVerifyAnswersEveryMethodAndReadsNoBody(t *testing.T) {
	g := newGate(t)
	put(t, g, directory.User{Login: "ada"})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		body := ""
		if method == http.MethodPost {
			body = strings.Repeat("not even JSON", 8<<10)
		}
		want(t, ask(t, g, method, basic("ada", secret), body), http.StatusOK, "")
		if a := ask(t, g, method, nil, body); a.status != http.StatusUnauthorized {
			t.Errorf("%s without credentials: %d", method, a.status)
		}
	}
}

func TestVerifyRefusesEverybodyAlike(t *testing.T) {
	g := newGate(t)
	u := put(t, g, directory.User{Login: "ada"})
	jwt, opaque := tokens(t, g, u)
	put(t, g, directory.User{Key: "users/victor", UID: uid(2), Login: "victor", Revoked: true})
	put(t, g, directory.User{Key: "users/edith", UID: uid(3), Login: "edith", ExpiresAt: g.Now().Add(-time.Second)})
	paula := directory.User{Key: "users/paula", UID: uid(4), Login: "paula", Credentials: credentials(t)}
	paula.Credentials.Passwords[0].ExpiresAt = g.Now().Add(-time.Second)
	put(t, g, paula)
	put(t, g, directory.User{Key: "users/blank", UID: uid(5), Login: " ada"})
	put(t, g, directory.User{Key: "users/group", UID: uid(6), Login: "greta", Groups: []string{"admins "}})
	put(t, g, directory.User{Key: "users/split", UID: uid(7), Login: "a\r\nX-Auth-User"})

	first := ask(t, g, http.MethodGet, nil, "")
	want(t, first, http.StatusUnauthorized, `{"error":"valid credentials are needed"}`)
	challenges := []string{`Basic realm="gatehouse", charset="UTF-8"`, `Bearer realm="gatehouse"`}
	if got := first.header.Values("WWW-Authenticate"); !slices.Equal(got, challenges) {
		t.Errorf("the challenges are %q", got)
	}
	for name, header := range map[string]http.Header{
		"a token that is none":                  {"Authorization": {"Bearer garbage"}},
		"a token that is none, the other way":   {"X-Authentication": {"garbage"}},
		"an empty Authorization beside a token": {"Authorization": {""}, "X-Authentication": {jwt}},
		"a bad Authorization beside a token":    {"Authorization": {"Bearer garbage"}, "X-Authentication": {jwt}},
		"a scheme that is not known":            {"Authorization": {"Digest " + jwt}},
		"a token without a scheme":              {"Authorization": {jwt}},
		"two Authorization headers":             {"Authorization": {"Bearer " + jwt, "Bearer " + jwt}},
		"two X-Authentication headers":          {"X-Authentication": {jwt, jwt}},
		"Basic that is no base64":               {"Authorization": {"Basic !"}},
		"the wrong password":                    basic("ada", "wrong"),
		"a login that nobody has":               basic("nobody", secret),
		"a revoked user":                        basic("victor", secret),
		"an expired user":                       basic("edith", secret),
		"an expired password":                   basic("paula", secret),
		"a login that a header would change":    basic(" ada", secret),
		"a group that a header would change":    basic("greta", secret),
		"a login that would end the header":     basic("a\r\nX-Auth-User", secret),
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, g, http.MethodGet, header, "")
			a.header.Del("X-Request-Id")
			first.header.Del("X-Request-Id")
			a.header.Del("Date")
			first.header.Del("Date")
			if a.status != first.status || a.body != first.body || !equal(a.header, first.header) {
				t.Errorf("this refusal differs: %+v, not %+v", a, first)
			}
		})
	}
	t.Run("tokens of a user who was revoked", func(t *testing.T) {
		put(t, g, directory.User{Login: "ada", Revoked: true})
		for _, token := range []string{jwt, opaque} {
			want(t, ask(t, g, http.MethodGet, http.Header{"Authorization": {"Bearer " + token}}, ""), http.StatusUnauthorized, first.body)
		}
	})
}

func TestVerifyGuessesCountTowardsTheLock(t *testing.T) {
	g := servertest.New(t, servertest.Options{LockAfter: 2, MemoTTL: time.Minute}, doors)
	put(t, g, directory.User{Login: "ada"})
	for range 2 {
		want(t, ask(t, g, http.MethodGet, basic("ada", "wrong"), ""), http.StatusUnauthorized, `{"error":"valid credentials are needed"}`)
	}
	want(t, ask(t, g, http.MethodGet, basic("ada", secret), ""), http.StatusUnauthorized, `{"error":"valid credentials are needed"}`)
}

func TestVerifyAsksToTryAgainWhileNobodyCanBeJudged(t *testing.T) {
	g := newGate(t)
	empty := directory.New()
	g.Passwords.Directory, g.Tokens.Directory = empty, empty
	for _, header := range []http.Header{basic("ada", secret), {"X-Authentication": {"garbage"}}} {
		a := ask(t, g, http.MethodGet, header, "")
		want(t, a, http.StatusServiceUnavailable, `{"error":"no verdict can be given now; try again"}`)
		if got := a.header.Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After is %q", got)
		}
	}
}

func TestALoginInUTF8ArrivesAsItIs(t *testing.T) {
	g := newGate(t)
	put(t, g, directory.User{Login: "jürgen 100%", Groups: []string{"работники", "a b"}})
	a := ask(t, g, http.MethodGet, basic("jürgen 100%", secret), "")
	want(t, a, http.StatusOK, "")
	if got := a.header.Get("X-Auth-User"); got != "jürgen 100%" {
		t.Errorf("X-Auth-User is %q", got)
	}
	if got := a.header.Get("X-Auth-Groups"); got != "работники,a b" {
		t.Errorf("X-Auth-Groups is %q", got)
	}
}

type reply struct {
	status int
	header http.Header
	body   string
}

func doors(g *servertest.Gate) []door.Door {
	return []door.Door{forwardauth.New(forwardauth.Config{Passwords: g.Passwords, Tokens: g.Tokens})}
}

func newGate(t *testing.T) *servertest.Gate {
	t.Helper()
	return servertest.New(t, servertest.Options{MemoTTL: time.Minute}, doors)
}

func ask(t *testing.T, g *servertest.Gate, method string, header http.Header, body string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, g.URL+verified, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header.Clone()
	}
	answer, err := g.Client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{status: answer.StatusCode, header: answer.Header, body: string(text)}
}

func want(t *testing.T, a reply, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("answered %d %q, not %d %q", a.status, a.body, status, body)
	}
}

func equal(a, b http.Header) bool {
	if len(a) != len(b) {
		return false
	}
	for key := range a {
		if !slices.Equal(a[key], b[key]) {
			return false
		}
	}
	return true
}

func basic(login, password string) http.Header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(login, password)
	return r.Header
}

// put adds a user, by default ada, whose password is secret.
func put(t *testing.T, g *servertest.Gate, u directory.User) *directory.User {
	t.Helper()
	if u.UID == "" {
		u.Key, u.UID = "users/ada", ada
	}
	if u.Credentials == nil {
		u.Credentials = credentials(t)
	}
	g.Directory.Put(&u)
	return &u
}

func credentials(t *testing.T) *directory.Credentials {
	t.Helper()
	text, err := password.Generate([]byte(secret), password.Parameters{Format: password.Bcrypt, Cost: 4})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := password.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return &directory.Credentials{Revision: "1", Passwords: []directory.Password{{Hash: hash}}}
}

func uid(n byte) string { return ada[:len(ada)-1] + string('0'+n) }

func tokens(t *testing.T, g *servertest.Gate, u *directory.User) (jwt, opaque string) {
	t.Helper()
	jwt, _, err := g.Grants.JWT(t.Context(), u, 0)
	if err != nil {
		t.Fatal(err)
	}
	opaque, err = g.Grants.Opaque(t.Context(), u, grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	return jwt, opaque
}
