package redis

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// authorize serves POST /v1/users/authorize. It reads the body before it checks the credentials, so
// that the response to a malformed request depends on nothing else.
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

// issue writes a new token for u that is valid for ttl; 0 means the default lifetime.
func (h *handler) issue(ctx context.Context, w http.ResponseWriter, u *directory.User, ttl time.Duration) {
	text, _, err := h.Grants.JWT(ctx, u, ttl)
	if err != nil {
		h.refuse(w, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, accessToken{AccessToken: text})
}
