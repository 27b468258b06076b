package oauth

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-auth/gatehouse/internal/token"
	"github.com/gatehouse-auth/gatehouse/server/api"
)

// metadata describes the service (RFC 8414, 2, and OpenID Connect Discovery 1.0, 3). Everything it
// lists is true. Where clients would read a wrong default into a missing member, it denies that
// default: there is no authorization endpoint, hence no response type, and no request by reference.
// The service issues no ID tokens, but verifiers made for them take the algorithms of our tokens
// from id_token_signing_alg_values_supported.
type metadata struct {
	Issuer            string   `json:"issuer"`
	JWKSURI           string   `json:"jwks_uri"`
	TokenEndpoint     string   `json:"token_endpoint"`
	Introspection     string   `json:"introspection_endpoint"`
	Revocation        string   `json:"revocation_endpoint"`
	GrantTypes        []string `json:"grant_types_supported"`
	ResponseTypes     []string `json:"response_types_supported"`
	SubjectTypes      []string `json:"subject_types_supported"`
	Algorithms        []string `json:"id_token_signing_alg_values_supported"`
	Claims            []string `json:"claims_supported"`
	TokenAuth         []string `json:"token_endpoint_auth_methods_supported"`
	AssertionAlgs     []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuth []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAuth    []string `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAlgs    []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	RequestURI        bool     `json:"request_uri_parameter_supported"`
}

// discovery serves GET /.well-known/openid-configuration and GET
// /.well-known/oauth-authorization-server, with the same document.
func (h *handler) discovery(w http.ResponseWriter, _ *http.Request) {
	base := strings.TrimSuffix(h.Issuer, "/")
	clientAuth := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	assertionAlgs := []string{token.RS256, token.ES256, token.EdDSA}
	allowCaching(w)
	api.WriteJSON(w, http.StatusOK, metadata{
		Issuer:            h.Issuer,
		JWKSURI:           base + keysPath,
		TokenEndpoint:     base + tokenPath,
		Introspection:     base + introspectPath,
		Revocation:        base + revokePath,
		GrantTypes:        []string{grantClientCredentials, grantPassword, grantTokenExchange},
		ResponseTypes:     []string{},
		SubjectTypes:      []string{"public"},
		Algorithms:        h.algorithms(),
		Claims:            []string{"iss", "sub", "client_id", "uid", "aud", "iat", "nbf", "exp", "auth_time", "jti", "name", "email", "groups"},
		TokenAuth:         clientAuth,
		AssertionAlgs:     assertionAlgs,
		IntrospectionAuth: append(slices.Clone(clientAuth), "Bearer"),
		IntrospectionAlgs: assertionAlgs,
		RevocationAuth:    clientAuth, // it takes Bearer too, which RFC 8414, 2 lets it list for introspection only
		RevocationAlgs:    assertionAlgs,
	})
}

// algorithms returns the algorithm of new keys, followed by the other algorithms of the keys that
// still verify: after a change of the algorithm, older keys have another one.
func (h *handler) algorithms() []string {
	out := []string{h.Algorithm}
	for _, k := range h.Keys.Public(h.Now()).Keys {
		if !slices.Contains(out, k.Algorithm) {
			out = append(out, k.Algorithm)
		}
	}
	return out
}
