package password

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// keystream is an endless sequence of bytes that a key and a name determine: HMAC-SHA-256 in counter
// mode (NIST SP 800-108).
type keystream struct {
	mac     hash.Hash
	name    string
	counter uint32
	rest    []byte
}

func newKeystream(key []byte, name string) *keystream {
	return &keystream{mac: hmac.New(sha256.New, key), name: name}
}

// read is a source.
func (k *keystream) read(n int) []byte {
	for len(k.rest) < n {
		k.counter++
		k.mac.Reset()
		_, _ = k.mac.Write(binary.BigEndian.AppendUint32(nil, k.counter)) // never returns an error
		_, _ = k.mac.Write([]byte(k.name))
		k.rest = k.mac.Sum(k.rest)
	}
	out := k.rest[:n:n]
	k.rest = k.rest[n:]
	return out
}
