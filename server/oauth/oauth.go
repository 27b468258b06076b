// Package oauth serves clients of OAuth 2.0. It offers discovery and public keys to services that
// verify tokens themselves, a token endpoint (RFC 6749), introspection (RFC 7662) and revocation
// (RFC 7009). A client is an ordinary user: its id is the login, and its secret is the password.
package oauth

import (
	"net/http"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// Config holds what the API translates to and what it publishes. All fields are required.
type Config struct {
	Passwords  *authn.Password
	Assertions *authn.Assertion
	Tokens     *authn.Token
	Grants     *grant.Grants
	Directory  *directory.Directory
	Changes    *directory.Changes // of Directory

	Keys      *token.KeySet
	Issuer    string // the iss claim of tokens, and the URL at which clients reach the service
	Algorithm string // of new signing keys: token.ES256, token.EdDSA or token.RS256
	Now       func() time.Time
	// Waiting counts the requests that wait for revocations.
	Waiting interface{ Add(delta float64) }
	// Draining is closed when the service is about to stop: no request waits any longer.
	Draining <-chan struct{}
}

// New returns the API.
func New(c Config) api.API {
	h := &handler{Config: c, refusals: newRefusals(), unavailable: newUnavailable(), feed: newFeed(c.Changes)}
	get := func(f http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodGet: f}
	}
	post := func(f http.HandlerFunc) map[string]http.HandlerFunc {
		return map[string]http.HandlerFunc{http.MethodPost: f}
	}
	return api.API{
		Name:     "oauth",
		Prefixes: []string{"/oauth2/", "/.well-known/"},
		Routes: []api.Route{
			{Path: "/.well-known/openid-configuration", Methods: get(h.discovery)},
			{Path: "/.well-known/oauth-authorization-server", Methods: get(h.discovery)},
			{Path: keysPath, Methods: get(h.keys)},
			{Path: tokenPath, Methods: post(h.token)},
			{Path: introspectPath, Methods: post(h.introspect)},
			{Path: revokePath, Methods: post(h.revoke)},
			{Path: revocationsPath, Methods: get(h.followRevocations)},
		},
		NotFound:         notFound,
		MethodNotAllowed: methodNotAllowed,
		Unavailable:      func(w http.ResponseWriter, _ *http.Request) { h.refuse(w, authn.ErrUnavailable) },
	}
}

// The paths that the discovery document names.
const (
	keysPath       = "/.well-known/jwks.json"
	tokenPath      = "/oauth2/token" //nolint:gosec // a path
	introspectPath = "/oauth2/introspect"
	revokePath     = "/oauth2/revoke"

	revocationsPath = "/oauth2/revocations"
)

type handler struct {
	Config
	refusals    []refusal
	unavailable refusal
	feed        *feed
}
