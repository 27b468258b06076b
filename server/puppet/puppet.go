// Package puppet serves clients of the RBAC API of Puppet Enterprise. It exchanges a login and a
// password for an opaque token, and it describes, lists and revokes tokens.
//
// It follows the vendor's reference,
// https://help.puppet.com/pe/current/topics/rbac_api_v1_token_post_auth.htm and the pages next to
// it. The status routes follow the vendor's open source library,
// https://github.com/puppetlabs/trapperkeeper-status.
package puppet

import (
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// Config holds what the API translates to. All fields are required.
type Config struct {
	Logins      *authn.Logins
	Tokens      *authn.Token
	Grants      *grant.Grants
	Directory   *directory.Directory
	Keys        *token.KeySet
	AdminGroups []string // members may list and revoke the tokens of other users
	Version     string   // of the service, reported by its status
	Now         func() time.Time
}

// New returns the API.
func New(c Config) api.API {
	h := &handler{Config: c, wire: newWire()}
	post := func(f http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodPost: f}
	}
	get := func(f http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodGet: f}
	}
	remove := func(f http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodDelete: f}
	}
	return api.API{
		Name:     "puppet",
		Prefixes: []string{"/rbac-api/", "/auth/", "/status/"},
		Routes: []api.Route{
			{Path: "/rbac-api/v1/auth/token", Methods: post(h.login)},
			{Path: "/auth/token", Methods: post(h.login)},
			{Path: "/rbac-api/v1/tokens", Methods: post(h.generate)},
			{Path: "/rbac-api/v1/users/current", Methods: get(h.current)},
			{Path: "/rbac-api/v1/users/{id}/tokens", Methods: get(h.list)},
			{Path: "/rbac-api/v2/tokens", Methods: remove(h.revoke)},
			{Path: "/rbac-api/v2/tokens/{token}", Methods: remove(h.revokeOne)},
			{Path: "/rbac-api/v2/auth/token/authenticate", Methods: post(h.authenticate)},
			{Path: "/status/v1/simple", Methods: get(h.statusSimple)},
			{Path: "/status/v1/simple/{service}", Methods: get(h.statusSimple)},
			{Path: "/status/v1/services", Methods: get(h.statusServices)},
			{Path: "/status/v1/services/{service}", Methods: get(h.statusService)},
		},
		NotFound:         func(w http.ResponseWriter, r *http.Request) { h.wire.write(w, r, notFound) },
		MethodNotAllowed: func(w http.ResponseWriter, r *http.Request) { h.wire.write(w, r, methodNotAllowed) },
		Unavailable:      func(w http.ResponseWriter, r *http.Request) { h.wire.refuse(w, r, authn.ErrUnavailable) },
	}
}

type handler struct {
	Config
	wire *wire
}

// isAdmin reports whether u may list and revoke the tokens of other users.
func (h *handler) isAdmin(u *directory.User) bool {
	return slices.ContainsFunc(u.Groups, func(g string) bool { return slices.Contains(h.AdminGroups, g) })
}
