// Package forwardauth tells a proxy whether a request may pass and which user sent it. It works
// with auth_request of nginx, ForwardAuth of Traefik and the HTTP service of Envoy's ext_authz.
// Proxies read the status and the headers of the response.
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

// The response headers that identify the user.
const (
	userHeader   = "X-Auth-User"   // the login
	uidHeader    = "X-Auth-Uid"    // the user's UID
	groupsHeader = "X-Auth-Groups" // joined by commas; absent if the user has no groups
	tenantHeader = "X-Auth-Tenant" // the name of the Tenant; absent if the user belongs to none
)

// noKeepalive is a suffix that Puppet clients may append to a token in X-Authentication. It has no
// effect here.
const noKeepalive = "|no_keepalive"

// Config holds the verdicts that the API uses. All fields are required.
type Config struct {
	Logins *authn.Logins
	Tokens *authn.Token
}

// New returns the API. It serves /auth/verify and all paths below it, because Envoy, and proxies
// built on it, append the path of the original request. It accepts every method, because proxies
// forward the original one, and never reads a body.
func New(c Config) api.API {
	all := map[string]http.HandlerFunc{"*": verifier{c}.verify}
	return api.API{
		Name:        "forwardauth",
		Routes:      []api.Route{{Path: "/auth/verify", Methods: all}, {Path: "/auth/verify/", Methods: all}},
		Unavailable: func(w http.ResponseWriter, _ *http.Request) { refuse(w, authn.ErrUnavailable) },
	}
}

type verifier struct{ Config }

func (v verifier) verify(w http.ResponseWriter, r *http.Request) {
	id, err := v.authenticate(r)
	if err != nil {
		refuse(w, err)
		return
	}
	writeAllowed(w, id.User)
}

// authenticate verifies the credentials in Authorization if that header is present, whatever it
// holds, and otherwise those in X-Authentication.
func (v verifier) authenticate(r *http.Request) (authn.Identity, error) {
	if _, ok := r.Header["Authorization"]; ok {
		return v.authenticateAuthorization(r)
	}
	tokens := r.Header["X-Authentication"]
	if len(tokens) != 1 {
		return authn.Identity{}, errNoCredentials
	}
	return v.authenticateToken(r.Context(), strings.TrimSuffix(tokens[0], noKeepalive))
}

func (v verifier) authenticateAuthorization(r *http.Request) (authn.Identity, error) {
	if token, ok := request.Bearer(r); ok {
		return v.authenticateToken(r.Context(), token)
	}
	login, password, ok := request.Basic(r)
	if !ok {
		return authn.Identity{}, errNoCredentials
	}
	return headerSafe(v.Logins.Authenticate(r.Context(), login, password))
}

func (v verifier) authenticateToken(ctx context.Context, text string) (authn.Identity, error) {
	return headerSafe(v.Tokens.Authenticate(ctx, text))
}

// headerSafe returns the results of a verdict, but refuses users whose login or groups a header
// cannot carry. Proxies and servers trim white space from both ends of a header, so that " root"
// would arrive as "root".
func headerSafe(id authn.Identity, err error) (authn.Identity, error) {
	if err != nil {
		return id, err
	}
	for _, name := range append([]string{id.User.Login}, id.User.Groups...) {
		if strings.TrimSpace(name) != name || strings.ContainsFunc(name, unicode.IsControl) {
			return authn.Identity{}, errNotHeaderSafe
		}
	}
	return id, nil
}

// writeAllowed answers 200 and names the user. The verdict holds for this one request, so it
// forbids caching.
func writeAllowed(w http.ResponseWriter, u *directory.User) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set(userHeader, u.Login)
	h.Set(uidHeader, u.UID)
	if len(u.Groups) > 0 {
		h.Set(groupsHeader, strings.Join(u.Groups, ","))
	}
	if u.Tenant != "" {
		h.Set(tenantHeader, u.Tenant)
	}
	w.WriteHeader(http.StatusOK)
}
