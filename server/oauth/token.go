package oauth

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// The grants of the token endpoint (RFC 6749, 4.3 and 4.4). The password grant should no longer be used where there is a
// choice (RFC 9700, 2.4); it is here for clients that have none.
const (
	grantClientCredentials = "client_credentials"
	grantPassword          = "password"
)

// tokenResponse is RFC 6749, 5.1. A scope is not in it: none is granted, whatever was asked for.
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
}

// token answers POST /oauth2/token.
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

// subject returns the user that a token is asked for: the client itself or, with the password grant, the user whose password
// the client has. What is wrong with the request is found before any password is looked at.
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
	client, err := h.login(r.Context(), id, secret, errInvalidClient)
	if err != nil || f["grant_type"] == grantClientCredentials {
		return client, err
	}
	return h.login(r.Context(), f["username"], f["password"], errInvalidGrant)
}

// checkGrant says whether the grant is one of ours and complete.
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
