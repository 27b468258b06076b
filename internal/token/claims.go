// Package token knows what a token is: a signed JWT that anybody can verify, or a sealed opaque string that only this
// service can open. It issues, opens and verifies them with a set of keys that rotates.
//
// The package is pure: it knows no users and no network, and time is an input. Whether the user of a good token still
// stands is somebody else's verdict.
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

// The ways in which a token is bad by itself.
var (
	// ErrInvalid says that a string is no token of this service: it cannot be read, was tampered with, is for somebody
	// else, or its key is gone.
	ErrInvalid = errors.New("invalid token")
	// ErrExpired says that a token is genuine and its time is over.
	ErrExpired = errors.New("token expired")
)

// MaximumLength is the longest token in bytes that is looked at: the largest JWT of a User within the limits of the
// schema is well below.
const MaximumLength = 16 << 10

// idSize is the size of a token id in bytes: the nonce of XChaCha20-Poly1305, wide enough to be drawn at random.
const idSize = 24

// Claims is what a token says. It is an immutable value.
type Claims struct {
	ID        string // 24 bytes, base64url
	Kind      string // KindJWT or KindOpaque
	Issuer    string
	Audience  []string
	UID       string // the user's
	IssuedAt  time.Time
	NotBefore time.Time
	ExpiresAt time.Time

	// What follows is in JWTs only: what the user was called when the token was issued.
	Login  string
	Name   string
	Email  string
	Groups []string
}

// NewID draws the id of a new token.
func NewID() string {
	var id [idSize]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// IsID says whether a text has the form of a token id.
func IsID(text string) bool {
	raw, err := strict.DecodeString(text)
	return err == nil && len(raw) == idSize && len(text) == base64.RawURLEncoding.EncodedLen(idSize)
}

// strict refuses what is not the one way to write something, so that no second spelling of a token exists.
var strict = base64.RawURLEncoding.Strict() //nolint:gochecknoglobals // immutable
