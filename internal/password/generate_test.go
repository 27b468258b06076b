package password_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

func TestGenerateMakesHashesThatParseAndVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parameters password.Parameters
		class      string
	}{
		"argon2id by default": {password.Parameters{}, "argon2id m=19456,t=2,p=1"},
		"argon2id as asked": {
			password.Parameters{Format: password.Argon2id, Memory: 64, Iterations: 3, Parallelism: 2}, "argon2id m=64,t=3,p=2"},
		"bcrypt by default": {password.Parameters{Format: password.Bcrypt}, "bcrypt cost=12"},
		"bcrypt as asked":   {password.Parameters{Format: password.Bcrypt, Cost: 4}, "bcrypt cost=4"},
	} {
		t.Run(name, func(t *testing.T) {
			encoded, err := password.Generate([]byte(phrase), c.parameters)
			if err != nil {
				t.Fatalf("Generate: %v", err)
			}
			h := parse(t, encoded)
			if h.Class() != c.class {
				t.Errorf("class is %s, want %s", h.Class(), c.class)
			}
			if h.Cost().Time < 100*time.Millisecond && (!h.Verify([]byte(phrase)) || h.Verify([]byte("guess"))) {
				t.Error("not the hash of this password")
			}
		})
	}
}

func TestGenerateSaltsEachHash(t *testing.T) {
	t.Parallel()
	if argon2Of(t, phrase).Equal(argon2Of(t, phrase)) {
		t.Error("two hashes of one password are the same")
	}
}

func TestGenerateRefusesUnusablePasswords(t *testing.T) {
	t.Parallel()
	bcrypt, argon2id := password.Parameters{Format: password.Bcrypt, Cost: 4}, password.Parameters{Memory: 8}
	for name, c := range map[string]struct {
		secret     string
		parameters password.Parameters
		kind       error
	}{
		"an empty password":              {"", argon2id, password.ErrUnusable},
		"a password of 1025 bytes":       {strings.Repeat("a", 1025), argon2id, password.ErrUnusable},
		"73 bytes for bcrypt":            {strings.Repeat("a", 73), bcrypt, password.ErrUnusable},
		"37 letters of two bytes":        {strings.Repeat("ü", 37), bcrypt, password.ErrUnusable},
		"a NUL byte for bcrypt":          {"a\x00b", bcrypt, password.ErrUnusable},
		"bcrypt at cost 16":              {phrase, password.Parameters{Format: password.Bcrypt, Cost: 16}, password.ErrTooExpensive},
		"bcrypt at cost 3":               {phrase, password.Parameters{Format: password.Bcrypt, Cost: 3}, password.ErrMalformed},
		"bcrypt at cost -1":              {phrase, password.Parameters{Format: password.Bcrypt, Cost: -1}, password.ErrMalformed},
		"argon2id with a gigabyte":       {phrase, password.Parameters{Memory: 1 << 20}, password.ErrTooExpensive},
		"argon2id with a negative t":     {phrase, password.Parameters{Iterations: -1}, password.ErrMalformed},
		"argon2id with 300 lanes":        {phrase, password.Parameters{Parallelism: 300}, password.ErrTooExpensive},
		"argon2id with too little for p": {phrase, password.Parameters{Memory: 8, Parallelism: 2}, password.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if encoded, err := password.Generate([]byte(c.secret), c.parameters); encoded != "" || !errors.Is(err, c.kind) {
				t.Errorf("Generate gives %d characters, %v", len(encoded), err)
			}
		})
	}
	if _, err := password.Generate([]byte(phrase), password.Parameters{Format: "md5"}); err == nil {
		t.Error("Generate makes MD5")
	}
}
