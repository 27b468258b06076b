package password_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// FuzzParse holds that no string makes Parse panic or Verify run beyond the bounds, that every
// refusal is of one kind, and that whatever is accepted has a decoy of its own class.
func FuzzParse(f *testing.F) {
	for _, v := range vectors() {
		f.Add(v.encoded)
	}
	for _, c := range hostile() {
		if len(c.encoded) < 1024 {
			f.Add(c.encoded)
		}
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		h, err := password.Parse(encoded)
		if err != nil {
			refusedProperly(t, h, err)
			return
		}
		if again, err := password.Parse(strings.TrimRight(encoded, "\r\n") + "\n"); err != nil || !again.Equal(h) {
			t.Errorf("with a newline behind it: %v", err)
		}
		cost := h.Cost()
		if cost.Time <= 0 || cost.Time > password.MaximumTime || cost.Memory <= 0 || cost.Memory > password.MaximumMemory {
			t.Errorf("accepted at a cost of %v", cost)
		}
		d := h.Decoy()
		if d.Class() != h.Class() || d.Cost() != cost || d.Equal(h) {
			t.Errorf("the decoy of %s is %s", h.Class(), d.Class())
		}
		if cost.Time < 10*time.Millisecond && cost.Memory < 8<<20 {
			h.Verify([]byte(encoded))
			if d.Verify([]byte(phrase)) {
				t.Error("a password matches a decoy")
			}
		}
	})
}

func refusedProperly(t *testing.T, h *password.Hash, err error) {
	t.Helper()
	kinds := 0
	for _, kind := range []error{password.ErrUnsupported, password.ErrMalformed, password.ErrTooExpensive} {
		if errors.Is(err, kind) {
			kinds++
		}
	}
	if h != nil || kinds != 1 || !errors.Is(err, password.ErrInvalid) || len(err.Error()) > 250 {
		t.Errorf("refused with %v", err)
	}
}

// FuzzVerify holds that nothing but the password itself matches.
func FuzzVerify(f *testing.F) {
	hashes := []*password.Hash{
		hashOf(f, "secret"), argon2Of(f, "secret"), password.NewKeyer().NewPlaintext([]byte("secret")),
	}
	for _, seed := range []string{"secret", "secret\x00secret", "secret\x00", "", "secre", strings.Repeat("secret\x00", 11)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, tried []byte) {
		want := string(tried) == "secret"
		for _, h := range hashes {
			if h.Verify(tried) != want {
				t.Errorf("%s: Verify is not %v", h.Class(), want)
			}
		}
	})
}
