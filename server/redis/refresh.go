package redis

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// refresh serves POST /v1/users/refresh_jwt. It checks the token first and reads the body only
// after that. The old token stays valid until it expires.
func (h *handler) refresh(w http.ResponseWriter, r *http.Request) {
	text, ok := request.Bearer(r)
	if !ok {
		h.refuse(w, errNoCredentials)
		return
	}
	id, err := h.refreshable(r.Context(), text)
	if err != nil {
		h.refuse(w, err)
		return
	}
	ttl, err := readTTL(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	text, _, err = h.Grants.Refresh(r.Context(), id.User, id.Claims, ttl)
	h.answer(w, text, err)
}

// refreshable returns the identity of a token that may be exchanged for a new one: a valid JWT of a
// user who could also log in.
func (h *handler) refreshable(ctx context.Context, text string) (authn.Identity, error) {
	id, err := h.Tokens.Authenticate(ctx, text)
	if err != nil {
		return id, err
	}
	err = token.ErrInvalid
	if id.Claims.Kind == token.KindJWT {
		err = h.Grants.CanDerive(id.User)
	}
	if err == nil {
		return id, nil
	}
	// The token itself was valid, so its check was audited as allowed. Only this API refuses it.
	h.Tokens.Audit(ctx, audit.Event{
		Name: audit.Issue, Outcome: audit.Refused, Reason: authn.Reason(err),
		Login: id.User.Login, UID: id.User.UID, TokenID: id.Claims.ID,
	})
	return id, err
}
