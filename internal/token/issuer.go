package token

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"
)

// ErrNoKey says that there is no key to issue with yet.
var ErrNoKey = errors.New("no key to issue tokens with")

// Issuer makes tokens with the keys of a KeySet. It is safe for concurrent use.
type Issuer struct {
	Keys     *KeySet
	URL      string   // the iss claim
	Audience []string // the aud claim
}

// JWT makes a signed token of a user. c gives UID, Login, Name, Email, Groups and the times; the rest is filled in. Times
// are cut to whole seconds, as JWTs have them. The claims as issued come back with the token.
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

// Opaque makes a sealed token. c gives UID and the times, which are cut to milliseconds, and may give the ID. The same
// claims give the same token at any later time, so that a labelled token can be handed out again: the key is the one that
// was current when the token was issued. ErrNoKey when that is gone; another error when the ID was not made for these claims.
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

// Repeats says whether Opaque gives the token again that had the ID in c: it was issued here with this UID and these times,
// and its key is still there. It is false for claims that somebody else has put together.
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
	Audience []string // a JWT must be for one of these; opaque tokens are for all of them
}

// Verify returns what a token of either kind says: ErrInvalid when it is none of ours, ErrExpired (with the claims) when
// its time is over.
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

func (v *Verifier) read(text string) (Claims, error) {
	keys := v.Keys.load()
	if len(text) > MaximumLength || strings.ContainsAny(text, "\r\n") { // which base64 decoders skip
		return Claims{}, ErrInvalid
	}
	if !looksOpaque(text) {
		return keys.readJWT(text)
	}
	c, err := open(keys.opening, text)
	c.Issuer, c.Audience, c.NotBefore = v.Issuer, v.Audience, c.IssuedAt
	return c, err
}

// readJWT checks the signature of a JWT that has not been checked under these keys before.
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
