package forwardauth_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const secret = "correct horse"

func TestVerifyNamesTheUser(t *testing.T) {
	t.Parallel()
	s := newService(t)
	u := s.Put(t, directory.User{Login: "ada@example.com", Groups: []string{"operators", "developers"}, Tenant: "team-a"}, secret)
	jwt, opaque := tokens(t, s, u)
	for name, header := range map[string]http.Header{
		"by a JWT as Bearer":                   {"Authorization": {"Bearer " + jwt}},
		"by a JWT as JWT":                      {"Authorization": {"JWT " + jwt}},
		"whatever the case of the scheme":      {"Authorization": {"bEARER " + jwt}},
		"by an opaque token as Bearer":         {"Authorization": {"Bearer " + opaque}},
		"by a JWT in X-Authentication":         {"X-Authentication": {jwt}},
		"by an opaque token there":             {"X-Authentication": {opaque}},
		"with the suffix of Puppet clients":    {"X-Authentication": {opaque + "|no_keepalive"}},
		"by a password":                        basic("ada@example.com", secret),
		"by Authorization if both are there":   {"Authorization": {"Bearer " + jwt}, "X-Authentication": {"garbage"}},
		"despite X-Auth headers of the client": {"Authorization": {"Bearer " + jwt}, "X-Auth-User": {"root"}, "X-Auth-Groups": {"admins"}},
		"by a JWT with the same suffix":        {"X-Authentication": {jwt + "|no_keepalive"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, s, header)
			want(t, a, http.StatusOK, "")
			if got := a.Header.Get("X-Auth-User"); got != "ada@example.com" {
				t.Errorf("X-Auth-User is %q", got)
			}
			if got := a.Header.Get("X-Auth-Uid"); got != u.UID {
				t.Errorf("X-Auth-Uid is %q", got)
			}
			if got := a.Header.Get("X-Auth-Tenant"); got != "team-a" {
				t.Errorf("X-Auth-Tenant is %q", got)
			}
			if got := a.Header.Values("X-Auth-Groups"); !slices.Equal(got, []string{"operators,developers"}) {
				t.Errorf("X-Auth-Groups is %q", got)
			}
			if got := a.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control is %q", got)
			}
		})
	}
}

func TestVerifyOmitsGroupsAndTenantIfThereAreNone(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Put(t, directory.User{Login: "ada"}, secret)
	a := ask(t, s, basic("ada", secret))
	want(t, a, http.StatusOK, "")
	for _, name := range []string{"X-Auth-Groups", "X-Auth-Tenant"} {
		if got, ok := a.Header[name]; ok {
			t.Errorf("%s is %q", name, got)
		}
	}
}

func TestVerifyAcceptsEveryMethodAndReadsNoBody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Put(t, directory.User{Login: "ada"}, secret)
	credentials := "Authorization: " + basic("ada", secret).Get("Authorization")
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		body := ""
		if method == http.MethodPost {
			body = strings.Repeat("not even JSON", 8<<10)
		}
		want(t, s.Send(t, method, "/auth/verify", body, credentials), http.StatusOK, "")
		if a := s.Send(t, method, "/auth/verify", body); a.Status != http.StatusUnauthorized {
			t.Errorf("%s without credentials: %d", method, a.Status)
		}
	}
}

func TestVerifyServesPathsBelow(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Put(t, directory.User{Login: "ada"}, secret)
	credentials := "Authorization: " + basic("ada", secret).Get("Authorization")
	for _, path := range []string{"/auth/verify/", "/auth/verify/orders/1?sort=up", "/auth/verify/a%2Fb"} {
		want(t, s.Send(t, http.MethodGet, path, "", credentials), http.StatusOK, "")
		if a := s.Send(t, http.MethodGet, path, ""); a.Status != http.StatusUnauthorized {
			t.Errorf("%s without credentials: %d", path, a.Status)
		}
	}
	for _, path := range []string{"/auth/verify/../verify", "/auth/verify//", "/auth/verify%2F", "/auth/verified"} {
		if a := s.Send(t, http.MethodGet, path, "", credentials); a.Status == http.StatusOK {
			t.Errorf("%s is accepted", path)
		}
	}
}

func TestVerifyRefusesEveryoneAlike(t *testing.T) {
	t.Parallel()
	s := newService(t)
	u := s.Put(t, directory.User{Login: "ada"}, secret)
	jwt, opaque := tokens(t, s, u)
	s.Put(t, directory.User{Login: "victor", Revoked: true}, secret)
	s.Put(t, directory.User{Login: "edith", ExpiresAt: s.Now().Add(-time.Second)}, secret)
	expired := directory.Password{Hash: servertest.Hash(t, secret), ExpiresAt: s.Now().Add(-time.Second)}
	s.Put(t, directory.User{Login: "paula", Credentials: &directory.Credentials{Passwords: []directory.Password{expired}}})
	s.Put(t, directory.User{Login: " ada"}, secret)
	s.Put(t, directory.User{Login: "greta", Groups: []string{"admins "}}, secret)
	s.Put(t, directory.User{Login: "a\r\nX-Auth-User"}, secret)

	first := ask(t, s, nil)
	want(t, first, http.StatusUnauthorized, `{"error":"missing or invalid credentials"}`+"\n")
	challenges := []string{`Basic realm="gatehouse", charset="UTF-8"`, `Bearer realm="gatehouse"`}
	if got := first.Header.Values("WWW-Authenticate"); !slices.Equal(got, challenges) {
		t.Errorf("challenges are %q", got)
	}
	for name, header := range map[string]http.Header{
		"an invalid token":                      {"Authorization": {"Bearer garbage"}},
		"an invalid token in X-Authentication":  {"X-Authentication": {"garbage"}},
		"an empty Authorization beside a token": {"Authorization": {""}, "X-Authentication": {jwt}},
		"a bad Authorization beside a token":    {"Authorization": {"Bearer garbage"}, "X-Authentication": {jwt}},
		"an unknown scheme":                     {"Authorization": {"Digest " + jwt}},
		"a token without a scheme":              {"Authorization": {jwt}},
		"two Authorization headers":             {"Authorization": {"Bearer " + jwt, "Bearer " + jwt}},
		"two X-Authentication headers":          {"X-Authentication": {jwt, jwt}},
		"Basic that is not base64":              {"Authorization": {"Basic !"}},
		"the wrong password":                    basic("ada", "wrong"),
		"an unknown login":                      basic("nobody", secret),
		"a revoked user":                        basic("victor", secret),
		"an expired user":                       basic("edith", secret),
		"an expired password":                   basic("paula", secret),
		"a login that a header would change":    basic(" ada", secret),
		"a group that a header would change":    basic("greta", secret),
		"a login that would end the header":     basic("a\r\nX-Auth-User", secret),
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, s, header)
			if a.String() != first.String() {
				t.Errorf("got\n%s\nwant\n%s", a, first)
			}
		})
	}
	t.Run("tokens of a user who was revoked", func(t *testing.T) {
		s.Put(t, directory.User{Login: "ada", Revoked: true}, secret)
		for _, token := range []string{jwt, opaque} {
			want(t, ask(t, s, http.Header{"Authorization": {"Bearer " + token}}), http.StatusUnauthorized, first.Body)
		}
	})
}

func TestVerifyCountsGuessesTowardsLockout(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.Options{LockAfter: 2, PasswordCacheTTL: time.Minute})
	s.Put(t, directory.User{Login: "ada"}, secret)
	for range 2 {
		want(t, ask(t, s, basic("ada", "wrong")), http.StatusUnauthorized, `{"error":"missing or invalid credentials"}`+"\n")
	}
	want(t, ask(t, s, basic("ada", secret)), http.StatusUnauthorized, `{"error":"missing or invalid credentials"}`+"\n")
}

func TestVerifyIsUnavailableWithoutDirectory(t *testing.T) {
	t.Parallel()
	s := newService(t)
	empty := directory.New()
	s.Passwords.Directory, s.Tokens.Directory = empty, empty
	for _, header := range []http.Header{basic("ada", secret), {"X-Authentication": {"garbage"}}} {
		a := ask(t, s, header)
		want(t, a, http.StatusServiceUnavailable, `{"error":"service temporarily unavailable; try again later"}`+"\n")
		if got := a.Header.Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After is %q", got)
		}
	}
}

func TestVerifyKeepsUTF8(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.Put(t, directory.User{Login: "jürgen 100%", Groups: []string{"работники", "a b"}}, secret)
	a := ask(t, s, basic("jürgen 100%", secret))
	want(t, a, http.StatusOK, "")
	if got := a.Header.Get("X-Auth-User"); got != "jürgen 100%" {
		t.Errorf("X-Auth-User is %q", got)
	}
	if got := a.Header.Get("X-Auth-Groups"); got != "работники,a b" {
		t.Errorf("X-Auth-Groups is %q", got)
	}
}

func newService(t *testing.T) *servertest.Service {
	t.Helper()
	return servertest.New(t, servertest.Options{PasswordCacheTTL: time.Minute})
}

func ask(t *testing.T, s *servertest.Service, header http.Header) servertest.Answer {
	t.Helper()
	var lines []string
	for name, values := range header {
		for _, value := range values {
			lines = append(lines, name+": "+value)
		}
	}
	return s.Send(t, http.MethodGet, "/auth/verify", "", lines...)
}

func want(t *testing.T, a servertest.Answer, status int, body string) {
	t.Helper()
	if a.Status != status || a.Body != body {
		t.Errorf("got %d %q, want %d %q", a.Status, a.Body, status, body)
	}
}

func basic(login, password string) http.Header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(login, password)
	return r.Header
}

func tokens(t *testing.T, s *servertest.Service, u *directory.User) (jwt, opaque string) {
	t.Helper()
	jwt, _, err := s.Grants.JWT(t.Context(), u, 0)
	if err != nil {
		t.Fatal(err)
	}
	opaque, err = s.Grants.Opaque(t.Context(), u, grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	return jwt, opaque
}
