package password

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Keyer turns plaintexts from Secrets into hashes that are worth nothing outside this process:
// HMAC-SHA-256 under a random key that lives as long as the Keyer. A process makes one Keyer and
// shares it between all readers of Secrets. It is safe for concurrent use.
type Keyer struct {
	key []byte
}

// NewKeyer returns a Keyer with a new random key.
func NewKeyer() *Keyer { return &Keyer{key: random(sha256.Size)} }

// NewPlaintext returns a Hash that only this very secret matches, byte for byte. It does not keep
// the secret. For an empty secret, and for one longer than MaximumLength, it returns a Hash that
// nothing matches.
func (k *Keyer) NewPlaintext(secret []byte) *Hash {
	return &Hash{encoded: string(k.digest(secret)), keyer: k}
}

func (k *Keyer) digest(secret []byte) []byte {
	mac := hmac.New(sha256.New, k.key)
	_, _ = mac.Write(secret) // never returns an error
	return mac.Sum(nil)
}

// plaintext is the scheme of a keyed digest. Verify ensures that nothing matches an empty or an
// overlong secret.
type plaintext struct {
	keyer  *Keyer
	digest string
}

func (p plaintext) matches(password []byte) bool {
	return equal(p.keyer.digest(password), []byte(p.digest))
}

func (plaintext) class() string              { return "plaintext" }
func (plaintext) cost() Cost                 { return Cost{} }
func (plaintext) bound() string              { return "" }
func (plaintext) weak() string               { return "" }
func (plaintext) decoy(random source) string { return string(random(sha256.Size)) }

// The least that a plaintext must have, because no lock stops those who guess it: 16 hexadecimal
// digits are 64 bits, too many to guess over a network.
const (
	guessableLength   = 16 // bytes
	guessableAlphabet = 8  // different bytes
)

// Guessable reports whether a plaintext is so short or so simple that it might be guessed. It cannot
// tell a long phrase that everyone knows.
func Guessable(secret []byte) bool {
	var seen [256]bool
	different := 0
	for _, b := range secret {
		if !seen[b] {
			seen[b] = true
			different++
		}
	}
	return len(secret) < guessableLength || different < guessableAlphabet
}
