// Package token defines the tokens of the service: a signed JWT that anyone can verify, or a sealed
// opaque string that only this service can open. The package issues and verifies both with a set of
// keys that rotates. The package is pure: it knows nothing of users or of the network, and takes
// the time as an argument. Package authn decides whether the user of a good token may still use it.
package token

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"
)

// The kinds of token, as records and logs name them.
const (
	KindJWT    = "JWT"
	KindOpaque = "Opaque"
)

// The errors about a token itself, regardless of its user.
var (
	// ErrInvalid means that a string is not a token of this service: it cannot be parsed, was
	// tampered with, is for another audience, or its key is gone.
	ErrInvalid = errors.New("invalid token")
	// ErrExpired means that a token is genuine but has expired.
	ErrExpired = errors.New("token expired")
	// ErrTooLong means that a JWT was not issued, because with the names and groups of its user it
	// would be longer than MaximumLength and never verify.
	ErrTooLong = errors.New("JWT would be longer than 8 KiB")
)

// MaximumLength is the length in bytes of the longest token that an Issuer issues and a Verifier
// looks at. Common servers and proxies take headers of 8 KiB.
const MaximumLength = 8 << 10

// idSize is the size of a token id in bytes: that of a nonce of XChaCha20-Poly1305, which is large
// enough to be drawn at random.
const idSize = 24

// Claims are the contents of a token. They are an immutable value.
type Claims struct {
	ID        string // 24 bytes, base64url
	Kind      string // KindJWT or KindOpaque
	Issuer    string
	Audience  []string
	UID       string // the user's
	IssuedAt  time.Time
	NotBefore time.Time
	ExpiresAt time.Time
	// AuthTime is when the user gave the credentials that the token stems from, directly or through
	// other tokens.
	AuthTime time.Time
	// Final means that nothing made from the token may end after it: the token was made from a JWT.
	// A JWT is always final in this sense, whatever the field says.
	Final bool

	// The fields below are in JWTs only. They describe the user at the time of issue.
	Login  string
	Name   string
	Email  string
	Groups []string
	Tenant string // empty: the user belongs to no tenant
}

// NewID returns a random id for a new token.
func NewID() string {
	var id [idSize]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// IsID reports whether a text has the form of a token id.
func IsID(text string) bool {
	raw, err := strict.DecodeString(text)
	return err == nil && len(raw) == idSize && len(text) == base64.RawURLEncoding.EncodedLen(idSize)
}

// strict refuses non-canonical base64url, so that every token has exactly one spelling.
var strict = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // immutable
