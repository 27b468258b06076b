package puppet

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// authenticateCaller returns the identity of the token that came with a request. If there is no
// valid token it writes the refusal and returns false.
func (h *handler) authenticateCaller(w http.ResponseWriter, r *http.Request) (authn.Identity, bool) {
	text := tokenFromRequest(r)
	if text == "" {
		h.wire.write(w, r, noToken)
		return authn.Identity{}, false
	}
	id, err := h.Tokens.Authenticate(r.Context(), text)
	if err != nil {
		h.wire.refuse(w, r, tokenError(err))
		return authn.Identity{}, false
	}
	return id, true
}

// auditDenied reports what a caller without the right to it asked for.
func (h *handler) auditDenied(ctx context.Context, e audit.Event) {
	e.Outcome, e.Reason = audit.Refused, "permission_denied"
	h.Tokens.Audit(ctx, e)
}

// tokenFromRequest returns the token of a request, from X-Authentication or otherwise from the
// query. In the header it may have a suffix that asks not to count the request as activity. An
// empty header counts as absent.
func tokenFromRequest(r *http.Request) string {
	if header := r.Header.Get("X-Authentication"); header != "" {
		return strings.TrimSuffix(header, "|no_keepalive")
	}
	return r.URL.Query().Get("token")
}

// tokenError maps an error of token verification to the error that this API reports: a token whose
// account has expired counts as expired.
func tokenError(err error) error {
	if errors.Is(err, directory.ErrExpired) {
		return token.ErrExpired
	}
	return err
}
