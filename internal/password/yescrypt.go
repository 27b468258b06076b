package password

import (
	"fmt"
	"math"

	"github.com/go-crypt/x/yescrypt"
)

const (
	yescryptDigest    = 32 // bytes
	yescryptSBoxes    = 3 << 12
	yescryptMaxSalt   = 64
	yescryptMinLogN   = 10
	yescryptMaxFactor = 48 // larger ones take two characters, which no crypt(3) writes
)

// yescryptHash is the string $y$j9T$salt$digest, in which j9T means the default flags, N=2^12 and
// r=32.
type yescryptHash struct {
	setting      string
	logN, r      int
	salt, digest []byte
}

func readYescrypt(fields []string) (scheme, error) {
	if len(fields) != 3 {
		return nil, malformed("a yescrypt hash has parameters, salt and digest; copy it whole, in single quotes")
	}
	_, logN, r, err := yescrypt.DecodeSetting([]byte(fields[0]))
	if err != nil || logN < yescryptMinLogN || logN > yescryptMaxFactor || r > yescryptMaxFactor {
		return nil, unsupported("of yescrypt only what crypt(3) makes is accepted: flags j and N from 2^10; " + makeNew)
	}
	h := yescryptHash{setting: fields[0], logN: logN, r: r}
	h.salt = yescrypt.Decode64([]byte(fields[1]))
	if len(h.salt) < minimumSalt || len(h.salt) > yescryptMaxSalt {
		return nil, malformed("the salt of yescrypt must be 4 to 64 bytes")
	}
	h.digest = yescrypt.Decode64([]byte(fields[2]))
	if !encodes(fields[2], yescryptDigest) {
		return nil, malformed("the digest of yescrypt has 43 characters; was it cut off?")
	}
	return h, nil
}

// matches need not report an error: the derivation has none for parameters within the bounds.
func (h yescryptHash) matches(password []byte) bool {
	derived, err := yescrypt.Key(password, h.salt, 1<<h.logN, h.r, 1, yescryptDigest)
	return err == nil && equal(derived, h.digest)
}

func (h yescryptHash) class() string { return fmt.Sprintf("yescrypt N=2^%d,r=%d", h.logN, h.r) }

// cost counts N blocks of 128r bytes, three more to work on, and the S-boxes.
func (h yescryptHash) cost() Cost {
	n, r := math.Ldexp(1, h.logN), float64(h.r)
	return work(n*r, yescryptTime, 128*r*(n+3)+yescryptSBoxes)
}

func (yescryptHash) bound() string { return "for yescrypt 128*N*r may be just below 512 MiB" }

// weak compares with the default of crypt(3), because OWASP does not name yescrypt.
func (h yescryptHash) weak() string {
	if h.r<<h.logN < 32<<12 {
		return "yescrypt uses less memory than 16 MiB, the default of crypt(3)"
	}
	return ""
}

func (h yescryptHash) decoy(random source) string {
	return fmt.Sprintf("$y$%s$%s$%s", h.setting,
		yescrypt.Encode64(random(len(h.salt))), yescrypt.Encode64(random(yescryptDigest)))
}
