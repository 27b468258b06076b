package puppet

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// issuedToken is the response of both routes that issue tokens. Keep token the first key: clients
// in shell scripts cut the response at its quotes.
type issuedToken struct {
	Token string `json:"token"`
}

// login serves POST /rbac-api/v1/auth/token. It reads the body before it checks the credentials, so
// that the response to a malformed request depends on nothing else.
// https://help.puppet.com/pe/current/topics/rbac_api_v1_token_post_auth.htm
func (h *handler) login(w http.ResponseWriter, r *http.Request) {
	login, password, order, err := readLogin(r)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	id, err := h.Logins.Authenticate(r.Context(), login, password)
	switch {
	case err == directory.ErrExpired: //nolint:errorlint // a sentinel; this API reports an expired account as a wrong password
		h.wire.refuse(w, r, authn.ErrWrongPassword)
	case err != nil:
		h.wire.refuse(w, r, err)
	default:
		h.issue(w, r, id.User, order)
	}
}

// generate serves POST /rbac-api/v1/tokens: a caller who holds a token gets another one.
// https://help.puppet.com/pe/current/topics/rbac-api-v1-tokens-post.htm
func (h *handler) generate(w http.ResponseWriter, r *http.Request) {
	id, ok := h.authenticateCaller(w, r)
	if !ok {
		return
	}
	object, err := readObject(r, true)
	if err == nil {
		var order grant.Order
		if order, err = parseOrder(object); err == nil {
			order.From = id.Claims
			h.issue(w, r, id.User, order)
			return
		}
	}
	h.wire.refuse(w, r, err)
}

// issue writes a new opaque token for u.
func (h *handler) issue(w http.ResponseWriter, r *http.Request, u *directory.User, o grant.Order) {
	text, err := h.Grants.Opaque(r.Context(), u, o)
	if err != nil {
		h.wire.refuse(w, r, err)
		return
	}
	api.WriteJSON(w, http.StatusOK, issuedToken{Token: text})
}

func readLogin(r *http.Request) (login, password string, o grant.Order, err error) {
	object, err := readObject(r, false)
	if err != nil {
		return "", "", o, err
	}
	return parseLogin(object)
}

func parseLogin(object strictjson.Object) (login, password string, o grant.Order, err error) {
	f := fields{object: object}
	login, password = f.requiredString("login"), f.requiredString("password")
	o = f.order()
	return login, password, o, f.finish("login, password, lifetime, label, description and client")
}

func parseOrder(object strictjson.Object) (grant.Order, error) {
	f := fields{object: object}
	o := f.order()
	return o, f.finish("lifetime, label, description and client")
}
