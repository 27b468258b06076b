package puppet_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestHolderOfATokenGetsAnotherOne(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, text := range map[string]string{"opaque": issueOpaque(t, s, "brief", grant.Order{}), "JWT": issueJWT(t, s, "brief")} {
		from := claims(t, s, text)
		for body, want := range map[string]time.Duration{"": 10 * time.Minute, "{}": 10 * time.Minute, `{"lifetime":"2m"}`: 2 * time.Minute, `{"lifetime":"0"}`: 30 * time.Minute} {
			other := issuedToken(t, s.Send(t, "POST", generatePath, body, tokenHeader(text)))
			c := claims(t, s, other)
			end := from.IssuedAt.Add(30 * time.Minute)
			if name == "JWT" {
				end = from.ExpiresAt
			}
			if wanted := c.IssuedAt.Add(want); wanted.Before(end) {
				end = wanted
			}
			if other == text || c.UID != servertest.UID("brief") || !c.ExpiresAt.Equal(end) || c.Kind != token.KindOpaque {
				t.Errorf("%s, body %s: %+v, want it to end at %s", name, body, c, end)
			}
		}
	}
}

func TestGenerateNeedsAUserWhoCouldLogIn(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, text := range []string{issueOpaque(t, s, "passwordless", grant.Order{}), issueJWT(t, s, "passwordless")} {
		assertRefused(t, s.Send(t, "POST", generatePath, "", tokenHeader(text)), http.StatusUnauthorized, "user-unauthenticated")
	}
	text := issueOpaque(t, s, "alice", grant.Order{})
	expired := *user(t, s, "alice")
	expired.Credentials = &directory.Credentials{Passwords: []directory.Password{{Hash: servertest.Hash(t, "right"), ExpiresAt: s.Now()}}}
	s.Put(t, expired)
	assertRefused(t, s.Send(t, "POST", generatePath, "", tokenHeader(text)), http.StatusUnauthorized, "user-unauthenticated")
}

// Two tokens of one user may end at different times. A label must not turn the shorter one into the
// longer one.
func TestLabelIsNoWayToALongerToken(t *testing.T) {
	t.Parallel()
	s := newService(t)
	early := issueOpaque(t, s, "alice", grant.Order{Lifetime: time.Hour})
	jwt := issueJWT(t, s, "alice")
	s.Advance(time.Minute)
	late := issueOpaque(t, s, "alice", grant.Order{Lifetime: grant.Longest, Label: "ci"})
	for name, text := range map[string]string{"an earlier login": early, "a JWT": jwt} {
		t.Run(name, func(t *testing.T) {
			assertRefused(t, s.Send(t, "POST", generatePath, `{"label":"ci"}`, tokenHeader(text)), http.StatusConflict, "conflict")
		})
	}
	if again := issuedToken(t, s.Send(t, "POST", generatePath, `{"label":"ci"}`, tokenHeader(late))); again != late {
		t.Error("the label gives another token")
	}
	first := issuedToken(t, s.Send(t, "POST", generatePath, `{"label":"brief"}`, tokenHeader(jwt)))
	if again := issuedToken(t, s.Send(t, "POST", generatePath, `{"label":"brief"}`, tokenHeader(jwt))); again != first {
		t.Error("the label of a token made from a JWT gives another token")
	}
}

func TestTokenIsCheckedBeforeTheBody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	large := strings.Repeat(" ", 65537)
	for name, a := range map[string]servertest.Answer{
		"generate, unknown key":  s.Send(t, "POST", generatePath, `{"colour":"red"}`, tokenHeader("garbage")),
		"generate, media type":   s.Send(t, "POST", generatePath, `{}`, tokenHeader("garbage"), "Content-Type: text/plain"),
		"generate, too large":    s.Send(t, "POST", generatePath, large, tokenHeader("garbage")),
		"revoke, malformed":      s.Send(t, "DELETE", revokePath, `{`, tokenHeader("garbage")),
		"revoke, malformed path": s.Send(t, "DELETE", revokePath+"?%zz", ``, tokenHeader("garbage")),
		"list, not a UUID":       s.Send(t, "GET", "/rbac-api/v1/users/x/tokens?limit=x", "", tokenHeader("garbage")),
	} {
		t.Run(name, func(t *testing.T) { assertRefused(t, a, http.StatusUnauthorized, "invalid-token") })
	}
	assertRefused(t, s.Send(t, "POST", generatePath, large, tokenHeader(issueOpaque(t, s, "alice", grant.Order{}))), http.StatusRequestEntityTooLarge, "request-too-large")
}

func TestGenerateChecksTheBodyLikeLogin(t *testing.T) {
	t.Parallel()
	s := newService(t)
	alice := tokenHeader(issueOpaque(t, s, "alice", grant.Order{}))
	for name, members := range badOrders() {
		t.Run(name, func(t *testing.T) {
			assertRefused(t, s.Send(t, "POST", generatePath, jsonObject(t, members...), alice), http.StatusBadRequest, "schema-violation")
		})
	}
	assertRefused(t, s.Send(t, "POST", generatePath, loginBody(t, "alice"), alice), http.StatusBadRequest, "schema-violation")
	assertRefused(t, s.Send(t, "POST", generatePath, `[]`, alice), http.StatusBadRequest, "schema-violation")
	assertRefused(t, s.Send(t, "POST", generatePath, `{`, alice), http.StatusBadRequest, "malformed-request")
	assertRefused(t, s.Send(t, "POST", generatePath, `{}`, alice, "Content-Type: text/plain"), http.StatusUnsupportedMediaType, "unsupported-type")
}
