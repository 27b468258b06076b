package password

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/go-crypt/x/crypt"
	"github.com/go-crypt/x/yescrypt"
)

// The default, least and most rounds in the specification of sha-crypt. A hash without rounds has
// the default.
const (
	defaultRounds = 5_000
	minimumRounds = 1_000
	maximumRounds = 999_999_999
)

// shaCryptHash is the string $6$salt$digest (sha512-crypt) or $5$salt$digest (sha256-crypt), with
// rounds=N$ before the salt unless they are 5000.
type shaCryptHash struct {
	id     string
	rounds int
	salt   string // 1 to 16 characters, used as they are
	digest string // in the base64 of crypt(3)
}

func readSHACrypt(id string, fields []string) (scheme, error) {
	h := shaCryptHash{id: id, rounds: defaultRounds}
	if len(fields) == 3 {
		text, found := strings.CutPrefix(fields[0], "rounds=")
		n, ok := decimal(text)
		if !found || !ok || n < minimumRounds || n > maximumRounds {
			return nil, malformed("the rounds of sha-crypt are a number from 1000 to 999999999")
		}
		h.rounds, fields = n, fields[1:]
	}
	if len(fields) != 2 {
		return nil, malformed("a sha-crypt hash has salt and digest; copy it whole, in single quotes")
	}
	h.salt, h.digest = fields[0], fields[1]
	if h.salt == "" || len(h.salt) > 16 || strings.Contains(h.salt, ":") {
		return nil, malformed("the salt of sha-crypt has 1 to 16 characters and no colon")
	}
	if _, size, _ := h.variant(); !encodes(h.digest, size) {
		return nil, malformed("the digest of sha-crypt has 43 characters after $5$ and 86 after $6$; was it cut off?")
	}
	return h, nil
}

// encodes reports whether the text is that many bytes in the base64 of crypt(3).
func encodes(text string, size int) bool {
	return len(yescrypt.Decode64([]byte(text))) == size && len(text) == (size*8+5)/6
}

// variant returns the hash function, the length of its output and what one round takes.
func (h shaCryptHash) variant() (func() hash.Hash, int, time.Duration) {
	if h.id == "5" {
		return sha256.New, sha256.Size, sha256CryptTime
	}
	return sha512.New, sha512.Size, sha512CryptTime
}

func (h shaCryptHash) matches(password []byte) bool {
	function, _, _ := h.variant()
	return equal(crypt.KeySHACrypt(function, password, []byte(h.salt), h.rounds), []byte(h.digest))
}

// class includes the length of the salt, because every round hashes the salt.
func (h shaCryptHash) class() string {
	name := "sha512-crypt"
	if h.id == "5" {
		name = "sha256-crypt"
	}
	return fmt.Sprintf("%s rounds=%d,salt=%d", name, h.rounds, len(h.salt))
}

// cost holds for a password of MaximumLength, which every round hashes up to three times; one of 10
// bytes takes a tenth.
func (h shaCryptHash) cost() Cost {
	_, _, unit := h.variant()
	return work(float64(h.rounds), unit, smallMemory)
}

func (h shaCryptHash) bound() string {
	_, _, unit := h.variant()
	return fmt.Sprintf("the rounds of sha-crypt may be %d at most here", MaximumTime/unit)
}

func (shaCryptHash) weak() string {
	return "sha-crypt needs no memory and is on no current list of recommended hashes"
}

func (h shaCryptHash) decoy(random source) string {
	_, size, _ := h.variant()
	salt := yescrypt.Encode64(random(len(h.salt)))[:len(h.salt)]
	return fmt.Sprintf("$%s$rounds=%d$%s$%s", h.id, h.rounds, salt, yescrypt.Encode64(random(size)))
}
