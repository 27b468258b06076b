package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
)

// Bounds of salt and digest in bytes. NIST SP 800-63B asks for a salt of at least 32 bits. A digest
// of a few bytes would match many wrong passwords; one of 16 bytes matches one in 2^128.
const (
	minimumSalt   = 4
	maximumSalt   = 128
	minimumDigest = 16
	maximumDigest = 128
)

// printable reports whether s has only visible ASCII characters. This also keeps line breaks away
// from encoding/base64, which would skip them.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// decimal parses a number without sign and leading zeros that fits in 31 bits.
func decimal(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil && strconv.FormatUint(n, 10) == s
}

// parameters parses "a=1,b=2" with exactly these keys in this order, as in the PHC string format.
// Each value is at least 1.
func parameters(field string, keys ...string) ([]int, bool) {
	pairs := strings.Split(field, ",")
	if len(pairs) != len(keys) {
		return nil, false
	}
	values := make([]int, len(keys))
	for i, key := range keys {
		text, found := strings.CutPrefix(pairs[i], key+"=")
		n, ok := decimal(text)
		if !found || !ok || n < 1 {
			return nil, false
		}
		values[i] = n
	}
	return values, true
}

// saltAndDigest decodes the last two fields of a PHC string, which are unpadded base64. passlib
// writes a dot for the plus sign.
func saltAndDigest(fields []string) (salt, digest []byte, err error) {
	if salt, err = decode(fields[0]); err != nil || len(salt) < minimumSalt || len(salt) > maximumSalt {
		return nil, nil, malformed("the salt must be 4 to 128 bytes in base64 without padding")
	}
	if digest, err = decode(fields[1]); err != nil || len(digest) < minimumDigest || len(digest) > maximumDigest {
		return nil, nil, malformed("the digest must be 16 to 128 bytes in base64 without padding; was it cut off?")
	}
	return salt, digest, nil
}

func decode(field string) ([]byte, error) {
	return base64.RawStdEncoding.Strict().DecodeString(strings.ReplaceAll(field, ".", "+"))
}

func encode(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }

// equal reports whether a derived digest is the stored one, in constant time.
func equal(derived, stored []byte) bool { return subtle.ConstantTimeCompare(derived, stored) == 1 }

// source returns n bytes for a salt or a digest.
type source func(n int) []byte

// random returns n random bytes. crypto/rand ends the process rather than return an error.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
