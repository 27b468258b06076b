// Package password parses the password hashes that people keep in Secrets, verifies passwords
// against them, and estimates what one verification costs. Parse decodes a string, refuses one that
// is damaged, unknown or too expensive, and keeps only the string. Verify decodes it again, runs
// the key derivation and compares in constant time. Decoding costs about a microsecond and the
// derivation tens of thousands of them, so a Hash can stay as small as its string. The derivations
// come from golang.org/x/crypto, crypto/pbkdf2 and github.com/go-crypt/x. This package decodes the
// strings itself, because it must check the bounds of all parameters before a derivation sees them.
// The package is pure: it knows nothing of users, clocks or the network. No error and no printed
// Hash contains any part of a hash.
package password

import (
	"fmt"
	"io"
)

// Hash is a parsed password hash, or the keyed digest of a plaintext. It is immutable and safe for
// concurrent use. The nil Hash and the zero Hash match nothing at no cost.
type Hash struct {
	encoded string // as Parse accepted it; with a keyer, the raw digest
	keyer   *Keyer // set for a plaintext only
}

// scheme is a decoded hash: a key derivation with its parameters, its salt and the digest to
// compare with.
type scheme interface {
	// matches derives a digest and compares it in constant time. Its cost does not depend on the
	// outcome. The password has at most MaximumLength bytes.
	matches(password []byte) bool
	class() string
	cost() Cost
	bound() string // the largest parameters that Parse accepts, in the words of the format
	weak() string
	decoy(random source) string // the same parameters with salt and digest from a source, encoded
}

// Verify reports whether the password is the one that was hashed. An empty password and one longer
// than MaximumLength never match. For bcrypt, neither does one with more than 72 bytes or with a
// NUL byte, because bcrypt cannot tell it from others. All of these cost what any wrong password
// costs. Other formats use every byte as it is, NUL included.
func (h *Hash) Verify(password []byte) bool {
	tried := password[:min(len(password), MaximumLength)]
	matches := h.scheme().matches(tried)
	return matches && len(password) > 0 && len(password) <= MaximumLength
}

// Class returns the format and the parameters of the hash, without salt and digest. Two hashes of
// one class cost the same. A class is not secret. The zero Hash has the empty class.
func (h *Hash) Class() string { return h.scheme().class() }

// Cost returns what one Verify takes.
func (h *Hash) Cost() Cost { return h.scheme().cost() }

// Weak explains in a few words why the hash is easier to guess than it should be. It is empty for a
// hash that meets the OWASP Password Storage Cheat Sheet, and for a plaintext, which is as strong
// as the Secret that holds it.
func (h *Hash) Weak() string { return h.scheme().weak() }

// Free reports whether Verify runs no key derivation, so that it needs no slot to run in.
func (h *Hash) Free() bool { return h == nil || h.encoded == "" || h.keyer != nil }

// Decoy returns a hash of the same class that no password matches: its digest is random and was not
// derived from any password. It contains nothing secret of h.
func (h *Hash) Decoy() *Hash {
	if h == nil {
		return nil
	}
	return &Hash{encoded: h.scheme().decoy(random), keyer: h.keyer}
}

// KeyedDecoy returns the decoy of this class that a key and a name determine, so that every process
// with the same key makes the same one.
func (h *Hash) KeyedDecoy(key []byte, name string) *Hash {
	if h == nil {
		return nil
	}
	return &Hash{encoded: h.scheme().decoy(newKeystream(key, name).read), keyer: h.keyer}
}

// Equal reports whether both are the same string, or the same plaintext under the same Keyer. It
// compares configuration and never what a client sent, so it need not take constant time.
func (h *Hash) Equal(other *Hash) bool {
	if h == nil || other == nil {
		return h == other
	}
	return *h == *other
}

// Format prints the class for every verb, so that no log line can contain a hash by accident.
func (h Hash) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "password.Hash("+h.Class()+")") }

// scheme decodes the hash. What Parse accepted can always be decoded again.
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

// nothing is the scheme of the nil Hash and the zero Hash.
type nothing struct{}

func (nothing) matches([]byte) bool { return false }
func (nothing) class() string       { return "" }
func (nothing) cost() Cost          { return Cost{} }
func (nothing) bound() string       { return "" }
func (nothing) weak() string        { return "" }
func (nothing) decoy(source) string { return "" }
