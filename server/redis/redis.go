// Package redis serves clients of the REST API of Redis Enterprise Software. It exchanges a login
// and a password for a signed token, and a token for a new one.
//
// It follows the vendor's reference for version 7.8.2 and later, which expects credentials in the
// Authorization header:
// https://redis.io/docs/latest/operate/rs/references/rest-api/requests/users/
package redis

import (
	"net/http"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// Config holds what the API translates to. All fields are required.
type Config struct {
	Logins *authn.Logins
	Tokens *authn.Token
	Grants *grant.Grants
}

// New returns the API.
func New(c Config) api.API {
	h := &handler{Config: c, refusals: newRefusals(), unavailable: newUnavailable()}
	return api.API{
		Name:     "redis",
		Prefixes: []string{"/v1/"},
		Routes: []api.Route{
			{Path: "/v1/users/authorize", Methods: map[string]http.HandlerFunc{http.MethodPost: h.authorize}},
			{Path: "/v1/users/refresh_jwt", Methods: map[string]http.HandlerFunc{http.MethodPost: h.refresh}},
		},
		NotFound:         func(w http.ResponseWriter, _ *http.Request) { h.refuse(w, errNotFound) },
		MethodNotAllowed: func(w http.ResponseWriter, _ *http.Request) { h.refuse(w, errMethodNotAllowed) },
		Unavailable:      func(w http.ResponseWriter, _ *http.Request) { h.refuse(w, authn.ErrUnavailable) },
	}
}

type handler struct {
	Config
	refusals    []refusal
	unavailable refusal
}
