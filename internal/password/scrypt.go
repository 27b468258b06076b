package password

import (
	"fmt"
	"math"

	"golang.org/x/crypto/scrypt"
)

// scryptHash is the string $scrypt$ln=17,r=8,p=1$salt$digest, which PHC and passlib spell alike.
type scryptHash struct {
	logN, r, p   int
	salt, digest []byte
}

func readScrypt(fields []string) (scheme, error) {
	if len(fields) != 3 {
		return nil, malformed("a scrypt hash has parameters, salt and digest; copy it whole, in single quotes")
	}
	n, ok := parameters(fields[0], "ln", "r", "p")
	if !ok {
		return nil, malformed("the parameters of scrypt are ln, r and p, each at least 1")
	}
	h := scryptHash{logN: n[0], r: n[1], p: n[2]}
	var err error
	h.salt, h.digest, err = saltAndDigest(fields[1:])
	return h, err
}

// matches need not report an error: the derivation has none for parameters within the bounds.
func (h scryptHash) matches(password []byte) bool {
	derived, err := scrypt.Key(password, h.salt, 1<<h.logN, h.r, h.p, len(h.digest))
	return err == nil && equal(derived, h.digest)
}

func (h scryptHash) parameters() string { return fmt.Sprintf("ln=%d,r=%d,p=%d", h.logN, h.r, h.p) }

func (h scryptHash) class() string { return "scrypt " + h.parameters() }

// cost follows RFC 7914: N blocks of 128r bytes, p blocks of input and two of working space. The p
// runs come one after the other and use the same memory. Before and after them PBKDF2-HMAC-SHA256
// makes the p blocks of input, 32 bytes at a time, and reads them: where N is small and p large,
// that is most of the work.
func (h scryptHash) cost() Cost {
	n, r, p := math.Ldexp(1, h.logN), float64(h.r), float64(h.p)
	return work(r*p*(n+scryptEnds), scryptTime, 128*r*(n+p+2))
}

func (scryptHash) bound() string {
	return "for scrypt 128*N*r may be just below 512 MiB, and (N+4)*r*p may be 8888888 at most"
}

// weak compares with the five settings of the OWASP Password Storage Cheat Sheet, from N=2^17 with
// p=1 to N=2^13 with p=10.
func (h scryptHash) weak() string {
	least := map[int]int{13: 10, 14: 5, 15: 3, 16: 2}
	p, listed := least[h.logN]
	if h.r < 8 || h.logN < 13 || listed && h.p < p {
		return "scrypt is below ln=17,r=8,p=1 and its equivalents"
	}
	return ""
}

func (h scryptHash) decoy(random source) string {
	return fmt.Sprintf("$scrypt$%s$%s$%s", h.parameters(), encode(random(len(h.salt))), encode(random(len(h.digest))))
}
