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
	s := newService(t)
	for name, text := range map[string]string{"opaque": sealed(t, s, "brief", grant.Order{}), "JWT": signed(t, s, "brief")} {
		for body, want := range map[string]time.Duration{"": 10 * time.Minute, "{}": 10 * time.Minute, `{"lifetime":"5m"}`: 5 * time.Minute, `{"lifetime":"0"}`: 30 * time.Minute} {
			other := issuedBy(t, s.Send(t, "POST", generatePath, body, with(text)))
			c := claims(t, s, other)
			if d := c.ExpiresAt.Sub(c.IssuedAt); other == text || c.UID != servertest.UID("brief") || d != want || c.Kind != token.KindOpaque {
				t.Errorf("%s, body %s: %+v", name, body, c)
			}
		}
	}
}

func TestTheTokenIsLookedAtBeforeTheBody(t *testing.T) {
	s := newService(t)
	large := strings.Repeat(" ", 65537)
	for name, a := range map[string]servertest.Answer{
		"generate, unknown key":  s.Send(t, "POST", generatePath, `{"colour":"red"}`, with("garbage")),
		"generate, media type":   s.Send(t, "POST", generatePath, `{}`, with("garbage"), "Content-Type: text/plain"),
		"generate, too large":    s.Send(t, "POST", generatePath, large, with("garbage")),
		"revoke, malformed":      s.Send(t, "DELETE", revokePath, `{`, with("garbage")),
		"revoke, malformed path": s.Send(t, "DELETE", revokePath+"?%zz", ``, with("garbage")),
		"list, no UUID":          s.Send(t, "GET", "/rbac-api/v1/users/x/tokens?limit=x", "", with("garbage")),
	} {
		t.Run(name, func(t *testing.T) { refused(t, a, http.StatusUnauthorized, "invalid-token") })
	}
	refused(t, s.Send(t, "POST", generatePath, large, with(sealed(t, s, "alice", grant.Order{}))), http.StatusRequestEntityTooLarge, "request-too-large")
}

func TestTheBodyOfAGeneratedTokenIsCheckedAsThatOfALogin(t *testing.T) {
	s := newService(t)
	alice := with(sealed(t, s, "alice", grant.Order{}))
	for name, members := range badOrders() {
		t.Run(name, func(t *testing.T) {
			refused(t, s.Send(t, "POST", generatePath, object(t, members...), alice), http.StatusBadRequest, "schema-violation")
		})
	}
	refused(t, s.Send(t, "POST", generatePath, credentials(t, "alice"), alice), http.StatusBadRequest, "schema-violation")
	refused(t, s.Send(t, "POST", generatePath, `[]`, alice), http.StatusBadRequest, "schema-violation")
	refused(t, s.Send(t, "POST", generatePath, `{`, alice), http.StatusBadRequest, "malformed-request")
	refused(t, s.Send(t, "POST", generatePath, `{}`, alice, "Content-Type: text/plain"), http.StatusUnsupportedMediaType, "unsupported-type")
}
