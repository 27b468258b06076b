package oauth_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestIntrospectionDescribesBothKindsOfToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	signed, opaque := issue(t, s, "alice")
	for _, text := range []string{signed, opaque} {
		c, err := s.Tokens.Verifier.Verify(text, s.Now())
		if err != nil {
			t.Fatal(err)
		}
		a := s.post(t, introspectPath, []string{basic("bob", "bob-secret")}, "token", text, "token_type_hint", "refresh_token")
		want := map[string]any{
			"active": true, "sub": "alice", "username": "alice", "uid": servertest.UID("alice"), "client_id": "alice",
			"groups": []any{"operators", "developers"}, "iss": servertest.Issuer, "aud": []any{servertest.Issuer},
			"iat": float64(c.IssuedAt.Unix()), "exp": float64(c.ExpiresAt.Unix()), "jti": c.ID, "token_type": "Bearer",
		}
		if got := decode(t, a); fmt.Sprint(got) != fmt.Sprint(want) || a.Status != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("got\n%swant %v", a, want)
		}
	}
}

func TestIntrospectionOmitsGroupsIfThereAreNone(t *testing.T) {
	t.Parallel()
	s := newService(t)
	signed, _ := issue(t, s, "bob")
	a := s.post(t, introspectPath, []string{basic("bob", "bob-secret")}, "token", signed)
	if _, ok := decode(t, a)["groups"]; ok {
		t.Errorf("got\n%s", a)
	}
}

func TestIntrospectionDescribesTheCurrentUser(t *testing.T) {
	t.Parallel()
	s := newService(t)
	signed, _ := issue(t, s, "alice")
	next := *user(t, s, "alice")
	next.Login, next.Groups, next.Tenant = "alicia", []string{"managers"}, "team-a"
	s.Put(t, next)
	got := decode(t, s.post(t, introspectPath, []string{basic("bob", "bob-secret")}, "token", signed))
	if got["sub"] != "alicia" || fmt.Sprint(got["groups"]) != "[managers]" || got["tenant"] != "team-a" {
		t.Errorf("got %v", got)
	}
}

// ends holds the ways in which the tokens of alice end.
var ends = map[string]func(t testing.TB, s service, tokens []string){
	"was tampered with": func(_ testing.TB, _ service, tokens []string) {
		for i := range tokens {
			tokens[i] += "A"
		}
	},
	"has expired": func(_ testing.TB, s service, _ []string) { s.Advance(2 * time.Hour) },
	"was revoked": func(t testing.TB, s service, tokens []string) {
		for _, text := range tokens {
			id, err := s.Tokens.Authenticate(t.Context(), text)
			if err != nil || s.Grants.Revoke(t.Context(), id.Claims) != nil {
				t.Fatal(err)
			}
		}
	},
	"is older than its user's revocation": func(t testing.TB, s service, _ []string) {
		if err := s.Grants.RevokeUser(t.Context(), user(t, s, "alice")); err != nil {
			t.Fatal(err)
		}
	},
	"is of a revoked user": func(t testing.TB, s service, _ []string) {
		changeAlice(t, s, func(u *directory.User) { u.Revoked = true })
	},
	"is of an expired account": func(t testing.TB, s service, _ []string) {
		changeAlice(t, s, func(u *directory.User) { u.ExpiresAt = s.Now() })
	},
	"is of a user who is gone": func(t testing.TB, s service, _ []string) {
		s.Directory.Delete(user(t, s, "alice").Key)
	},
}

// changeAlice replaces the User of alice by a changed copy.
func changeAlice(t testing.TB, s service, f func(*directory.User)) {
	next := *user(t, s, "alice")
	f(&next)
	s.Put(t, next)
}

func TestIntrospectionRevealsNothingAboutDeadTokens(t *testing.T) {
	t.Parallel()
	for name, end := range ends {
		t.Run("a token that "+name, func(t *testing.T) {
			s := newService(t)
			signed, opaque := issue(t, s, "alice")
			tokens := []string{signed, opaque}
			end(t, s, tokens)
			for _, text := range tokens {
				a := s.post(t, introspectPath, []string{basic("bob", "bob-secret")}, "token", text)
				if a.Status != http.StatusOK || a.Body != `{"active":false}` {
					t.Errorf("got\n%s", a)
				}
			}
		})
	}
}

func TestIntrospectionAndRevocationAuthenticateTheCaller(t *testing.T) {
	t.Parallel()
	s := newService(t)
	signed, opaque := issue(t, s, "alice")
	void, _ := issue(t, s, "revoked")
	for _, path := range []string{introspectPath, revokePath} {
		for name, c := range map[string]struct {
			headers []string
			code    string
		}{
			"no credentials":            {nil, "invalid_client"},
			"a wrong secret":            {[]string{basic("bob", "wrong")}, "invalid_client"},
			"a revoked user":            {[]string{basic("revoked", "right")}, "invalid_client"},
			"an empty Basic header":     {[]string{"Authorization: Basic"}, "invalid_client"},
			"another scheme":            {[]string{"Authorization: Digest x"}, "invalid_client"},
			"two headers":               {[]string{"Authorization: Bearer " + signed, "Authorization: Bearer " + signed}, "invalid_client"},
			"an invalid token":          {[]string{"Authorization: Bearer garbage"}, "invalid_token"},
			"a token of a revoked user": {[]string{"Authorization: Bearer " + void}, "invalid_token"},
		} {
			t.Run(path+" by "+name, func(t *testing.T) {
				assertRefused(t, s.post(t, path, c.headers, "token", opaque), http.StatusUnauthorized, c.code)
			})
		}
	}
	for _, header := range []string{basic("bob", "bob-secret"), basic("b%6fb", "bob-secret"), "Authorization: Bearer " + signed, "Authorization: Bearer " + opaque} {
		a := s.post(t, introspectPath, []string{header}, "token", opaque)
		if decode(t, a)["active"] != true {
			t.Errorf("%s: got\n%s", header, a)
		}
	}
}

// The default of npm's openid-client.
func TestIntrospectionAndRevocationTakeTheSecretInTheForm(t *testing.T) {
	t.Parallel()
	s := newService(t)
	_, opaque := issue(t, s, "alice")
	caller := []string{"client_id", "bob", "client_secret", "bob-secret"}
	if a := s.post(t, introspectPath, nil, append(caller, "token", opaque)...); decode(t, a)["active"] != true {
		t.Errorf("got\n%s", a)
	}
	for _, path := range []string{introspectPath, revokePath} {
		assertRefused(t, s.post(t, path, nil, "token", opaque, "client_id", "bob", "client_secret", "wrong"), http.StatusUnauthorized, "invalid_client")
		assertRefused(t, s.post(t, path, []string{basic("bob", "bob-secret")}, append(caller, "token", opaque)...), http.StatusBadRequest, "invalid_request")
	}
	if a := s.post(t, revokePath, nil, append(caller, "token", opaque)...); a.Status != http.StatusOK {
		t.Errorf("got\n%s", a)
	}
	if a := s.post(t, introspectPath, nil, append(caller, "token", opaque)...); decode(t, a)["active"] != false {
		t.Errorf("after the revocation:\n%s", a)
	}
}

func TestCallerIsCheckedBeforeTheForm(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, path := range []string{introspectPath, revokePath} {
		assertRefused(t, s.Send(t, "POST", path, "{}"), http.StatusUnauthorized, "invalid_client")
		assertRefused(t, s.Send(t, "POST", path, "{}", basic("bob", "bob-secret")), http.StatusBadRequest, "invalid_request")
		assertRefused(t, s.post(t, path, []string{basic("bob", "bob-secret")}), http.StatusBadRequest, "invalid_request")
		assertRefused(t, s.post(t, path, []string{basic("bob", "bob-secret")}, "token", "a", "token", "b"), http.StatusBadRequest, "invalid_request")
	}
}

// Without a directory the service knows nothing about tokens, so it must say neither inactive nor
// revoked.
func TestTokensAreUnavailableWithoutDirectory(t *testing.T) {
	t.Parallel()
	s := service{servertest.New(t, servertest.Options{})}
	s.Tokens.Directory = directory.New()
	s.Put(t, directory.User{Login: "bob"}, "bob-secret")
	signed, _ := issue(t, s, "bob")
	for _, path := range []string{introspectPath, revokePath} {
		assertRefused(t, s.post(t, path, []string{basic("bob", "bob-secret")}, "token", signed), http.StatusServiceUnavailable, "temporarily_unavailable")
	}
}
