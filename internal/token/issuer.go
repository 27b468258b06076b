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
// Groups, IssuedAt and ExpiresAt; JWT fills in the rest and truncates times to seconds, as JWTs
// have them. Errors: ErrNoKey.
func (i *Issuer) JWT(c Claims) (string, Claims, error) {
	k, ok := i.Keys.load().keys.Current(Sign, c.IssuedAt)
	if !ok {
		return "", Claims{}, ErrNoKey
	}
	c.ID, c.Kind, c.Issuer, c.Audience = NewID(), KindJWT, i.URL, i.Audience
	lifetime := c.ExpiresAt.Sub(c.IssuedAt)
	c.IssuedAt = c.IssuedAt.Truncate(time.Second)
	c.ExpiresAt = c.IssuedAt.Add(max(lifetime.Truncate(time.Second), time.Second))
	c.NotBefore = c.IssuedAt.Add(-backdating)
	text, err := sign(&k, c)
	return text, c, err
}

// Opaque issues a sealed token and returns it with its claims. c gives UID, IssuedAt and ExpiresAt,
// which Opaque truncates to milliseconds, and may give the ID. With the ID, the same claims give
// the same token at any later time, so that the service can return a labelled token again: Opaque
// uses the key that was current at IssuedAt. It returns ErrNoKey when that key is gone, and another
// error when the ID was not made for these claims.
func (i *Issuer) Opaque(c Claims) (string, Claims, error) {
	c.Kind, c.Issuer, c.Audience = KindOpaque, i.URL, i.Audience
	c.IssuedAt, c.ExpiresAt = c.IssuedAt.Truncate(time.Millisecond), c.ExpiresAt.Truncate(time.Millisecond)
	c.NotBefore = c.IssuedAt
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
// it with this UID and these times, and its key still exists. It is false for claims that someone
// has invented.
func (i *Issuer) Repeats(c Claims) bool {
	if c.ID == "" {
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

// Verify returns the claims of a token of either kind. Errors: ErrInvalid, or ErrExpired together
// with the claims when now is not before the end of the token.
func (v *Verifier) Verify(text string, now time.Time) (Claims, error) {
	c, err := v.read(text)
	if err != nil {
		return Claims{}, err
	}
	if c.Issuer != v.Issuer || !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(v.Audience, a) }) {
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

// read parses a token and checks that it is genuine.
func (v *Verifier) read(text string) (Claims, error) {
	keys := v.Keys.load()
	if len(text) > MaximumLength || strings.ContainsAny(text, "\r\n") { // base64 decoders skip line breaks
		return Claims{}, ErrInvalid
	}
	if !looksOpaque(text) {
		return keys.readJWT(text)
	}
	c, err := open(keys.opening, text)
	c.Issuer, c.Audience, c.NotBefore = v.Issuer, v.Audience, c.IssuedAt
	return c, err
}

// readJWT parses a JWT. It checks the signature unless it has checked the same JWT with these keys
// before.
func (s *snapshot) readJWT(text string) (Claims, error) {
	key := verifiedKey(sha256.Sum256([]byte(text)))
	if c, ok := s.verified.recall(&key); ok {
		return *c, nil
	}
	c, err := parse(s.verifying, text)
	if err == nil {
		s.verified.remember(&key, &c)
	}
	return c, err
}
