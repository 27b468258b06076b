// Package password knows what a password hash is: it parses the strings that people keep in Secrets, verifies passwords
// against them, and says what one verification costs.
//
// The way of a hash: Parse takes the string apart, refuses what is damaged, unknown or too expensive, and keeps only the
// string. Verify takes it apart again, runs the key derivation and compares in constant time. Reading costs about a
// microsecond and the derivation tens of thousands of them, so a Hash stays as small as its string.
//
// The derivations themselves come from golang.org/x/crypto, crypto/pbkdf2 and github.com/go-crypt/x. The strings are read
// here, because nothing may reach a derivation before its parameters are known to be bounded.
//
// The package is pure: it knows no users, no clocks and no network. No error and no printed Hash holds any part of a hash.
package password

import (
	"fmt"
	"io"
)

// Hash is a parsed password hash, or the keyed digest of a plaintext. It is immutable and safe for concurrent use. The nil
// Hash and the zero Hash match nothing at no cost.
type Hash struct {
	encoded string // as Parse accepted it; under a keyer, the raw digest
	keyer   *Keyer // set for a plaintext only
}

// scheme is a hash taken apart: a key derivation with its parameters, its salt and the digest to compare with.
type scheme interface {
	// matches derives and compares in constant time. What it costs does not depend on the outcome. The password has at
	// most MaximumLength bytes.
	matches(password []byte) bool
	class() string
	cost() Cost
	bound() string // the largest parameters that Parse accepts, in the words of the format
	weak() string
	decoy() string // the same parameters with a random salt and a random digest, encoded
}

// Verify says whether the password is the one that was hashed.
//
// An empty password and one longer than MaximumLength never match; for bcrypt, neither does one of more than 72 bytes or
// with a NUL byte, because bcrypt cannot tell it from another one. All of these cost what any wrong password costs. Other
// formats take every byte as it is, NUL too.
func (h *Hash) Verify(password []byte) bool {
	tried := password[:min(len(password), MaximumLength)]
	matches := h.scheme().matches(tried)
	return matches && len(password) > 0 && len(password) <= MaximumLength
}

// Class names what the hash costs: its format and parameters, without salt and digest. Two hashes of one class cost the
// same. It may be shown to anybody. The zero Hash has the empty class.
func (h *Hash) Class() string { return h.scheme().class() }

// Cost says what one Verify takes.
func (h *Hash) Cost() Cost { return h.scheme().cost() }

// Weak says in a few words why the hash is easier to guess than it should be. It is empty for a hash at or above the line
// of the OWASP Password Storage Cheat Sheet, and for a plaintext, which is as strong as the Secret that holds it.
func (h *Hash) Weak() string { return h.scheme().weak() }

// Free says that Verify runs no key derivation, so that it needs no admission.
func (h *Hash) Free() bool { return h == nil || h.encoded == "" || h.keyer != nil }

// Decoy returns a hash of the same class that no password matches: its digest is random and was not derived from anything.
// It holds nothing of the hash it was made from.
func (h *Hash) Decoy() *Hash {
	if h == nil {
		return nil
	}
	return &Hash{encoded: h.scheme().decoy(), keyer: h.keyer}
}

// Equal says whether both stand for the same string, or for the same plaintext under the same Keyer. It compares what the
// service was configured with, never what a client sent, so it need not take constant time.
func (h *Hash) Equal(other *Hash) bool {
	if h == nil || other == nil {
		return h == other
	}
	return *h == *other
}

// Format prints the class whatever the verb, so that no log line can hold a hash by accident.
func (h Hash) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "password.Hash("+h.Class()+")") }

// scheme takes the hash apart. What Parse accepted can always be read again.
func (h *Hash) scheme() scheme {
	if h == nil || *h == (Hash{}) {
		return nothing{}
	}
	if h.keyer != nil {
		return plaintext{keyer: h.keyer, digest: h.encoded}
	}
	s, err := read(h.encoded)
	if err != nil {
		return nothing{}
	}
	return s
}

// nothing is the scheme of the zero Hash.
type nothing struct{}

func (nothing) matches([]byte) bool { return false }
func (nothing) class() string       { return "" }
func (nothing) cost() Cost          { return Cost{} }
func (nothing) bound() string       { return "" }
func (nothing) weak() string        { return "" }
func (nothing) decoy() string       { return "" }
