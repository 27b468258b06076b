package oauth

import (
	"net/http"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// The grants of the token endpoint (RFC 6749, 4.3 and 4.4; RFC 8693). Clients that have a choice should not
// use the password grant (RFC 9700, 2.4); it exists for those that have none.
const (
	grantClientCredentials = "client_credentials"
	grantPassword          = "password"
	grantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // not a credential
)

// tokenResponse is the successful response (RFC 6749, 5.1). It has no scope, because the service
// grants none, whatever the client requests.
type tokenResponse struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type,omitempty"` // after a token exchange (RFC 8693, 2.2.1)
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"` // seconds
}

// token serves POST /oauth2/token.
func (h *handler) token(w http.ResponseWriter, r *http.Request) {
	f, err := readTokenRequest(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	user, err := h.subject(r, f)
	if err != nil {
		h.refuse(w, err)
		return
	}
	text, claims, err := h.Grants.JWT(r.Context(), user, 0, targets(f)...)
	if err != nil {
		h.refuse(w, err)
		return
	}
	w.Header().Set("Pragma", "no-cache")
	api.WriteJSON(w, http.StatusOK, tokenResponse{
		AccessToken:     text,
		IssuedTokenType: issuedTokenType(f),
		TokenType:       "Bearer",
		ExpiresIn:       int64(claims.ExpiresAt.Sub(claims.IssuedAt).Seconds()),
	})
}

// targets returns what the client wants the token for: by address (RFC 8707, 2) or by name (RFC
// 8693, 2.1).
func targets(f form) []string {
	var out []string
	for _, target := range slices.Concat(f["resource"], f["audience"]) {
		if target != "" && !slices.Contains(out, target) {
			out = append(out, target)
		}
	}
	return out
}

// readTokenRequest reads the form of a request for a token, and checks it before anyone checks a
// credential.
func readTokenRequest(r *http.Request) (form, error) {
	f, err := readForm(r)
	if err != nil {
		return nil, err
	}
	if err := checkGrant(f); err != nil {
		return nil, err
	}
	return f, checkClientAssertion(f)
}

// subject returns the user whom the token is for: the client itself, the user whose password the
// client sends with the password grant, or the user for whom an assertion of another issuer speaks.
func (h *handler) subject(r *http.Request, f form) (*directory.User, error) {
	if f.get("grant_type") == grantTokenExchange {
		return h.exchange(r.Context(), f)
	}
	client, err := h.client(r, f)
	if err != nil || f.get("grant_type") == grantClientCredentials {
		return client, err
	}
	return h.authenticatePassword(r.Context(), errInvalidGrant, authn.Credentials{Login: f.get("username"), Password: f.get("password")})
}

// checkGrant returns an error unless f has a supported grant type and all parameters of that grant.
func checkGrant(f form) error {
	switch f.get("grant_type") {
	case "":
		return invalidRequest("grant_type is missing")
	case grantClientCredentials:
		return nil
	case grantPassword:
		if f.get("username") == "" || f.get("password") == "" {
			return invalidRequest("username or password is missing")
		}
		return nil
	case grantTokenExchange:
		return checkExchange(f)
	}
	return errUnsupportedGrant
}
