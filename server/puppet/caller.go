package puppet

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// caller returns who sent a request, by its token, or answers that the route needs one.
func (h *handler) caller(w http.ResponseWriter, r *http.Request) (authn.Identity, bool) {
	text := credential(r)
	if text == "" {
		h.wire.write(w, r, noToken)
		return authn.Identity{}, false
	}
	id, err := h.Tokens.Authenticate(r.Context(), text)
	if err != nil {
		h.wire.refuse(w, r, onToken(err))
		return authn.Identity{}, false
	}
	return id, true
}

// credential is the token of a request: X-Authentication first, where it may have a suffix that asks not to count the
// request as activity, then the query. An empty header is none.
func credential(r *http.Request) string {
	if header := r.Header.Get("X-Authentication"); header != "" {
		return strings.TrimSuffix(header, "|no_keepalive")
	}
	return r.URL.Query().Get("token")
}

// onToken names what ends a token in the words of this dialect: with its account, a token has expired.
func onToken(err error) error {
	if errors.Is(err, directory.ErrExpired) {
		return token.ErrExpired
	}
	return err
}
