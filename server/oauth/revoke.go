package oauth

import (
	"errors"
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
)

// revoke answers POST /oauth2/revoke (RFC 7009): whoever holds a whole token may end it. What is no token of ours needs no
// ending and is no error; 200 to any other means that its end is recorded. That includes one that is void at the moment for
// what its user is, since that may change again.
func (h *handler) revoke(w http.ResponseWriter, r *http.Request) {
	text, err := h.tokenInQuestion(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	id, err := h.Tokens.Authenticate(r.Context(), text)
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
	w.WriteHeader(http.StatusOK) // and no body: the status says it all (RFC 7009, 2.2)
}
