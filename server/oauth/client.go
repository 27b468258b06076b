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

// login returns the user with these credentials. Every refusal is the one given, whatever its reason.
func (h *handler) login(ctx context.Context, login, password string, refusal error) (*directory.User, error) {
	id, err := h.Passwords.Authenticate(ctx, login, password)
	if authn.IsRefusal(err) {
		return nil, refusal
	}
	return id.User, err
}

// authenticateCaller says whether somebody who may ask about tokens, or end them, has sent a request: any user in good
// standing, by Basic or by a token.
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
	_, err := h.login(r.Context(), id, secret, errInvalidClient)
	return err
}

// clientCredentials returns what a client sent to the token endpoint to name itself: in the Authorization header or in the
// form, and not in both (RFC 6749, 2.3). A client_id beside the header says nothing new, and must say the same.
func clientCredentials(r *http.Request, f form) (id, secret string, err error) {
	if len(r.Header["Authorization"]) == 0 {
		if f["client_id"] == "" {
			return "", "", errInvalidClient
		}
		return f["client_id"], f["client_secret"], nil
	}
	if f["client_secret"] != "" {
		return "", "", invalidRequest("the client may authenticate in the Authorization header or in the body, not in both")
	}
	id, secret, ok := basicClient(r)
	if !ok {
		return "", "", errInvalidClient
	}
	if f["client_id"] != "" && f["client_id"] != id {
		return "", "", invalidRequest("client_id is not the client of the Authorization header")
	}
	return id, secret, nil
}

// basicClient reads id and secret of a client from the Authorization header.
func basicClient(r *http.Request) (id, secret string, ok bool) {
	id, secret, ok = request.Basic(r)
	return formDecoded(id), formDecoded(secret), ok
}

// formDecoded undoes the encoding that id and secret have in the Authorization header (RFC 6749, 2.3.1). Text that is no such
// encoding comes from a client that knows plain Basic only, and is taken as it is.
func formDecoded(text string) string {
	decoded, err := url.QueryUnescape(text)
	if err != nil || !utf8.ValidString(decoded) {
		return text
	}
	return decoded
}
