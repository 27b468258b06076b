package oauth

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// The grants of the token endpoint (RFC 6749, 4.3 and 4.4). Clients that have a choice should not
// use the password grant (RFC 9700, 2.4); it exists for those that have none.
const (
	grantClientCredentials = "client_credentials"
	grantPassword          = "password"
)

// tokenResponse is the successful response (RFC 6749, 5.1). It has no scope, because the service
// grants none, whatever the client requests.
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
}

// token serves POST /oauth2/token.
func (h *handler) token(w http.ResponseWriter, r *http.Request) {
	user, err := h.subject(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	text, claims, err := h.Grants.JWT(r.Context(), user, 0)
	if err != nil {
		h.refuse(w, err)
		return
	}
	w.Header().Set("Pragma", "no-cache")
	api.WriteJSON(w, http.StatusOK, tokenResponse{
		AccessToken: text,
		TokenType:   "Bearer",
		ExpiresIn:   int64(claims.ExpiresAt.Sub(claims.IssuedAt).Seconds()),
	})
}

// subject returns the user whom the token is for: the client itself or, with the password grant,
// the user whose password the client sends. It reports a malformed request before it checks any
// password.
func (h *handler) subject(r *http.Request) (*directory.User, error) {
	f, err := readForm(r)
	if err != nil {
		return nil, err
	}
	if err := checkGrant(f); err != nil {
		return nil, err
	}
	id, secret, err := clientCredentials(r, f)
	if err != nil {
		return nil, err
	}
	client, err := h.authenticatePassword(r.Context(), id, secret, errInvalidClient)
	if err != nil || f["grant_type"] == grantClientCredentials {
		return client, err
	}
	return h.authenticatePassword(r.Context(), f["username"], f["password"], errInvalidGrant)
}

// checkGrant returns an error unless f has a supported grant type and all parameters of that grant.
func checkGrant(f form) error {
	switch f["grant_type"] {
	case "":
		return invalidRequest("grant_type is missing")
	case grantClientCredentials:
		return nil
	case grantPassword:
		if f["username"] == "" || f["password"] == "" {
			return invalidRequest("username or password is missing")
		}
		return nil
	}
	return errUnsupportedGrant
}
