package oauth

import (
	"context"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// authenticatePassword returns the user with these credentials. If the service refuses them, the
// error is refusal, whatever the reason.
func (h *handler) authenticatePassword(ctx context.Context, login, password string, refusal error) (*directory.User, error) {
	id, err := h.Passwords.Authenticate(ctx, login, password)
	if authn.IsRefusal(err) {
		return nil, refusal
	}
	return id.User, err
}

// authenticateCaller returns an error unless the request comes from a user who may ask about tokens
// and revoke them. Any user who may log in is allowed to, with Basic or a token.
func (h *handler) authenticateCaller(r *http.Request) error {
	if text, ok := request.Bearer(r); ok {
		_, err := h.Tokens.Authenticate(r.Context(), text)
		if authn.IsRefusal(err) {
			return errInvalidToken
		}
		return err
	}
	id, secret, ok := basicClient(r)
	if !ok {
		return errInvalidClient
	}
	_, err := h.authenticatePassword(r.Context(), id, secret, errInvalidClient)
	return err
}

// clientCredentials returns the id and the secret that a client sent to the token endpoint, either
// in the Authorization header or in the form, but not in both (RFC 6749, 2.3). A client_id in the
// form beside the header is redundant and must match the header.
func clientCredentials(r *http.Request, f form) (id, secret string, err error) {
	if len(r.Header["Authorization"]) == 0 {
		if f["client_id"] == "" {
			return "", "", errInvalidClient
		}
		return f["client_id"], f["client_secret"], nil
	}
	if f["client_secret"] != "" {
		return "", "", invalidRequest("authenticate the client in the Authorization header or in the body, not in both")
	}
	id, secret, ok := basicClient(r)
	if !ok {
		return "", "", errInvalidClient
	}
	if f["client_id"] != "" && f["client_id"] != id {
		return "", "", invalidRequest("client_id does not match the Authorization header")
	}
	return id, secret, nil
}

// basicClient returns the id and the secret of a client from the Authorization header.
func basicClient(r *http.Request) (id, secret string, ok bool) {
	id, secret, ok = request.Basic(r)
	return formDecoded(id), formDecoded(secret), ok
}

// formDecoded decodes the form encoding that an id and a secret have in the Authorization header
// (RFC 6749, 2.3.1). Text that is not validly encoded comes from a client that knows only plain
// Basic, and is returned unchanged.
func formDecoded(text string) string {
	decoded, err := url.QueryUnescape(text)
	if err != nil || !utf8.ValidString(decoded) {
		return text
	}
	return decoded
}
