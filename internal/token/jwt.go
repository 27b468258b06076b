package token

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// typ is the media type of access tokens (RFC 9068, 2.1): a JWT that was made for something else is none.
const typ = "at+jwt"

// leeway is allowed for clocks that differ, for nbf and iat only. The end of a token is exact.
const leeway = 30 * time.Second

// backdating puts nbf before iat, for verifiers that allow no leeway and whose clocks are behind ours.
const backdating = 10 * time.Second

// jwtClaims are the claims of a JWT as they are written (RFC 7519; name, email: OpenID Connect Core 5.1).
type jwtClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	UID       string   `json:"uid"`
	Audience  []string `json:"aud"` // always a list
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
	Name      string   `json:"name,omitempty"`
	Email     string   `json:"email,omitempty"`
	Groups    []string `json:"groups,omitempty"`
}

// sign writes claims as a JWT (RFC 7515, 3.1).
func sign(k *Key, c Claims) (string, error) {
	payload, err := json.Marshal(jwtClaims{
		Issuer: c.Issuer, Subject: c.Login, UID: c.UID, Audience: c.Audience,
		IssuedAt: c.IssuedAt.Unix(), NotBefore: c.NotBefore.Unix(), ExpiresAt: c.ExpiresAt.Unix(), ID: c.ID,
		Name: c.Name, Email: c.Email, Groups: c.Groups,
	}, jsontext.AllowInvalidUTF8(true)) // a name that is no UTF-8 must not keep anybody out
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

// headerOf is the first part of every JWT that a key signs. It is the same text for all of them, written by hand: kid is
// base64url and the algorithm one of three names, so nothing in it needs escaping.
func headerOf(k *Key) string {
	return strict.EncodeToString([]byte(`{"alg":"` + k.Algorithm + `","kid":"` + k.ID + `","typ":"` + typ + `"}`))
}

// method is how a key signs, fixed by the key itself (RFC 8725, 3.1).
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

// parse reads a JWT that was signed by one of the keys: ErrInvalid otherwise. The keys are found by the whole header that
// each of them writes, so a header is never decoded: one that names another algorithm or type, or brings a key along or
// points to one (RFC 8725, 3.10), is the header of no key. Nor is anything else decoded before the signature was checked.
func parse(keys map[string]*Key, text string) (Claims, error) {
	dot := strings.LastIndexByte(text, '.')
	header, payload, ok := strings.Cut(text[:max(dot, 0)], ".")
	k := keys[header]
	if !ok || k == nil {
		return Claims{}, ErrInvalid
	}
	signature, err := strict.DecodeString(text[dot+1:])
	if err != nil || k.method().Verify(text[:dot], signature, k.signer.Public()) != nil {
		return Claims{}, ErrInvalid
	}
	raw, err := strict.DecodeString(payload)
	if err != nil {
		return Claims{}, ErrInvalid
	}
	var c jwtClaims
	if err := json.Unmarshal(raw, &c); err != nil || c.UID == "" || !IsID(c.ID) {
		return Claims{}, ErrInvalid
	}
	return Claims{
		ID: c.ID, Kind: KindJWT, Issuer: c.Issuer, Audience: c.Audience, UID: c.UID,
		IssuedAt: time.Unix(c.IssuedAt, 0).UTC(), NotBefore: time.Unix(c.NotBefore, 0).UTC(), ExpiresAt: time.Unix(c.ExpiresAt, 0).UTC(),
		Login: c.Subject, Name: c.Name, Email: c.Email, Groups: c.Groups,
	}, nil
}
