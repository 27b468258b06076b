package password_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

func TestOnlyTheSamePlaintextMatches(t *testing.T) {
	t.Parallel()
	keyer := password.NewKeyer()
	longest := strings.Repeat("a", password.MaximumLength)
	for name, c := range map[string]struct {
		secret, tried string
		want          bool
	}{
		"the same text":                           {"machine-made", "machine-made", true},
		"the longest text":                        {longest, longest, true},
		"NUL and other bytes":                     {"a\x00\xff", "a\x00\xff", true},
		"a trailing newline in the Secret counts": {"machine-made\n", "machine-made", false},
		"another text":                            {"machine-made", "machine-Made", false},
		"a prefix":                                {"machine-made", "machine", false},
		"an empty secret does not match the empty one":    {"", "", false},
		"an empty secret does not match a text":           {"", "a", false},
		"a secret of 1025 bytes does not match itself":    {longest + "a", longest + "a", false},
		"a secret of 1025 bytes does not match its start": {longest + "a", longest, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := keyer.NewPlaintext([]byte(c.secret))
			if got := h.Verify([]byte(c.tried)); got != c.want {
				t.Errorf("Verify is %v", got)
			}
		})
	}
}

func TestAPlaintextIsFreeAndNotWeak(t *testing.T) {
	t.Parallel()
	h := password.NewKeyer().NewPlaintext([]byte("machine-made"))
	if !h.Free() || h.Cost() != (password.Cost{}) || h.Class() != "plaintext" || h.Weak() != "" {
		t.Errorf("free %v, cost %v, class %q, weak %q", h.Free(), h.Cost(), h.Class(), h.Weak())
	}
}

func TestGuessable(t *testing.T) {
	t.Parallel()
	for secret, want := range map[string]bool{
		"": true, "hunter2": true, "fifteen-letters": true, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": true, "abcabcabcabcabcabc": true,
		"0123456789abcdef": false, "kJ8sVq2LxZ0pRt5w": false,
	} {
		if got := password.Guessable([]byte(secret)); got != want {
			t.Errorf("%q: guessable %v", secret, got)
		}
	}
}
