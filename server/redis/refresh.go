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

// refresh serves POST /v1/users/refresh_jwt. It checks the token first and reads the body only
// after that. The old token stays valid until it expires.
func (h *handler) refresh(w http.ResponseWriter, r *http.Request) {
	text, ok := request.Bearer(r)
	if !ok {
		h.refuse(w, errNoCredentials)
		return
	}
	user, err := h.refreshableUser(r.Context(), text)
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

// refreshableUser returns the user of a token that may be exchanged for a new one: a valid JWT of a
// user whose password has not expired. Without that condition a user could refresh again and again,
// and so outlive the password that the first token was issued for.
func (h *handler) refreshableUser(ctx context.Context, text string) (*directory.User, error) {
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
	// The token itself was valid, so its check was audited as allowed. Only this API refuses it.
	h.Tokens.Audit(ctx, audit.Event{
		Name: audit.Issue, Outcome: audit.Refused, Reason: authn.Reason(err),
		Login: id.User.Login, UID: id.User.UID, TokenID: id.Claims.ID,
	})
	return nil, err
}
