package password

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"
	"time"
)

// pbkdf2Hash is the string $pbkdf2-sha256$600000$salt$digest as passlib writes it, or with i=600000
// or i=600000,l=32 as implementations of the PHC string format do; likewise with sha512.
type pbkdf2Hash struct {
	id           string
	iterations   int
	salt, digest []byte
}

func readPBKDF2(id string, fields []string) (scheme, error) {
	if len(fields) != 3 {
		return nil, malformed("a PBKDF2 hash has iterations, salt and digest; copy it whole, in single quotes")
	}
	h := pbkdf2Hash{id: id}
	var err error
	if h.salt, h.digest, err = saltAndDigest(fields[1:]); err != nil {
		return nil, err
	}
	iterations, length, hasLength := strings.Cut(strings.TrimPrefix(fields[0], "i="), ",")
	var ok bool
	if h.iterations, ok = decimal(iterations); !ok || h.iterations < 1 {
		return nil, malformed("the iterations of PBKDF2 are a number of at least 1")
	}
	if hasLength && length != fmt.Sprintf("l=%d", len(h.digest)) {
		return nil, malformed("the digest of the PBKDF2 hash is not as long as it says; was it cut off?")
	}
	return h, nil
}

// variant returns the hash function, the length of its output and what one iteration of a block
// takes.
func (h pbkdf2Hash) variant() (func() hash.Hash, int, time.Duration) {
	if h.id == "pbkdf2-sha256" {
		return sha256.New, sha256.Size, pbkdf2SHA256Time
	}
	return sha512.New, sha512.Size, pbkdf2SHA512Time
}

// matches need not report an error: the derivation has none for parameters within the bounds.
func (h pbkdf2Hash) matches(password []byte) bool {
	function, _, _ := h.variant()
	derived, err := pbkdf2.Key(function, string(password), h.salt, h.iterations, len(h.digest))
	return err == nil && equal(derived, h.digest)
}

// class includes the length, because a digest longer than the output of the hash function takes
// several times the work.
func (h pbkdf2Hash) class() string {
	return fmt.Sprintf("%s i=%d,l=%d", h.id, h.iterations, len(h.digest))
}

func (h pbkdf2Hash) cost() Cost {
	_, size, unit := h.variant()
	blocks := (len(h.digest) + size - 1) / size
	return work(float64(h.iterations)*float64(blocks), unit, smallMemory)
}

func (h pbkdf2Hash) bound() string {
	_, size, unit := h.variant()
	return fmt.Sprintf("the iterations of PBKDF2 may be %d at most here, for each %d bytes of digest", MaximumTime/unit, size)
}

// weak compares with the OWASP Password Storage Cheat Sheet.
func (h pbkdf2Hash) weak() string {
	least := 220_000
	if h.id == "pbkdf2-sha256" {
		least = 600_000
	}
	if h.iterations < least {
		return fmt.Sprintf("PBKDF2 has fewer than %d iterations", least)
	}
	return ""
}

func (h pbkdf2Hash) decoy(random source) string {
	return fmt.Sprintf("$%s$%d$%s$%s", h.id, h.iterations, encode(random(len(h.salt))), encode(random(len(h.digest))))
}
