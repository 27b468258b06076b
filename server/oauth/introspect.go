package oauth

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// introspection is what is said of a good token (RFC 7662, 2.2): who its user is now, and what the token says of itself.
type introspection struct {
	Active    bool     `json:"active"`
	Subject   string   `json:"sub"`
	Username  string   `json:"username"`
	UID       string   `json:"uid"`
	Groups    []string `json:"groups,omitempty"`
	ClientID  string   `json:"client_id"`
	Issuer    string   `json:"iss"`
	Audience  []string `json:"aud"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
	TokenType string   `json:"token_type"`
}

// inactive is all that is said of a bad one, so that nobody learns why.
const inactive = `{"active":false}`

// introspect answers POST /oauth2/introspect. The caller comes first: who may not ask is not told what is wrong with the
// question.
func (h *handler) introspect(w http.ResponseWriter, r *http.Request) {
	text, err := h.tokenInQuestion(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	id, err := h.Tokens.Authenticate(r.Context(), text)
	switch {
	case authn.IsRefusal(err):
		api.Write(w, http.StatusOK, "application/json", []byte(inactive))
	case err != nil:
		h.refuse(w, err)
	default:
		api.WriteJSON(w, http.StatusOK, introspectionOf(id))
	}
}

func introspectionOf(id authn.Identity) introspection {
	u, c := id.User, id.Claims
	return introspection{
		Active: true, Subject: u.Login, Username: u.Login, UID: u.UID, Groups: u.Groups, ClientID: u.Login,
		Issuer: c.Issuer, Audience: c.Audience, IssuedAt: c.IssuedAt.Unix(), ExpiresAt: c.ExpiresAt.Unix(), ID: c.ID,
		TokenType: "Bearer",
	}
}

// tokenInQuestion returns the token that a caller in good standing asks about. token_type_hint is not needed: a token shows
// of which kind it is.
func (h *handler) tokenInQuestion(r *http.Request) (string, error) {
	if err := h.authenticateCaller(r); err != nil {
		return "", err
	}
	f, err := readForm(r)
	if err != nil {
		return "", err
	}
	if f["token"] == "" {
		return "", invalidRequest("token is missing")
	}
	return f["token"], nil
}
