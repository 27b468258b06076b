package password

import (
	"crypto/hmac"
	"crypto/sha256"
)

// Keyer turns plaintexts from Secrets into hashes that are worth nothing outside this process: HMAC-SHA-256 under a random
// key that lives as long as the Keyer. A process makes one and passes it to whoever reads Secrets. Safe for concurrent use.
type Keyer struct {
	key []byte
}

// NewKeyer draws a new key.
func NewKeyer() *Keyer { return &Keyer{key: random(sha256.Size)} }

// NewPlaintext returns a Hash that only this very secret matches, byte for byte; the secret itself is not kept. An empty
// secret, and one longer than MaximumLength, gives a Hash that nothing matches.
func (k *Keyer) NewPlaintext(secret []byte) *Hash {
	return &Hash{encoded: string(k.digest(secret)), keyer: k}
}

func (k *Keyer) digest(secret []byte) []byte {
	mac := hmac.New(sha256.New, k.key)
	_, _ = mac.Write(secret) // never returns an error
	return mac.Sum(nil)
}

// plaintext is the scheme of a keyed digest. Verify sees to it that nothing matches an empty or an overlong secret.
type plaintext struct {
	keyer  *Keyer
	digest string
}

func (p plaintext) matches(password []byte) bool {
	return equal(p.keyer.digest(password), []byte(p.digest))
}

func (plaintext) class() string { return "plaintext" }
func (plaintext) cost() Cost    { return Cost{} }
func (plaintext) bound() string { return "" }
func (plaintext) weak() string  { return "" }
func (plaintext) decoy() string { return string(random(sha256.Size)) }
