package password_test

import (
	"runtime"
	"strings"
	"testing"
)

// allocated returns the bytes that one call asks for.
func allocated(call func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func TestCostMemoryIsWhatVerifyAllocates(t *testing.T) {
	for command, h := range cheap(t) {
		if strings.Contains(h.Class(), "-crypt") {
			continue // it leaves one sum for each round, but holds only one
		}
		t.Run(command, func(t *testing.T) {
			h.Verify([]byte(phrase)) // whatever a package sets up once
			want, took := h.Cost().Memory, allocated(func() { h.Verify([]byte(phrase)) })
			const slack = 64 << 10 // reading the string, and what the runtime does meanwhile
			if took > want+slack || want > took+slack {
				t.Errorf("Verify allocates %d bytes, Cost returns %d", took, want)
			}
		})
	}
}

func TestWeakFollowsTheOWASPLine(t *testing.T) {
	t.Parallel()
	const rest = "$" + salt16 + "$" + digest32
	for encoded, weak := range map[string]bool{
		"$argon2id$v=19$m=47104,t=1,p=1" + rest:    false,
		"$argon2id$v=19$m=47103,t=1,p=1" + rest:    true,
		"$argon2id$v=19$m=19456,t=2,p=1" + rest:    false,
		"$argon2id$v=19$m=19455,t=2,p=1" + rest:    true,
		"$argon2id$v=19$m=12288,t=3,p=1" + rest:    false,
		"$argon2id$v=19$m=9216,t=4,p=1" + rest:     false,
		"$argon2id$v=19$m=7168,t=5,p=1" + rest:     false,
		"$argon2id$v=19$m=7167,t=99,p=1" + rest:    true,
		"$argon2i$v=19$m=65536,t=4,p=1" + rest:     true,
		"$2b$10$" + bcrypt53:                       false,
		"$2b$09$" + bcrypt53:                       true,
		"$scrypt$ln=17,r=8,p=1" + rest:             false,
		"$scrypt$ln=16,r=8,p=2" + rest:             false,
		"$scrypt$ln=16,r=8,p=1" + rest:             true,
		"$scrypt$ln=15,r=8,p=3" + rest:             false,
		"$scrypt$ln=14,r=8,p=5" + rest:             false,
		"$scrypt$ln=13,r=8,p=10" + rest:            false,
		"$scrypt$ln=13,r=8,p=9" + rest:             true,
		"$scrypt$ln=12,r=8,p=99" + rest:            true,
		"$scrypt$ln=17,r=7,p=1" + rest:             true,
		"$pbkdf2-sha256$600000" + rest:             false,
		"$pbkdf2-sha256$599999" + rest:             true,
		"$pbkdf2-sha512$220000" + rest:             false,
		"$pbkdf2-sha512$219999" + rest:             true,
		"$6$rounds=656000$saltsalt$" + crypt86:     true,
		"$5$saltsalt$" + crypt43:                   true,
		"$y$j9T$2gBiU2bLTd2qIBlGh4mG90$" + crypt43: false,
		"$y$j8T$2gBiU2bLTd2qIBlGh4mG90$" + crypt43: true,
	} {
		t.Run(parse(t, encoded).Class(), func(t *testing.T) {
			if reason := parse(t, encoded).Weak(); (reason != "") != weak {
				t.Errorf("Weak is %q", reason)
			}
		})
	}
}
