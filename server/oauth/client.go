package oauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// authenticatePassword returns the user to whom one of the credentials belongs. If the service
// refuses all of them, the error is refusal, whatever the reason.
func (h *handler) authenticatePassword(ctx context.Context, refusal error, readings ...authn.Credentials) (*directory.User, error) {
	id, err := h.Passwords.AuthenticateAny(ctx, readings...)
	if authn.IsRefusal(err) {
		return nil, refusal
	}
	return id.User, err
}

// authenticateCaller returns an error unless the request comes from a user who may ask about tokens
// and revoke them. Any user who may log in is allowed to, with a token or in each way in which a
// client authenticates at the token endpoint.
func (h *handler) authenticateCaller(r *http.Request, f form) error {
	text, ok := request.Bearer(r)
	if !ok {
		_, err := h.client(r, f)
		return err
	}
	_, err := h.Tokens.Authenticate(r.Context(), text)
	if authn.IsRefusal(err) {
		return errInvalidToken
	}
	return err
}

// client returns the client that sent a request, by an assertion, the Authorization header or the
// form (RFC 6749, 2.3).
func (h *handler) client(r *http.Request, f form) (*directory.User, error) {
	if f.get("client_assertion") != "" {
		return h.assertedClient(r, f)
	}
	readings, err := clientCredentials(r, f)
	if err != nil {
		return nil, err
	}
	return h.authenticatePassword(r.Context(), errInvalidClient, readings...)
}

// clientCredentials returns what the id and the secret of a client may be, either from the
// Authorization header or from the form, but not from both (RFC 6749, 2.3). A client_id in the form
// beside the header is redundant and must match the header.
func clientCredentials(r *http.Request, f form) ([]authn.Credentials, error) {
	if len(r.Header["Authorization"]) == 0 {
		if f.get("client_id") == "" {
			return nil, errInvalidClient
		}
		return []authn.Credentials{{Login: f.get("client_id"), Password: f.get("client_secret")}}, nil
	}
	if f.get("client_secret") != "" {
		return nil, invalidRequest("authenticate the client in the Authorization header or in the body, not in both")
	}
	readings := basicClient(r)
	if len(readings) == 0 {
		return nil, errInvalidClient
	}
	if id := f.get("client_id"); id != "" {
		readings = slices.DeleteFunc(readings, func(c authn.Credentials) bool { return c.Login != id })
		if len(readings) == 0 {
			return nil, invalidRequest("client_id does not match the Authorization header")
		}
	}
	return readings, nil
}

// basicClient returns what the id and the secret of a client in the Authorization header may be:
// form-decoded, as RFC 6749, 2.3.1 has it, and as they stand, for clients that know only plain
// Basic, such as curl -u. It returns one reading if they are the same, and none if there is no valid
// header.
func basicClient(r *http.Request) []authn.Credentials {
	id, secret, ok := request.Basic(r)
	if !ok {
		return nil
	}
	raw := authn.Credentials{Login: id, Password: secret}
	decoded := authn.Credentials{Login: formDecoded(id), Password: formDecoded(secret)}
	if decoded == raw {
		return []authn.Credentials{raw}
	}
	return []authn.Credentials{decoded, raw}
}

// formDecoded decodes text in form encoding. Text that is not validly encoded is returned unchanged.
func formDecoded(text string) string {
	decoded, err := url.QueryUnescape(text)
	if err != nil || !utf8.ValidString(decoded) {
		return text
	}
	return decoded
}
