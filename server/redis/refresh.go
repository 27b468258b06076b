package redis

import (
	"context"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// refresh answers POST /v1/users/refresh_jwt. The token comes first here, and the body only after it. The old token stays
// good until it ends.
func (h *handler) refresh(w http.ResponseWriter, r *http.Request) {
	text, ok := request.Bearer(r)
	if !ok {
		h.refuse(w, errNoCredentials)
		return
	}
	user, err := h.refreshable(r.Context(), text)
	if err != nil {
		h.refuse(w, err)
		return
	}
	ttl, err := readTTL(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.issue(r.Context(), w, user, ttl)
}

// refreshable returns the user of a token that may be exchanged for a new one: a good JWT, of a user who could still log in.
// Otherwise a token would outlive the password it was given for, one refresh after the other.
func (h *handler) refreshable(ctx context.Context, text string) (*directory.User, error) {
	id, err := h.Tokens.Authenticate(ctx, text)
	if err != nil {
		return nil, err
	}
	switch {
	case id.Claims.Kind != token.KindJWT:
		err = token.ErrInvalid
	case id.User.PasswordsExpired(h.Tokens.Now()):
		err = authn.ErrPasswordExpired
	default:
		return id.User, nil
	}
	// The token as such was good, so its check was audited as allowed; this refusal is the door's own.
	h.Tokens.Audit(ctx, audit.Event{
		Name: audit.Issue, Outcome: audit.Refused, Reason: authn.Reason(err),
		Login: id.User.Login, UID: id.User.UID, TokenID: id.Claims.ID,
	})
	return nil, err
}
