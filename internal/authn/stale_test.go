package authn_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Every verdict ends with the bound and not before, and comes back with the next sign of life.
func TestStaleDirectoryGivesNoVerdict(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	assertions := &authn.Assertion{Passwords: h.Password, Directory: h.directory, Audit: h.Audit, Now: h.clock}
	tokens := &authn.Token{Directory: h.directory, Verifier: &token.Verifier{Keys: &token.KeySet{}}, Audit: h.Audit, Now: h.clock}
	questions := map[string]func() error{
		"password": func() error { return h.login("jean", right) },
		"token":    func() error { _, err := tokens.Authenticate(t.Context(), "x"); return err },
		"token that is inspected": func() error {
			_, err := tokens.Inspect(t.Context(), "x")
			return err
		},
	}
	ask := func(stale bool) {
		t.Helper()
		for name, question := range questions {
			if err := question(); errors.Is(err, authn.ErrStale) != stale || errors.Is(err, authn.ErrUnavailable) != stale {
				t.Errorf("%s: stale is %t: %v", name, stale, err)
			}
		}
	}
	ask(false) // without a bound, not even a sign of life is needed
	h.directory.LimitStaleness(time.Minute)
	h.directory.Hear(h.clock())
	h.advance(time.Minute)
	ask(false)
	questions["assertion"] = func() error {
		_, err := assertions.Authenticate(t.Context(), "x")
		return err
	}
	h.advance(time.Nanosecond)
	ask(true)
	delete(questions, "assertion")
	h.directory.Hear(h.clock())
	ask(false)
}
