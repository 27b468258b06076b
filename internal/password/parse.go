package password

import (
	"encoding/base64"
	"strings"
)

// maximumEncoded bounds the length of a string before anything else looks at it. The longest
// accepted hash (128 bytes of salt and 128 of digest in base64) has about 400 characters.
const maximumEncoded = 512

// makeNew ends the messages about hashes that cannot be corrected.
const makeNew = "make a new one with gatehouse hash-password"

// Parse parses a hash string: bcrypt ($2a$, $2b$, $2y$), argon2id and argon2i, scrypt and PBKDF2
// with SHA-256 or SHA-512 in the PHC and passlib spellings, sha512-crypt ($6$), sha256-crypt ($5$)
// and yescrypt ($y$). Parse drops one newline, LF or CRLF, at the end and nothing else.
//
// Every error wraps ErrInvalid and one of its kinds. No key derivation runs here.
func Parse(encoded string) (*Hash, error) {
	encoded = trimNewline(encoded)
	s, err := read(encoded)
	if err != nil {
		return nil, err
	}
	if err := s.cost().check(s.bound()); err != nil {
		return nil, err
	}
	// The clone does not keep alive a larger text that the string may be a part of.
	return &Hash{encoded: strings.Clone(encoded)}, nil
}

func trimNewline(s string) string {
	if line, ok := strings.CutSuffix(s, "\n"); ok {
		return strings.TrimSuffix(line, "\r")
	}
	return s
}

// read decodes a hash string and checks its structure, but not its cost.
func read(encoded string) (scheme, error) {
	if len(encoded) > maximumEncoded {
		return nil, unsupported("it is longer than any hash; a password belongs under plaintextFrom")
	}
	if !printable(encoded) {
		return nil, malformed("it holds a space, a line break or another character that no hash has; keep one hash on one line")
	}
	fields := strings.Split(encoded, "$")
	if len(fields) < 2 || fields[0] != "" {
		return nil, refuseUnmarked(encoded)
	}
	id, fields := fields[1], fields[2:]
	switch id {
	case "2a", "2b", "2y":
		return readBcrypt(id, fields)
	case "argon2id", "argon2i":
		return readArgon2(id, fields)
	case "scrypt":
		return readScrypt(fields)
	case "pbkdf2-sha256", "pbkdf2-sha512":
		return readPBKDF2(id, fields)
	case "5", "6":
		return readSHACrypt(id, fields)
	case "y":
		return readYescrypt(fields)
	}
	return nil, refuseMarked(id)
}

// refuseMarked returns the error for a hash that begins with an unaccepted $id$.
func refuseMarked(id string) error {
	id, _, _ = strings.Cut(id, ",")
	switch id {
	case "1", "apr1", "md5":
		return unsupported("MD5 hashes can be guessed by the billion; " + makeNew)
	case "sha1", "pbkdf2":
		return unsupported("hashes built on SHA-1 are not accepted; " + makeNew)
	case "3":
		return unsupported("NT hashes have no salt; " + makeNew)
	case "2", "2x":
		return unsupported("this bcrypt variant comes from a faulty implementation; " + makeNew)
	case "argon2d":
		return unsupported("argon2d leaks through memory access times; use argon2id, " + makeNew)
	}
	return unsupported("the hash has an unknown prefix; " + makeNew)
}

// refuseUnmarked returns the error for a string that does not begin with a dollar sign. It never
// quotes the string, which may be a password.
func refuseUnmarked(s string) error {
	switch _, afterColon, _ := strings.Cut(s, ":"); {
	case s == "":
		return malformed("it is empty; " + makeNew)
	case strings.HasPrefix(s, "{"):
		return unsupported("the spelling of LDAP directories is not read: of {CRYPT} keep what follows the brace; {SHA}, {SSHA} and " +
			"{MD5} can be guessed by the billion; " + makeNew)
	case strings.HasPrefix(afterColon, "$"):
		return unsupported("this is a line of an htpasswd or shadow file; keep only the field that begins with a dollar sign")
	case encodesMarked(s):
		return unsupported("the hash is in base64 once too often; put the hash itself under stringData, or encode it only once")
	case unsaltedDigest(s):
		return unsupported("this looks like a digest without salt, which can be guessed by the billion; " + makeNew)
	}
	return unsupported("it does not begin with a dollar sign; a password itself belongs under plaintextFrom, and in a shell " +
		"a hash needs single quotes; " + makeNew)
}

// encodesMarked reports whether s is a hash in base64. That happens when someone encodes a hash for
// a field that Kubernetes encodes again.
func encodesMarked(s string) bool {
	decoded, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(decoded) > 0 && decoded[0] == '$'
}

// unsaltedDigest reports whether s looks like MD5, SHA-1, SHA-256 or SHA-512 in hexadecimal.
func unsaltedDigest(s string) bool {
	switch len(s) {
	case 32, 40, 64, 128:
		return strings.Trim(s, "0123456789abcdefABCDEF") == ""
	}
	return false
}
