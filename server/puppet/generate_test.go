package puppet_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

func TestHolderOfATokenGetsAnotherOne(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for name, text := range map[string]string{"opaque": issueOpaque(t, s, "brief", grant.Order{}), "JWT": issueJWT(t, s, "brief")} {
		for body, want := range map[string]time.Duration{"": 10 * time.Minute, "{}": 10 * time.Minute, `{"lifetime":"5m"}`: 5 * time.Minute, `{"lifetime":"0"}`: 30 * time.Minute} {
			other := issuedToken(t, s.Send(t, "POST", generatePath, body, tokenHeader(text)))
			c := claims(t, s, other)
			if d := c.ExpiresAt.Sub(c.IssuedAt); other == text || c.UID != servertest.UID("brief") || d != want || c.Kind != token.KindOpaque {
				t.Errorf("%s, body %s: %+v", name, body, c)
			}
		}
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
