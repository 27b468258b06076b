package redis_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

const refreshPath = "/v1/users/refresh_jwt"

// issue returns a JWT of a user without a request, so that users who cannot log in can have one
// too.
func issue(t *testing.T, s *servertest.Service, login string) string {
	t.Helper()
	text, _, err := s.Grants.JWT(t.Context(), user(t, s, login), 0)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRefreshIssuesANewTokenAndKeepsTheOld(t *testing.T) {
	t.Parallel()
	s := newService(t)
	old := issue(t, s, "alice")
	was, err := s.Tokens.Authenticate(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"JWT", "Bearer", "jwt", "bearer"} {
		c := claims(t, s, s.Send(t, "POST", refreshPath, "", "Authorization: "+scheme+" "+old))
		if c.UID != was.User.UID || c.ID == was.Claims.ID || c.ExpiresAt.Sub(c.IssuedAt) != 300*time.Second {
			t.Errorf("%s: %+v", scheme, c)
		}
	}
	if _, err := s.Tokens.Authenticate(t.Context(), old); err != nil {
		t.Errorf("the old token: %v", err)
	}
}

func TestRefreshTakesTheBodyOfAuthorize(t *testing.T) {
	t.Parallel()
	s := newService(t)
	header := "Authorization: JWT " + issue(t, s, "alice")
	for body, want := range map[string]time.Duration{`{"ttl":1200}`: 20 * time.Minute, `{"ttl":86400}`: 24 * time.Hour, `{"ttl":null,"other":1}`: 5 * time.Minute} {
		c := claims(t, s, s.Send(t, "POST", refreshPath, body, header))
		if got := c.ExpiresAt.Sub(c.IssuedAt); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	for _, body := range []string{`{"ttl":0}`, `{"ttl":86401}`, `{"ttl":"300"}`, `{"ttl":60.0}`, `{`, `null`} {
		if a := s.Send(t, "POST", refreshPath, body, header); a.Status != http.StatusBadRequest || errorCode(t, a) != "bad_request" {
			t.Errorf("%s: got\n%s", body, a)
		}
	}
}

func TestRefreshChecksTheTokenBeforeTheBody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, headers := range [][]string{nil, {"Authorization: JWT not.a.token"}, {basic("alice", "a:b c")}} {
		if a := s.Send(t, "POST", refreshPath, `{"ttl":0}`, headers...); a.Status != http.StatusUnauthorized || errorCode(t, a) != "unauthorized" {
			t.Errorf("%v: got\n%s", headers, a)
		}
	}
}

func TestRefreshChecksTokenAndUserAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(*testing.T, *servertest.Service, *directory.User, string)
		want string
	}{
		"the token has expired": {
			func(_ *testing.T, s *servertest.Service, _ *directory.User, _ string) { s.Advance(300 * time.Second) }, "unauthorized"},
		"the token was revoked": {
			func(t *testing.T, s *servertest.Service, _ *directory.User, text string) {
				id, err := s.Tokens.Authenticate(t.Context(), text)
				if err != nil || s.Grants.Revoke(t.Context(), id.Claims) != nil {
					t.Fatal(err)
				}
			}, "unauthorized"},
		"all tokens of the user were revoked": {
			func(t *testing.T, s *servertest.Service, u *directory.User, _ string) {
				if err := s.Grants.RevokeUser(t.Context(), u); err != nil {
					t.Fatal(err)
				}
			}, "unauthorized"},
		"the user is revoked": {
			func(t *testing.T, s *servertest.Service, u *directory.User, _ string) {
				next := *u
				next.Revoked = true
				s.Put(t, next)
			}, "unauthorized"},
		"the account has expired": {
			func(t *testing.T, s *servertest.Service, u *directory.User, _ string) {
				next := *u
				next.ExpiresAt = s.Now()
				s.Put(t, next)
			}, "unauthorized"},
		"the user is gone": {
			func(_ *testing.T, s *servertest.Service, u *directory.User, _ string) { s.Directory.Delete(u.Key) }, "unauthorized"},
		"another user has the login now": {
			func(t *testing.T, s *servertest.Service, u *directory.User, _ string) {
				next := *u
				next.UID = servertest.UID("another")
				s.Put(t, next)
			}, "unauthorized"},
		"every password has expired": {
			func(t *testing.T, s *servertest.Service, u *directory.User, _ string) {
				next := *u
				next.Credentials = &directory.Credentials{Revision: "2", Passwords: []directory.Password{
					{Hash: servertest.Hash(t, "a"), ExpiresAt: s.Now()}, {Hash: servertest.Hash(t, "b"), ExpiresAt: s.Now().Add(-time.Hour)},
				}}
				s.Put(t, next)
			}, "password_expired"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			text := issue(t, s, "alice")
			c.end(t, s, user(t, s, "alice"), text)
			a := s.Send(t, "POST", refreshPath, "", "Authorization: JWT "+text)
			if code := errorCode(t, a); a.Status != http.StatusUnauthorized || code != c.want {
				t.Errorf("want %s, got\n%s", c.want, a)
			}
		})
	}
}

// A lock does not matter, and neither do expired passwords beside a valid one.
func TestRefreshNeedsOneUnexpiredPassword(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, login := range []string{"rotating", "locked"} {
		claims(t, s, s.Send(t, "POST", refreshPath, "", "Authorization: JWT "+issue(t, s, login)))
	}
	a := s.Send(t, "POST", refreshPath, "", "Authorization: JWT "+issue(t, s, "passwordless"))
	if a.Status != http.StatusUnauthorized || errorCode(t, a) != "unauthorized" {
		t.Errorf("without a password, got\n%s", a)
	}
}

func TestRefreshingForeverEndsWithTheLongestJWT(t *testing.T) {
	t.Parallel()
	s := newService(t)
	text := issue(t, s, "alice")
	first, err := s.Tokens.Authenticate(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	end := first.Claims.IssuedAt.Add(24*time.Hour + 30*time.Second)
	for range 100 {
		a := s.Send(t, "POST", refreshPath, `{"ttl":7200}`, "Authorization: JWT "+text)
		if a.Status != http.StatusOK {
			t.Fatalf("refused %s before the end:\n%s", end.Sub(s.Now()), a)
		}
		c := claims(t, s, a)
		if c.ExpiresAt.After(end) || !c.AuthTime.Equal(first.Claims.IssuedAt) {
			t.Fatalf("%+v, want an end before %s", c, end)
		}
		if !c.ExpiresAt.Before(end.Add(-2 * time.Second)) { // in whole seconds
			return
		}
		text = accessTokenOf(t, a)
		s.Advance(time.Hour)
	}
	t.Error("refreshing never ends")
}

func TestRefreshRefusesOpaqueTokens(t *testing.T) {
	t.Parallel()
	s := newService(t)
	text, err := s.Grants.Opaque(t.Context(), user(t, s, "alice"), grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"JWT", "Bearer"} {
		a := s.Send(t, "POST", refreshPath, "", "Authorization: "+scheme+" "+text)
		if code := errorCode(t, a); a.Status != http.StatusUnauthorized || code != "unauthorized" {
			t.Errorf("%s: got\n%s", scheme, a)
		}
	}
	events := s.Events()
	if last := events[len(events)-1]; last.Outcome != audit.Refused || last.Reason != "invalid_token" || last.Login != "alice" {
		t.Errorf("refusal is audited as %+v", last)
	}
}

func TestRefreshRefusesTwoAuthorizationHeaders(t *testing.T) {
	t.Parallel()
	s := newService(t)
	header := "Authorization: JWT " + issue(t, s, "alice")
	if a := s.Send(t, "POST", refreshPath, "", header, header); a.Status != http.StatusUnauthorized {
		t.Errorf("got\n%s", a)
	}
}

func TestRefreshKeepsToTheMaximumOfTheUser(t *testing.T) {
	t.Parallel()
	s := newService(t)
	c := claims(t, s, s.Send(t, "POST", refreshPath, `{"ttl":86400}`, "Authorization: JWT "+issue(t, s, "brief")))
	if got := c.ExpiresAt.Sub(c.IssuedAt); got != time.Minute {
		t.Errorf("%s, want 1m", got)
	}
}

// accessTokenOf returns the token in a successful response.
func accessTokenOf(t *testing.T, a servertest.Answer) string {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatal(err)
	}
	return body["access_token"]
}
