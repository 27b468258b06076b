package token

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// typ is the media type of access tokens (RFC 9068, 2.1). It tells them from JWTs for other
// purposes.
const typ = "at+jwt"

// leeway allows for clocks that differ. It applies to nbf and iat only: the end of a token is
// exact.
const leeway = 30 * time.Second

// backdating is how long nbf is before iat, for verifiers without leeway whose clocks are behind.
const backdating = 10 * time.Second

// jwtClaims are the claims of a JWT on the wire (RFC 7519; name, email: OpenID Connect Core 5.1).
type jwtClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	ClientID  string   `json:"client_id"` // the login, too: every user is a client (RFC 9068, 2.2)
	UID       string   `json:"uid"`
	Audience  []string `json:"aud"` // always a list
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ExpiresAt int64    `json:"exp"`
	AuthTime  int64    `json:"auth_time,omitzero"` // RFC 9068, 2.2.1
	ID        string   `json:"jti"`
	Name      string   `json:"name,omitempty"`
	Email     string   `json:"email,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	Tenant    string   `json:"tenant,omitempty"`
}

// sign encodes claims as a JWT and signs it (RFC 7515, 3.1).
func sign(k *Key, c Claims) (string, error) {
	payload, err := json.Marshal(jwtClaims{
		Issuer: c.Issuer, Subject: c.Login, ClientID: c.Login, UID: c.UID, Audience: c.Audience,
		IssuedAt: c.IssuedAt.Unix(), NotBefore: c.NotBefore.Unix(), ExpiresAt: c.ExpiresAt.Unix(), AuthTime: c.AuthTime.Unix(), ID: c.ID,
		Name: c.Name, Email: c.Email, Groups: c.Groups, Tenant: c.Tenant,
	}, jsontext.AllowInvalidUTF8(true)) // a name that is not UTF-8 must not lock anyone out
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	unsigned := headerOf(k) + "." + strict.EncodeToString(payload)
	signature, err := k.method().Sign(unsigned, k.signer)
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", k.ID, err)
	}
	return unsigned + "." + strict.EncodeToString(signature), nil
}

// headerOf returns the first part of every JWT that a key signs. It needs no JSON encoder: kid is
// base64url and the algorithm is one of three names, so nothing needs escaping.
func headerOf(k *Key) string {
	return strict.EncodeToString([]byte(`{"alg":"` + k.Algorithm + `","kid":"` + k.ID + `","typ":"` + typ + `"}`))
}

// method returns the signing method of a key. The key alone determines it (RFC 8725, 3.1).
func (k *Key) method() jwt.SigningMethod {
	switch k.Algorithm {
	case ES256:
		return jwt.SigningMethodES256
	case EdDSA:
		return jwt.SigningMethodEdDSA
	default:
		return jwt.SigningMethodRS256
	}
}

// parse returns the claims of a JWT that one of the keys has signed, and that key, or ErrInvalid. keys maps the
// whole header that each key writes to the key, so parse never decodes a header: one that names
// another algorithm or type, or that contains a key or points to one (RFC 8725, 3.10), belongs to
// no key. parse decodes nothing else before it has checked the signature.
func parse(keys map[string]*Key, text string) (Claims, *Key, error) {
	dot := strings.LastIndexByte(text, '.')
	header, payload, ok := strings.Cut(text[:max(dot, 0)], ".")
	k := keys[header]
	if !ok || k == nil {
		return Claims{}, nil, ErrInvalid
	}
	signature, err := strict.DecodeString(text[dot+1:])
	if err != nil || k.method().Verify(text[:dot], signature, k.signer.Public()) != nil {
		return Claims{}, nil, ErrInvalid
	}
	raw, err := strict.DecodeString(payload)
	if err != nil {
		return Claims{}, nil, ErrInvalid
	}
	var c jwtClaims
	if err := json.Unmarshal(raw, &c); err != nil || c.UID == "" || !IsID(c.ID) {
		return Claims{}, nil, ErrInvalid
	}
	if c.AuthTime == 0 {
		c.AuthTime = c.IssuedAt
	}
	return Claims{
		ID: c.ID, Kind: KindJWT, Issuer: c.Issuer, Audience: c.Audience, UID: c.UID,
		IssuedAt: time.Unix(c.IssuedAt, 0).UTC(), NotBefore: time.Unix(c.NotBefore, 0).UTC(), ExpiresAt: time.Unix(c.ExpiresAt, 0).UTC(),
		AuthTime: time.Unix(c.AuthTime, 0).UTC(),
		Login:    c.Subject, Name: c.Name, Email: c.Email, Groups: c.Groups, Tenant: c.Tenant,
	}, k, nil
}
