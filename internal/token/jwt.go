package token

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// typ is the media type of access tokens (RFC 9068, 2.1): a JWT that was made for something else is none.
const typ = "at+jwt"

// leeway is allowed for clocks that differ, for nbf and iat only. The end of a token is exact.
const leeway = 30 * time.Second

// backdating puts nbf before iat, for verifiers that allow no leeway and whose clocks are behind ours.
const backdating = 10 * time.Second

// maximumSignature is the size in bytes of the longest signature, that of RS256.
const maximumSignature = rsaBits / 8

// jwtClaims are the claims of a JWT as they are written (RFC 7519; name, email: OpenID Connect Core 5.1).
type jwtClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	UID       string   `json:"uid"`
	Audience  audience `json:"aud"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	ExpiresAt int64    `json:"exp"`
	ID        string   `json:"jti"`
	Name      string   `json:"name,omitempty"`
	Email     string   `json:"email,omitempty"`
	Groups    []string `json:"groups,omitempty"`
}

// audience is always written as a list.
type audience []string

// The methods of jwt.Claims. Times are checked by Verifier, which has the clock.

func (c jwtClaims) GetExpirationTime() (*jwt.NumericDate, error) {
	return numericDate(c.ExpiresAt), nil
}
func (c jwtClaims) GetIssuedAt() (*jwt.NumericDate, error)  { return numericDate(c.IssuedAt), nil }
func (c jwtClaims) GetNotBefore() (*jwt.NumericDate, error) { return numericDate(c.NotBefore), nil }
func (c jwtClaims) GetIssuer() (string, error)              { return c.Issuer, nil }
func (c jwtClaims) GetSubject() (string, error)             { return c.Subject, nil }
func (c jwtClaims) GetAudience() (jwt.ClaimStrings, error)  { return jwt.ClaimStrings(c.Audience), nil }

func numericDate(seconds int64) *jwt.NumericDate { return jwt.NewNumericDate(time.Unix(seconds, 0)) }

// sign writes claims as a JWT (RFC 7515, 3.1). The header is written by hand because it is the same for all tokens of a key:
// kid is base64url and the algorithm one of three names, so nothing in it needs escaping.
func sign(k *Key, c Claims) (string, error) {
	payload, err := json.Marshal(jwtClaims{
		Issuer: c.Issuer, Subject: c.Login, UID: c.UID, Audience: c.Audience,
		IssuedAt: c.IssuedAt.Unix(), NotBefore: c.NotBefore.Unix(), ExpiresAt: c.ExpiresAt.Unix(), ID: c.ID,
		Name: c.Name, Email: c.Email, Groups: c.Groups,
	})
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	header := `{"alg":"` + k.Algorithm + `","kid":"` + k.ID + `","typ":"` + typ + `"}`
	text := make([]byte, 0, strict.EncodedLen(len(header))+strict.EncodedLen(len(payload))+strict.EncodedLen(maximumSignature)+2)
	text = append(strict.AppendEncode(text, []byte(header)), '.')
	text = strict.AppendEncode(text, payload)
	signature, err := jwt.GetSigningMethod(k.Algorithm).Sign(string(text), k.signer)
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", k.ID, err)
	}
	return string(strict.AppendEncode(append(text, '.'), signature)), nil
}

// parser checks the signature and leaves the claims to Verifier. WithStrictDecoding refuses second spellings of base64.
//
//nolint:gochecknoglobals // immutable
var parser = jwt.NewParser(jwt.WithValidMethods([]string{ES256, EdDSA, RS256}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())

// parse reads a JWT whose signature is by one of the keys: ErrInvalid otherwise. The algorithm is fixed by the key; what
// the header says must agree with it. Keys that a header brings or points to are never looked at (RFC 8725, 3.1 and 3.10).
func parse(keys map[string]*Key, text string) (Claims, error) {
	var c jwtClaims
	t, err := parser.ParseWithClaims(text, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		k := keys[kid]
		if k == nil || t.Method.Alg() != k.Algorithm {
			return nil, ErrInvalid
		}
		return k.signer.Public(), nil
	})
	if err != nil || t.Header["typ"] != typ || c.UID == "" || !IsID(c.ID) {
		return Claims{}, ErrInvalid
	}
	return Claims{
		ID: c.ID, Kind: KindJWT, Issuer: c.Issuer, Audience: c.Audience, UID: c.UID,
		IssuedAt: time.Unix(c.IssuedAt, 0).UTC(), NotBefore: time.Unix(c.NotBefore, 0).UTC(), ExpiresAt: time.Unix(c.ExpiresAt, 0).UTC(),
		Login: c.Subject, Name: c.Name, Email: c.Email, Groups: c.Groups,
	}, nil
}
