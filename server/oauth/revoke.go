package oauth

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
)

// revoke serves POST /oauth2/revoke (RFC 7009). Any authenticated caller who holds a whole token
// may revoke it. Text that is not one of our tokens is not an error, because there is nothing to
// revoke. For any other token, 200 means that its revocation is recorded. That includes a token
// that is void at the moment because of the state of its user: the state may change back.
func (h *handler) revoke(w http.ResponseWriter, r *http.Request) {
	text, err := h.submittedToken(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	id, err := h.Tokens.Inspect(r.Context(), text)
	if errors.Is(err, authn.ErrUnavailable) {
		h.refuse(w, err)
		return
	}
	if id.Claims.ID != "" {
		if err := h.Grants.Revoke(r.Context(), id.Claims); err != nil {
			h.refuse(w, err)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK) // without a body: the status is the whole response (RFC 7009, 2.2)
}
