package oauth

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// introspection is the response for a valid token (RFC 7662, 2.2): the current data of its user,
// and the claims of the token. The caller must find itself in the audience: the token may be for
// another service.
type introspection struct {
	Active    bool     `json:"active"`
	Subject   string   `json:"sub"`
	Username  string   `json:"username"`
	UID       string   `json:"uid"`
	Groups    []string `json:"groups,omitempty"`
	Tenant    string   `json:"tenant,omitempty"`
	ClientID  string   `json:"client_id"`
	Issuer    string   `json:"iss"`
	Audience  []string `json:"aud"`
	IssuedAt  int64    `json:"iat"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
	TokenType string   `json:"token_type"`
}

// inactive is the response for every other token, so that no one learns why it is not valid.
const inactive = `{"active":false}`

// introspect serves POST /oauth2/introspect.
func (h *handler) introspect(w http.ResponseWriter, r *http.Request) {
	text, err := h.submittedToken(r)
	if err != nil {
		h.refuse(w, err)
		return
	}
	id, err := h.Tokens.Inspect(r.Context(), text)
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
		Active: true, Subject: u.Login, Username: u.Login, UID: u.UID, Groups: u.Groups, Tenant: u.Tenant, ClientID: u.Login,
		Issuer: c.Issuer, Audience: c.Audience, IssuedAt: c.IssuedAt.Unix(), ExpiresAt: c.ExpiresAt.Unix(), ID: c.ID,
		TokenType: "Bearer",
	}
}

// submittedToken returns the token that an authenticated caller asks about. A caller who may not ask
// learns only how to authenticate, and nothing else that is wrong with the request. It ignores
// token_type_hint, because a token itself shows its kind.
func (h *handler) submittedToken(r *http.Request) (string, error) {
	f, formError := readForm(r)
	if err := checkClientAssertion(f); err != nil {
		return "", err
	}
	if err := h.authenticateCaller(r, f); err != nil {
		return "", err
	}
	if formError != nil {
		return "", formError
	}
	if f.get("token") == "" {
		return "", invalidRequest("token is missing")
	}
	return f.get("token"), nil
}
