package redis

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// authorize answers POST /v1/users/authorize. The body is read before the credentials are looked at, so that what a
// malformed request is told depends on nothing else.
func (h *handler) authorize(w http.ResponseWriter, r *http.Request) {
	ttl, err := readTTL(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	login, password, ok := request.Basic(r)
	if !ok {
		h.refuse(w, errNoCredentials)
		return
	}
	id, err := h.Passwords.Authenticate(r.Context(), login, password)
	if err != nil {
		h.refuse(w, err)
		return
	}
	h.issue(r.Context(), w, id.User, ttl)
}

// issue answers with a new token of a user.
func (h *handler) issue(ctx context.Context, w http.ResponseWriter, u *directory.User, ttl time.Duration) {
	text, _, err := h.Grants.JWT(ctx, u, ttl)
	if err != nil {
		h.refuse(w, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, accessToken{AccessToken: text})
}
