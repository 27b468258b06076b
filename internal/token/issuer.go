package token

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"
)

// ErrNoKey means that there is no key to issue with, or that the key of a token to be issued again
// is gone.
var ErrNoKey = errors.New("no key to issue tokens with")

// Issuer makes tokens with the keys of a KeySet. It is safe for concurrent use.
type Issuer struct {
	Keys     *KeySet
	URL      string   // the iss claim
	Audience []string // the aud claim
}

// JWT issues a signed token and returns it with its claims. c gives UID, Login, Name, Email,
// Groups, Tenant, IssuedAt and ExpiresAt, and may give Audience and AuthTime, which otherwise are the
// Audience of the Issuer and IssuedAt. JWT fills in the rest and truncates times to seconds, as
// JWTs have them. Errors: ErrNoKey, ErrTooLong.
func (i *Issuer) JWT(c Claims) (string, Claims, error) {
	k, ok := i.Keys.load().keys.Current(Sign, c.IssuedAt)
	if !ok {
		return "", Claims{}, ErrNoKey
	}
	c.ID, c.Kind, c.Issuer = NewID(), KindJWT, i.URL
	if len(c.Audience) == 0 {
		c.Audience = i.Audience
	}
	lifetime := c.ExpiresAt.Sub(c.IssuedAt)
	c.IssuedAt = c.IssuedAt.Truncate(time.Second)
	c.ExpiresAt = c.IssuedAt.Add(max(lifetime.Truncate(time.Second), time.Second))
	c.NotBefore = c.IssuedAt.Add(-backdating)
	c.AuthTime = authTime(c).Truncate(time.Second)
	text, err := sign(&k, c)
	if len(text) > MaximumLength {
		return "", Claims{}, ErrTooLong
	}
	return text, c, err
}

// authTime returns the AuthTime of claims: IssuedAt for a token that stems from no other.
func authTime(c Claims) time.Time {
	if c.AuthTime.IsZero() {
		return c.IssuedAt
	}
	return c.AuthTime
}

// Opaque issues a sealed token and returns it with its claims. c gives UID, IssuedAt and ExpiresAt,
// and may give Final and AuthTime, which otherwise is IssuedAt. Opaque truncates these times to milliseconds.
// c may also give the ID. With the ID, the same claims give
// the same token at any later time, so that the service can return a labelled token again: Opaque
// uses the key that was current at IssuedAt. It returns ErrNoKey when that key is gone, and another
// error when the ID was not made for these claims.
func (i *Issuer) Opaque(c Claims) (string, Claims, error) {
	c.Kind, c.Issuer, c.Audience = KindOpaque, i.URL, i.Audience
	c.IssuedAt, c.ExpiresAt = c.IssuedAt.Truncate(time.Millisecond), c.ExpiresAt.Truncate(time.Millisecond)
	c.NotBefore, c.AuthTime = c.IssuedAt, authTime(c).Truncate(time.Millisecond)
	k, ok := i.Keys.load().keys.Current(Seal, c.IssuedAt)
	if !ok {
		return "", Claims{}, ErrNoKey
	}
	text, id, err := seal(&k, c)
	if err != nil {
		return "", Claims{}, err
	}
	c.ID = id
	return text, c, nil
}

// Repeats reports whether Opaque would return the token with the ID in c again: this service issued
// it with this UID and these times, and its key has not ended at now. It is false for claims that
// someone has invented.
func (i *Issuer) Repeats(c Claims, now time.Time) bool {
	k, ok := i.Keys.load().keys.Current(Seal, c.IssuedAt)
	if c.ID == "" || !ok || ended(k, now) {
		return false
	}
	_, _, err := i.Opaque(c)
	return err == nil
}

// Verifier checks tokens with the keys of a KeySet. It is safe for concurrent use.
type Verifier struct {
	Keys     *KeySet
	Issuer   string
	Audience []string // a JWT must have one of these; opaque tokens are for all of them
}

// Verify returns the claims of a token of either kind that is for this service. Errors: ErrInvalid,
// or ErrExpired together with the claims when now is not before the end of the token.
func (v *Verifier) Verify(text string, now time.Time) (Claims, error) {
	c, err := v.VerifyAny(text, now)
	if !c.For(v.Audience) {
		return Claims{}, ErrInvalid
	}
	return c, err
}

// VerifyAny is Verify for tokens of any audience. The caller compares the audience.
func (v *Verifier) VerifyAny(text string, now time.Time) (Claims, error) {
	c, k, err := v.read(text)
	if err != nil {
		return Claims{}, err
	}
	if c.Issuer != v.Issuer || !k.vouches(c, now) {
		return Claims{}, ErrInvalid
	}
	if now.Add(leeway).Before(c.NotBefore) || now.Add(leeway).Before(c.IssuedAt) {
		return Claims{}, ErrInvalid
	}
	if !now.Before(c.ExpiresAt) {
		return c, ErrExpired
	}
	return c, nil
}

// For reports whether a token has one of these audiences.
func (c Claims) For(audiences []string) bool {
	return slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(audiences, a) })
}

// read parses a token and checks that it is genuine. It returns the key that the token was made
// with.
func (v *Verifier) read(text string) (Claims, *Key, error) {
	keys := v.Keys.load()
	if len(text) > MaximumLength || strings.ContainsAny(text, "\r\n") { // base64 decoders skip line breaks
		return Claims{}, nil, ErrInvalid
	}
	if !looksOpaque(text) {
		return keys.readJWT(text)
	}
	c, k, err := open(keys.opening, text)
	c.Issuer, c.Audience, c.NotBefore = v.Issuer, v.Audience, c.IssuedAt
	return c, k, err
}

// readJWT parses a JWT. It checks the signature unless it has checked the same JWT with these keys
// before.
func (s *snapshot) readJWT(text string) (Claims, *Key, error) {
	digest := verifiedKey(sha256.Sum256([]byte(text)))
	if known := s.verified.recall(&digest); known != nil {
		return known.claims, known.key, nil
	}
	c, k, err := parse(s.verifying, text)
	if err == nil {
		s.verified.remember(&digest, &verifiedJWT{c, k})
	}
	return c, k, err
}
