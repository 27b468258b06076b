package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// digester makes the keyed digests under which the password cache remembers verified passwords.
// Each process draws a random key that never leaves it, so a digest is worth nothing elsewhere and
// cannot be computed in advance.
type digester struct {
	states sync.Pool // of hash.Hash, keyed
}

func newDigester() *digester {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	return &digester{states: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// digest returns the HMAC-SHA-256 of its parts, each preceded by its length, so that two different
// lists of parts never hash the same bytes.
func (d *digester) digest(parts ...string) (sum [sha256.Size]byte) {
	state := d.states.Get().(hash.Hash) //nolint:errcheck // the pool holds nothing else
	defer d.states.Put(state)
	state.Reset()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		state.Write(length[:])
		state.Write([]byte(part))
	}
	state.Sum(sum[:0])
	return sum
}
