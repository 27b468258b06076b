package oauth

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// allowCaching lets any cache keep a response for as long as the rotation of keys permits.
func allowCaching(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(token.JWKSMaxAge.Seconds())))
}

// keys serves GET /.well-known/jwks.json with the public keys (RFC 7517). While there are none it
// answers 503, so that no cache keeps an empty set.
func (h *handler) keys(w http.ResponseWriter, _ *http.Request) {
	set := h.Keys.Public(h.Now())
	if len(set.Keys) == 0 {
		h.refuse(w, token.ErrNoKey)
		return
	}
	body, err := json.Marshal(set)
	if err != nil {
		h.refuse(w, err)
		return
	}
	allowCaching(w)
	api.Write(w, http.StatusOK, "application/jwk-set+json", body)
}
