// Package password knows what a password hash is: it parses the strings that people keep in Secrets, verifies
// passwords against them, and says what one verification costs.
//
// The package is pure: it knows no users, no clocks and no network.
package password

import (
	"errors"
	"time"
)

// MaximumLength is the longest password in bytes that any hash but bcrypt accepts; a longer one never matches.
const MaximumLength = 1024

// ErrInvalid is wrapped by every error of Parse.
var ErrInvalid = errors.New("invalid password hash")

// Cost says what one verification takes on this machine.
type Cost struct {
	Time   time.Duration
	Memory int64 // bytes
}

// Hash is a parsed password hash, or the keyed digest of a plaintext. It is immutable and safe for concurrent use. The
// zero Hash matches nothing at no cost.
type Hash struct {
	encoded string
	scheme  scheme
}

// scheme is how the hashes of one format are checked.
type scheme interface {
	verify(encoded string, password []byte) bool
}

// Class names what the hash costs: its format and parameters, without salt and digest. Two hashes of one class cost the
// same.
func (h *Hash) Class() string { return "" }

// Decoy returns a hash of the same class that no password matches.
func (h *Hash) Decoy() *Hash { return h }
