package password_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// hashOf makes a bcrypt hash at the least cost.
func hashOf(t testing.TB, secret string) *password.Hash {
	t.Helper()
	encoded, err := password.Generate([]byte(secret), password.Parameters{Format: password.Bcrypt, Cost: 4})
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	return parse(t, encoded)
}

// argon2Of makes an argon2id hash that costs next to nothing.
func argon2Of(t testing.TB, secret string) *password.Hash {
	t.Helper()
	encoded, err := password.Generate([]byte(secret), password.Parameters{Memory: 8, Iterations: 1})
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	return parse(t, encoded)
}

func TestOnlyTheWholePasswordMatches(t *testing.T) {
	t.Parallel()
	a72, a1024 := strings.Repeat("a", 72), strings.Repeat("a", password.MaximumLength)
	for name, c := range map[string]struct {
		hash  *password.Hash
		tried string
		want  bool
	}{
		"bcrypt matches 72 bytes":                         {hashOf(t, a72), a72, true},
		"bcrypt does not match 73 bytes":                  {hashOf(t, a72), a72 + "a", false},
		"bcrypt does not match 72 of 1025 bytes":          {hashOf(t, a72), a1024 + "a", false},
		"bcrypt does not match a repetition behind NUL":   {hashOf(t, "a"), "a\x00a", false},
		"bcrypt does not match a tail behind NUL":         {hashOf(t, "a"), "a\x00", false},
		"argon2id matches bytes that are no text":         {argon2Of(t, "a\x00\xffb"), "a\x00\xffb", true},
		"argon2id does not end at NUL":                    {argon2Of(t, "a\x00b"), "a\x00c", false},
		"argon2id matches 1024 bytes":                     {argon2Of(t, a1024), a1024, true},
		"argon2id does not match 1025 bytes":              {argon2Of(t, a1024), a1024 + "a", false},
		"a prefix does not match":                         {argon2Of(t, "secret"), "secre", false},
		"another case does not match":                     {argon2Of(t, "secret"), "Secret", false},
		"the empty password does not match":               {argon2Of(t, "secret"), "", false},
		"the empty password does not match its own hash":  {parse(t, hashOfNothing), "", false},
		"the hash itself is not a password":               {parse(t, hashOfNothing), hashOfNothing, false},
		"the nil Hash matches nothing":                    {nil, "secret", false},
		"the nil Hash does not match the empty password":  {nil, "", false},
		"the zero Hash matches nothing":                   {new(password.Hash), "secret", false},
		"the zero Hash does not match the empty password": {new(password.Hash), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.hash.Verify([]byte(c.tried)); got != c.want {
				t.Errorf("Verify is %v", got)
			}
		})
	}
}

// hashOfNothing was made by: htpasswd -nbBC 4 user ""
const hashOfNothing = "$2y$04$603eRx0gpXtrNfppYgGlHeBKE.TojFyI6p5KgQ8O0tOLVxOtQJZX6"

func TestVerifyLeavesThePasswordAlone(t *testing.T) {
	t.Parallel()
	for command, h := range cheap(t) {
		tried := []byte(phrase + "!")
		h.Verify(tried[:len(phrase)])
		if string(tried) != phrase+"!" {
			t.Errorf("%s: the caller's bytes have changed", command)
		}
	}
}

func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	plain := password.NewKeyer().NewPlaintext([]byte("secret"))
	hashes := []*password.Hash{hashOf(t, "secret"), argon2Of(t, "secret"), plain}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			h := hashes[i%len(hashes)]
			if !h.Verify([]byte("secret")) || h.Verify([]byte("guess")) || h.Decoy().Verify([]byte("secret")) {
				t.Errorf("%s gives a wrong verdict", h.Class())
			}
		})
	}
	wg.Wait()
}

func TestDecoyOfFreeHashIsFree(t *testing.T) {
	t.Parallel()
	plain := password.NewKeyer().NewPlaintext([]byte("secret"))
	for _, h := range []*password.Hash{plain, new(password.Hash), nil} {
		if d := h.Decoy(); d.Class() != h.Class() || !d.Free() || d.Verify([]byte("secret")) || d.Verify(nil) {
			t.Errorf("the decoy of class %q differs", h.Class())
		}
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	keyer := password.NewKeyer()
	first, second := hashOf(t, "secret"), hashOf(t, "secret")
	for name, c := range map[string]struct {
		a, b *password.Hash
		want bool
	}{
		"the same hash":                        {first, first, true},
		"another salt":                         {first, second, false},
		"the same string but for a newline":    {parse(t, hashOfNothing), parse(t, hashOfNothing+"\n"), true},
		"the same plaintext":                   {keyer.NewPlaintext([]byte("a")), keyer.NewPlaintext([]byte("a")), true},
		"another plaintext":                    {keyer.NewPlaintext([]byte("a")), keyer.NewPlaintext([]byte("b")), false},
		"the same plaintext under another key": {keyer.NewPlaintext([]byte("a")), password.NewKeyer().NewPlaintext([]byte("a")), false},
		"a hash and no hash":                   {first, nil, false},
		"no hash and no hash":                  {nil, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.a.Equal(c.b) != c.want || c.b.Equal(c.a) != c.want {
				t.Errorf("Equal is not %v", c.want)
			}
		})
	}
}

func TestPrintedHashShowsClassOnly(t *testing.T) {
	t.Parallel()
	v := vectors()["htpasswd -nbBC 10 user PHRASE"]
	h := parse(t, v.encoded)
	plain := password.NewKeyer().NewPlaintext([]byte(phrase))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, shown := range []any{h, *h, []*password.Hash{h}, plain, *plain} {
			text := fmt.Sprintf(verb, shown)
			if strings.Contains(text, v.encoded[7:20]) || strings.Contains(text, fmt.Sprintf("%x", v.encoded[7:20])) {
				t.Errorf("%s prints the hash", verb)
			}
			if strings.Contains(text, phrase) || len(text) > 80 {
				t.Errorf("%s prints %d characters", verb, len(text))
			}
		}
	}
	text, err := json.Marshal(map[string]any{"hash": h, "plaintext": plain})
	if err != nil || string(text) != `{"hash":{},"plaintext":{}}` {
		t.Errorf("JSON is %s, %v", text, err)
	}
}
