package oauth

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// mayBeKept lets everybody keep an answer for as long as the rotation of keys allows.
func mayBeKept(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(token.JWKSMaxAge.Seconds())))
}

// keys answers GET /.well-known/jwks.json with the public keys (RFC 7517). While there are none it answers nothing, so that
// no cache keeps an empty set.
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
	mayBeKept(w)
	api.Write(w, http.StatusOK, "application/jwk-set+json", body)
}
