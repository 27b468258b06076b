package password

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"golang.org/x/crypto/bcrypt"
)

// The formats that Generate makes.
const (
	Argon2id = "argon2id"
	Bcrypt   = "bcrypt"
)

// ErrUnusable is wrapped by the errors of Generate about the password: no hash of it would ever
// match it.
var ErrUnusable = errors.New("unusable password")

// Parameters describe how to make a hash. Zero values stand for the defaults.
type Parameters struct {
	Format      string // Argon2id, the default, or Bcrypt
	Memory      int    // argon2id: KiB, default 19456
	Iterations  int    // argon2id: default 2
	Parallelism int    // argon2id: default 1
	Cost        int    // bcrypt: default 12
}

// Generate hashes a password with a random salt and returns the string for a Secret. The defaults
// of argon2id are the first choice of the OWASP Password Storage Cheat Sheet. Generate refuses the
// parameters that Parse refuses, before it does any work.
func Generate(password []byte, p Parameters) (string, error) {
	switch {
	case len(password) == 0:
		return "", fmt.Errorf("%w: it is empty", ErrUnusable)
	case len(password) > MaximumLength:
		return "", fmt.Errorf("%w: it is longer than %d bytes", ErrUnusable, MaximumLength)
	}
	switch p.Format {
	case Argon2id, "":
		return generateArgon2id(password, p)
	case Bcrypt:
		return generateBcrypt(password, p)
	}
	return "", fmt.Errorf("format must be %s or %s", Argon2id, Bcrypt)
}

func generateArgon2id(password []byte, p Parameters) (string, error) {
	h := argon2Hash{
		variant: Argon2id,
		memory:  cmp.Or(p.Memory, 19<<10),
		passes:  cmp.Or(p.Iterations, 2),
		lanes:   cmp.Or(p.Parallelism, 1),
		salt:    random(16),
		digest:  random(32),
	}
	if _, err := Parse(h.encode()); err != nil {
		return "", err
	}
	h.digest = h.derive(password)
	return h.encode(), nil
}

func generateBcrypt(password []byte, p Parameters) (string, error) {
	switch {
	case len(password) > bcryptLength:
		return "", fmt.Errorf("%w: bcrypt uses only %d bytes and this password is longer; use argon2id", ErrUnusable, bcryptLength)
	case bytes.Contains(password, []byte{0}):
		return "", fmt.Errorf("%w: bcrypt does not support NUL bytes; use argon2id", ErrUnusable)
	}
	h := bcryptHash{variant: "2b", exponent: cmp.Or(p.Cost, 12)}
	if _, err := Parse(h.decoy(random)); err != nil {
		return "", err
	}
	made, err := bcrypt.GenerateFromPassword(password, h.exponent)
	return string(made), err
}
