package password

import (
	"crypto/sha256"
	"strings"
	"testing"
)

// A digest without a key, or under a key that others know, could be guessed offline from a memory
// dump.
func TestPlaintextDigestDependsOnKeyer(t *testing.T) {
	t.Parallel()
	const secret = "machine-made"
	keyer := NewKeyer()
	kept := keyer.NewPlaintext([]byte(secret)).encoded
	if kept != keyer.NewPlaintext([]byte(secret)).encoded {
		t.Error("one Keyer gives two digests of one secret")
	}
	if kept == NewKeyer().NewPlaintext([]byte(secret)).encoded {
		t.Error("two Keyers give one digest")
	}
	if unkeyed := sha256.Sum256([]byte(secret)); kept == string(unkeyed[:]) || strings.Contains(kept, secret) {
		t.Error("the digest has no key")
	}
}
