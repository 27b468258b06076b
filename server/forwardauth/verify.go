// Package forwardauth tells a proxy whether a request may pass and whose it is: for auth_request of nginx, ForwardAuth of
// Traefik and the HTTP service of Envoy's ext_authz. Proxies read the status and the headers of the answer.
package forwardauth

import (
	"context"
	"net/http"
	"strings"
	"unicode"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/api"
	"github.com/gatehouse-auth/gatehouse/server/request"
)

// The headers that say who it is.
const (
	userHeader   = "X-Auth-User"   // the login
	uidHeader    = "X-Auth-Uid"    // the user's UID
	groupsHeader = "X-Auth-Groups" // joined by commas, left out when there are none
)

// noKeepalive may follow a token in X-Authentication, where Puppet clients put it. It changes nothing here.
const noKeepalive = "|no_keepalive"

// Config is what the door needs.
type Config struct {
	Passwords *authn.Password
	Tokens    *authn.Token
}

// New returns the door: /auth/verify and all below it, because Envoy and what is built on it append the path of the request.
// It takes every method, because proxies forward the original one, and never reads a body.
func New(c Config) api.API {
	all := map[string]http.HandlerFunc{"*": verifier{c}.verify}
	return api.API{
		Name:   "forwardauth",
		Routes: []api.Route{{Path: "/auth/verify", Methods: all}, {Path: "/auth/verify/", Methods: all}},
	}
}

type verifier struct{ Config }

func (v verifier) verify(w http.ResponseWriter, r *http.Request) {
	id, err := v.authenticate(r)
	if err != nil {
		refuse(w, err)
		return
	}
	allow(w, id.User)
}

// authenticate takes the credentials from Authorization where there is one, whatever it holds, and else from
// X-Authentication.
func (v verifier) authenticate(r *http.Request) (authn.Identity, error) {
	if _, ok := r.Header["Authorization"]; ok {
		return v.authorization(r)
	}
	tokens := r.Header["X-Authentication"]
	if len(tokens) != 1 {
		return authn.Identity{}, errNoCredentials
	}
	return v.token(r.Context(), strings.TrimSuffix(tokens[0], noKeepalive))
}

func (v verifier) authorization(r *http.Request) (authn.Identity, error) {
	if token, ok := request.Bearer(r); ok {
		return v.token(r.Context(), token)
	}
	login, password, ok := request.Basic(r)
	if !ok {
		return authn.Identity{}, errNoCredentials
	}
	return tellable(v.Passwords.Authenticate(r.Context(), login, password))
}

func (v verifier) token(ctx context.Context, text string) (authn.Identity, error) {
	return tellable(v.Tokens.Authenticate(ctx, text))
}

// tellable refuses users whose login or groups a header cannot carry: proxies and servers cut white space off both ends of
// a header, so that " root" would arrive as "root".
func tellable(id authn.Identity, err error) (authn.Identity, error) {
	if err != nil {
		return id, err
	}
	for _, name := range append([]string{id.User.Login}, id.User.Groups...) {
		if strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl) {
			return authn.Identity{}, errUntellable
		}
	}
	return id, nil
}

// allow answers that the request may pass. What it says holds for this one request, so no cache may keep it.
func allow(w http.ResponseWriter, u *directory.User) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set(userHeader, u.Login)
	h.Set(uidHeader, u.UID)
	if len(u.Groups) > 0 {
		h.Set(groupsHeader, strings.Join(u.Groups, ","))
	}
	w.WriteHeader(http.StatusOK)
}
