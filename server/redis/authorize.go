package redis

import (
	"net/http"

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
	id, err := h.Logins.Authenticate(r.Context(), login, password)
	if err != nil {
		h.refuse(w, err)
		return
	}
	text, _, err := h.Grants.JWT(r.Context(), id.User, ttl)
	h.answer(w, text, err)
}

// answer writes a new token, or the refusal if there is an error.
func (h *handler) answer(w http.ResponseWriter, text string, err error) {
	if err != nil {
		h.refuse(w, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, accessToken{AccessToken: text})
}
