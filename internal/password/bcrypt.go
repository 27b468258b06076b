package password

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"

	"golang.org/x/crypto/bcrypt"
)

// bcryptLength is how many bytes of a password bcrypt uses.
const bcryptLength = 72

// bcryptHash is the string $2b$10$ followed by 22 characters of salt and 31 of digest. The variants
// 2a, 2b and 2y are one algorithm; their names tell which fault of which implementation was fixed.
type bcryptHash struct {
	variant      string
	exponent     int // commonly called cost; the key is expanded 2^exponent times
	salt, digest string
}

func readBcrypt(variant string, fields []string) (scheme, error) {
	if len(fields) != 2 || len(fields[0]) != 2 || len(fields[1]) != 22+31 {
		return nil, malformed("a bcrypt hash has 60 characters; copy it whole, and in a shell put it in single quotes")
	}
	exponent, err := strconv.ParseUint(fields[0], 10, 8)
	if err != nil || exponent < 4 || exponent > 31 {
		return nil, malformed("the cost of a bcrypt hash is 04 to 31")
	}
	h := bcryptHash{variant: variant, exponent: int(exponent), salt: fields[1][:22], digest: fields[1][22:]}
	// Only the digest must be strict: some implementations leave spare bits in the last character
	// of the salt.
	if _, err := bcryptEncoding().DecodeString(h.salt); err != nil {
		return nil, malformed("the salt of the bcrypt hash has a wrong character")
	}
	if _, err := bcryptEncoding().Strict().DecodeString(h.digest); err != nil {
		return nil, malformed("the digest of the bcrypt hash has a wrong character")
	}
	return h, nil
}

// matches always tries the first 72 bytes, so that a longer password, or one with a NUL byte, costs
// the same as any other. It then refuses both. bcrypt fills its key with repetitions of the
// password and a NUL byte, so it cannot tell "a" from "a\x00a", and implementations in C stop at
// the NUL.
func (h bcryptHash) matches(password []byte) bool {
	tried := password[:min(len(password), bcryptLength)]
	same := bcrypt.CompareHashAndPassword([]byte(h.encode()), tried) == nil
	return same && len(password) <= bcryptLength && !bytes.Contains(password, []byte{0})
}

func (h bcryptHash) encode() string {
	return fmt.Sprintf("$%s$%02d$%s%s", h.variant, h.exponent, h.salt, h.digest)
}

func (h bcryptHash) class() string { return fmt.Sprintf("bcrypt cost=%d", h.exponent) }

func (h bcryptHash) cost() Cost { return work(math.Ldexp(1, h.exponent), bcryptTime, smallMemory) }

func (bcryptHash) bound() string { return "the cost of bcrypt may be 15 at most" }

func (h bcryptHash) weak() string {
	if h.exponent < 10 {
		return "the cost of bcrypt is below 10"
	}
	return ""
}

func (h bcryptHash) decoy(random source) string {
	h.salt, h.digest = bcryptEncoding().EncodeToString(random(16)), bcryptEncoding().EncodeToString(random(23))
	return h.encode()
}

// bcryptEncoding is base64 with bcrypt's alphabet.
func bcryptEncoding() *base64.Encoding {
	const alphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return base64.NewEncoding(alphabet).WithPadding(base64.NoPadding)
}
