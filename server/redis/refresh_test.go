package redis_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const refreshPath = "/v1/users/refresh_jwt"

// issue makes a JWT of a user past the doors, so that users who cannot log in have one too.
func issue(t *testing.T, g *servertest.Gate, login string) string {
	t.Helper()
	text, _, err := g.Grants.JWT(t.Context(), user(t, g, login), 0)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestATokenIsExchangedForANewOneAndStaysGood(t *testing.T) {
	g := newGate(t)
	old := issue(t, g, "alice")
	was, err := g.Tokens.Authenticate(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"JWT", "Bearer", "jwt", "bearer"} {
		c := claims(t, g, g.Send(t, "POST", refreshPath, "", "Authorization: "+scheme+" "+old))
		if c.UID != was.User.UID || c.ID == was.Claims.ID || c.ExpiresAt.Sub(c.IssuedAt) != 300*time.Second {
			t.Errorf("%s: %+v", scheme, c)
		}
	}
	if _, err := g.Tokens.Authenticate(t.Context(), old); err != nil {
		t.Errorf("the old token: %v", err)
	}
}

func TestTheBodyOfARefreshIsThatOfAnAuthorization(t *testing.T) {
	g := newGate(t)
	header := "Authorization: JWT " + issue(t, g, "alice")
	for body, want := range map[string]time.Duration{`{"ttl":1200}`: 20 * time.Minute, `{"ttl":86400}`: 24 * time.Hour, `{"ttl":null,"other":1}`: 5 * time.Minute} {
		c := claims(t, g, g.Send(t, "POST", refreshPath, body, header))
		if got := c.ExpiresAt.Sub(c.IssuedAt); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	for _, body := range []string{`{"ttl":0}`, `{"ttl":86401}`, `{"ttl":"300"}`, `{"ttl":60.0}`, `{`, `null`} {
		if a := g.Send(t, "POST", refreshPath, body, header); a.Status != http.StatusBadRequest || errorCode(t, a) != "bad_request" {
			t.Errorf("%s: got\n%s", body, a)
		}
	}
}

func TestARefreshLooksAtTheTokenBeforeTheBody(t *testing.T) {
	g := newGate(t)
	for _, headers := range [][]string{nil, {"Authorization: JWT not.a.token"}, {basic("alice", "a:b c")}} {
		if a := g.Send(t, "POST", refreshPath, `{"ttl":0}`, headers...); a.Status != http.StatusUnauthorized || errorCode(t, a) != "unauthorized" {
			t.Errorf("%v: got\n%s", headers, a)
		}
	}
}

func TestARefreshChecksTokenAndUserAnew(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*testing.T, *servertest.Gate, *directory.User, string)
		want string
	}{
		"the token has expired": {
			func(_ *testing.T, g *servertest.Gate, _ *directory.User, _ string) { g.Advance(300 * time.Second) }, "unauthorized"},
		"the token was revoked": {
			func(t *testing.T, g *servertest.Gate, _ *directory.User, text string) {
				id, err := g.Tokens.Authenticate(t.Context(), text)
				if err != nil || g.Grants.Revoke(t.Context(), id.Claims) != nil {
					t.Fatal(err)
				}
			}, "unauthorized"},
		"all tokens of the user were revoked": {
			func(t *testing.T, g *servertest.Gate, u *directory.User, _ string) {
				if err := g.Grants.RevokeUser(t.Context(), u); err != nil {
					t.Fatal(err)
				}
			}, "unauthorized"},
		"the user is revoked": {
			func(t *testing.T, g *servertest.Gate, u *directory.User, _ string) {
				next := *u
				next.Revoked = true
				g.Put(t, next)
			}, "unauthorized"},
		"the account has expired": {
			func(t *testing.T, g *servertest.Gate, u *directory.User, _ string) {
				next := *u
				next.ExpiresAt = g.Now()
				g.Put(t, next)
			}, "unauthorized"},
		"the user is gone": {
			func(_ *testing.T, g *servertest.Gate, u *directory.User, _ string) { g.Directory.Delete(u.Key) }, "unauthorized"},
		"the user is another of the same name": {
			func(t *testing.T, g *servertest.Gate, u *directory.User, _ string) {
				next := *u
				next.UID = servertest.UID("another")
				g.Put(t, next)
			}, "unauthorized"},
		"every password has expired": {
			func(t *testing.T, g *servertest.Gate, u *directory.User, _ string) {
				next := *u
				next.Credentials = &directory.Credentials{Revision: "2", Passwords: []directory.Password{
					{Hash: servertest.Hash(t, "a"), ExpiresAt: g.Now()}, {Hash: servertest.Hash(t, "b"), ExpiresAt: g.Now().Add(-time.Hour)},
				}}
				g.Put(t, next)
			}, "password_expired"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			text := issue(t, g, "alice")
			c.end(t, g, user(t, g, "alice"), text)
			a := g.Send(t, "POST", refreshPath, "", "Authorization: JWT "+text)
			if code := errorCode(t, a); a.Status != http.StatusUnauthorized || code != c.want {
				t.Errorf("want %s, got\n%s", c.want, a)
			}
		})
	}
}

func TestOneGoodPasswordIsEnoughForARefreshAndALockIsNoMatter(t *testing.T) {
	g := newGate(t)
	for _, login := range []string{"rotating", "locked", "passwordless"} {
		claims(t, g, g.Send(t, "POST", refreshPath, "", "Authorization: JWT "+issue(t, g, login)))
	}
}

func TestAnOpaqueTokenIsNotExchanged(t *testing.T) {
	g := newGate(t)
	text, err := g.Grants.Opaque(t.Context(), user(t, g, "alice"), grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"JWT", "Bearer"} {
		a := g.Send(t, "POST", refreshPath, "", "Authorization: "+scheme+" "+text)
		if code := errorCode(t, a); a.Status != http.StatusUnauthorized || code != "unauthorized" {
			t.Errorf("%s: got\n%s", scheme, a)
		}
	}
	events := g.Events()
	if last := events[len(events)-1]; last.Outcome != audit.Refused || last.Reason != "invalid_token" || last.Login != "alice" {
		t.Errorf("the refusal was audited as %+v", last)
	}
}

func TestTwoAuthorizationHeadersAreRefused(t *testing.T) {
	g := newGate(t)
	header := "Authorization: JWT " + issue(t, g, "alice")
	if a := g.Send(t, "POST", refreshPath, "", header, header); a.Status != http.StatusUnauthorized {
		t.Errorf("got\n%s", a)
	}
}

func TestAUsersOwnMaximumHoldsForARefreshToo(t *testing.T) {
	g := newGate(t)
	c := claims(t, g, g.Send(t, "POST", refreshPath, `{"ttl":86400}`, "Authorization: JWT "+issue(t, g, "brief")))
	if got := c.ExpiresAt.Sub(c.IssuedAt); got != time.Minute {
		t.Errorf("%s, want 1m", got)
	}
}
