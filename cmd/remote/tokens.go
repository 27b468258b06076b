package remote

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Credential is what a login is made with.
type Credential struct {
	Login, Password string
	Lifetime, Label string // empty for the defaults of the service
}

// User is a user as the service describes it.
type User struct {
	ID          string   `json:"id"`
	Login       string   `json:"login"`
	DisplayName string   `json:"display_name,omitempty"`
	Email       string   `json:"email,omitempty"`
	Groups      []string `json:"group_names"`
	Admin       bool     `json:"is_superuser"`
}

// TokenInfo is what the service says about a valid token and its user.
type TokenInfo struct {
	User
	UserID  string    `json:"user_id"`
	Created time.Time `json:"creation"`
	Expires time.Time `json:"expiration"`
	Label   string    `json:"label,omitempty"`
}

// Listed is one recorded token of a user.
type Listed struct {
	ID          string    `json:"id"`
	Created     time.Time `json:"creation_date"`
	Expires     time.Time `json:"expiration_date"`
	Client      string    `json:"client,omitempty"`
	Description string    `json:"description,omitempty"`
	Label       string    `json:"label,omitempty"`
}

// Introspection is the part of an answer of RFC 7662 that both kinds of token have.
type Introspection struct {
	Active    bool     `json:"active"`
	Subject   string   `json:"sub,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	Audience  []string `json:"aud,omitempty"`
	ExpiresAt int64    `json:"exp,omitempty"`
}

// Exchanged is the answer of a token exchange.
type Exchanged struct {
	Token     string `json:"access_token"`
	ExpiresIn int64  `json:"expires_in"` // seconds
}

// issued is the answer of the routes that issue opaque tokens.
type issued struct {
	Token string `json:"token"`
}

// Login returns an opaque token for a login and a password.
func (c *Client) Login(ctx context.Context, with Credential) (string, error) {
	var out issued
	err := c.do(ctx, call{method: http.MethodPost, path: "/rbac-api/v1/auth/token", json: withOrder(map[string]string{
		"login": with.Login, "password": with.Password,
	}, with.Lifetime, with.Label)}, &out)
	return out.Token, err
}

// Exchange returns a JWT for an assertion, such as the token of a ServiceAccount (RFC 8693).
func (c *Client) Exchange(ctx context.Context, assertion string) (Exchanged, error) {
	var out Exchanged
	err := c.do(ctx, call{method: http.MethodPost, path: "/oauth2/token", form: url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		"subject_token":      {assertion},
	}}, &out)
	return out, err
}

// Renew returns another opaque token for the holder of one.
func (c *Client) Renew(ctx context.Context, token, lifetime string) (string, error) {
	var out issued
	err := c.do(ctx, call{method: http.MethodPost, path: "/rbac-api/v1/tokens", token: token,
		json: withOrder(map[string]string{}, lifetime, "")}, &out)
	return out.Token, err
}

// withOrder adds to a body what the token should be like, as far as it is given.
func withOrder(body map[string]string, lifetime, label string) map[string]string {
	if lifetime != "" {
		body["lifetime"] = lifetime
	}
	if label != "" {
		body["label"] = label
	}
	return body
}

// CurrentUser returns the user whose token it is.
func (c *Client) CurrentUser(ctx context.Context, token string) (User, error) {
	var out User
	err := c.do(ctx, call{method: http.MethodGet, path: "/rbac-api/v1/users/current", token: token}, &out)
	return out, err
}

// Describe returns what the service says about a token. The error for a token that is not valid says
// why.
func (c *Client) Describe(ctx context.Context, token string) (TokenInfo, error) {
	var out TokenInfo
	err := c.do(ctx, call{method: http.MethodPost, path: "/rbac-api/v2/auth/token/authenticate",
		json: map[string]string{"token": token}}, &out)
	out.ID = out.UserID
	return out, err
}

// Introspect asks about a token with the token itself as the credential (RFC 7662).
func (c *Client) Introspect(ctx context.Context, token string) (Introspection, error) {
	var out Introspection
	err := c.do(ctx, call{method: http.MethodPost, path: "/oauth2/introspect", token: token, bearer: true,
		form: url.Values{"token": {token}}}, &out)
	return out, err
}

// List returns the recorded tokens of a user.
func (c *Client) List(ctx context.Context, token, userID string) ([]Listed, error) {
	var out struct {
		Items []Listed `json:"items"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/rbac-api/v1/users/" + url.PathEscape(userID) + "/tokens", token: token}, &out)
	return out.Items, err
}

// Revocation names tokens to revoke. Each list may be empty.
type Revocation struct {
	Tokens    []string `json:"revoke_tokens,omitempty"`
	IDs       []string `json:"revoke_tokens_by_ids,omitempty"`
	Labels    []string `json:"revoke_tokens_by_labels,omitempty"`
	Usernames []string `json:"revoke_tokens_by_usernames,omitempty"`
}

// Revoke revokes tokens with the rights of the holder of a token.
func (c *Client) Revoke(ctx context.Context, token string, what Revocation) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/rbac-api/v2/tokens", token: token, json: what}, nil)
}
