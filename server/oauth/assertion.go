package oauth

import (
	"context"
	"net/http"
	"slices"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// The types of RFC 8693, 3, and RFC 7523, 2.2.
const (
	tokenTypeAccess = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // not a credential
	tokenTypeID     = "urn:ietf:params:oauth:token-type:id_token"     //nolint:gosec // as above
	tokenTypeJWT    = "urn:ietf:params:oauth:token-type:jwt"          //nolint:gosec // as above
	assertionJWT    = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// checkExchange returns an error unless f has what a token exchange needs (RFC 8693, 2.1), and asks
// for nothing that the service cannot do.
func checkExchange(f form) error {
	switch {
	case f.get("subject_token") == "":
		return invalidRequest("subject_token is missing")
	case !slices.Contains([]string{tokenTypeJWT, tokenTypeID, tokenTypeAccess}, f.get("subject_token_type")):
		return invalidRequest("subject_token_type must be " + tokenTypeJWT + ", " + tokenTypeID + " or " + tokenTypeAccess)
	case !slices.Contains([]string{"", tokenTypeAccess, tokenTypeJWT}, f.get("requested_token_type")):
		return invalidRequest("requested_token_type must be " + tokenTypeAccess + " or " + tokenTypeJWT)
	case f.get("actor_token") != "" || f.get("actor_token_type") != "":
		return invalidRequest("actor_token is not supported")
	}
	return nil
}

// exchange returns the user for whom the subject token speaks. The client needs no other credential.
func (h *handler) exchange(ctx context.Context, f form) (*directory.User, error) {
	id, err := h.Assertions.Authenticate(ctx, f.get("subject_token"))
	if authn.IsRefusal(err) {
		return nil, errInvalidSubject
	}
	return id.User, err
}

// issuedTokenType returns the type that the response to a token exchange must name. Other responses
// name none.
func issuedTokenType(f form) string {
	switch {
	case f.get("grant_type") != grantTokenExchange:
		return ""
	case f.get("requested_token_type") == tokenTypeJWT:
		return tokenTypeJWT
	}
	return tokenTypeAccess
}

// checkClientAssertion returns an error unless a client assertion has the only type that the service
// takes (RFC 7521, 4.2).
func checkClientAssertion(f form) error {
	switch {
	case f.get("client_assertion") == "" && f.get("client_assertion_type") == "":
		return nil
	case f.get("client_assertion") == "":
		return invalidRequest("client_assertion is missing")
	case f.get("client_assertion_type") != assertionJWT:
		return invalidRequest("client_assertion_type must be " + assertionJWT)
	case f.get("client_secret") != "":
		return invalidRequest("authenticate the client with client_assertion or with client_secret, not with both")
	}
	return nil
}

// assertedClient returns the user for whom the client assertion speaks. A client_id beside it is
// redundant and must be the login of that user.
func (h *handler) assertedClient(r *http.Request, f form) (*directory.User, error) {
	if len(r.Header["Authorization"]) > 0 {
		return nil, invalidRequest("authenticate the client in the Authorization header or with client_assertion, not with both")
	}
	authenticate := h.Assertions.Authenticate
	if login := f.get("client_id"); login != "" {
		authenticate = func(ctx context.Context, text string) (authn.Identity, error) {
			return h.Assertions.AuthenticateLogin(ctx, login, text)
		}
	}
	id, err := authenticate(r.Context(), f.get("client_assertion"))
	if authn.IsRefusal(err) {
		return nil, errInvalidClient
	}
	return id.User, err
}
