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

func TestWhoHoldsATokenGetsAnotherOne(t *testing.T) {
	g := newGate(t)
	for name, text := range map[string]string{"opaque": sealed(t, g, "brief", grant.Order{}), "JWT": signed(t, g, "brief")} {
		for body, want := range map[string]time.Duration{"": 10 * time.Minute, "{}": 10 * time.Minute, `{"lifetime":"5m"}`: 5 * time.Minute, `{"lifetime":"0"}`: 30 * time.Minute} {
			other := issuedBy(t, g.Send(t, "POST", generatePath, body, with(text)))
			c := claims(t, g, other)
			if d := c.ExpiresAt.Sub(c.IssuedAt); other == text || c.UID != servertest.UID("brief") || d != want || c.Kind != token.KindOpaque {
				t.Errorf("%s, body %s: %+v", name, body, c)
			}
		}
	}
}

func TestTheTokenIsLookedAtBeforeTheBody(t *testing.T) {
	g := newGate(t)
	large := strings.Repeat(" ", 65537)
	for name, a := range map[string]servertest.Answer{
		"generate, unknown key":  g.Send(t, "POST", generatePath, `{"colour":"red"}`, with("garbage")),
		"generate, media type":   g.Send(t, "POST", generatePath, `{}`, with("garbage"), "Content-Type: text/plain"),
		"generate, too large":    g.Send(t, "POST", generatePath, large, with("garbage")),
		"revoke, malformed":      g.Send(t, "DELETE", revokePath, `{`, with("garbage")),
		"revoke, malformed path": g.Send(t, "DELETE", revokePath+"?%zz", ``, with("garbage")),
		"list, no UUID":          g.Send(t, "GET", "/rbac-api/v1/users/x/tokens?limit=x", "", with("garbage")),
	} {
		t.Run(name, func(t *testing.T) { refused(t, a, http.StatusUnauthorized, "invalid-token") })
	}
	refused(t, g.Send(t, "POST", generatePath, large, with(sealed(t, g, "alice", grant.Order{}))), http.StatusRequestEntityTooLarge, "request-too-large")
}

func TestTheBodyOfAGeneratedTokenIsCheckedAsThatOfALogin(t *testing.T) {
	g := newGate(t)
	alice := with(sealed(t, g, "alice", grant.Order{}))
	for name, members := range badOrders() {
		t.Run(name, func(t *testing.T) {
			refused(t, g.Send(t, "POST", generatePath, object(t, members...), alice), http.StatusBadRequest, "schema-violation")
		})
	}
	refused(t, g.Send(t, "POST", generatePath, credentials(t, "alice"), alice), http.StatusBadRequest, "schema-violation")
	refused(t, g.Send(t, "POST", generatePath, `[]`, alice), http.StatusBadRequest, "schema-violation")
	refused(t, g.Send(t, "POST", generatePath, `{`, alice), http.StatusBadRequest, "malformed-request")
	refused(t, g.Send(t, "POST", generatePath, `{}`, alice, "Content-Type: text/plain"), http.StatusUnsupportedMediaType, "unsupported-type")
}
