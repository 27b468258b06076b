package authn_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
	"github.com/gatehouse-auth/gatehouse/internal/assertion/assertiontest"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// newAssertions returns an authenticator of assertions for the users of h, and their issuer, which
// is up.
func newAssertions(t testing.TB, h *fixture) (*authn.Assertion, *assertiontest.Issuer) {
	t.Helper()
	i := assertiontest.New(t, "https://ci.test")
	trusted := assertion.NewIssuer(assertion.Config{
		Source: assertion.Source{Get: i.Get, Issuer: i.URL}, Audiences: []string{assertiontest.Audience}, Now: h.clock,
		Fetched: func(*assertion.Issuer, bool, error) {},
	})
	v := &assertion.Verifier{}
	v.Trust([]*assertion.Issuer{trusted})
	go trusted.Run(t.Context())
	return &authn.Assertion{Passwords: h.Password, Directory: h.directory, Verifier: v, Audit: h.Audit, Now: h.clock}, i
}

func putIdentity(t testing.TB, h *fixture, issuer, login string, passwords ...directory.Password) {
	h.change(h.put(t, login, passwords...), func(u *directory.User) {
		u.Identities = []directory.Identity{{Issuer: issuer, Subject: login}}
	})
}

func TestUserMustHoldLoginOfIdentity(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	a, i := newAssertions(t, h)
	h.change(h.put(t, "jean"), func(u *directory.User) { u.Created = start })
	h.directory.Put(&directory.User{
		Key: "gatehouse-users/rival", UID: "rival", Login: "jean", Created: start.Add(time.Hour),
		Identities: []directory.Identity{{Issuer: i.URL, Subject: "rival"}},
	})
	text := i.Sign(t, i.Claims(h.clock(), "rival", nil))
	if _, err := a.Authenticate(t.Context(), text); !errors.Is(err, authn.ErrWrongPassword) {
		t.Errorf("a user who does not hold its login: %v", err)
	}
}

// Otherwise a flood of forged assertions would leave others less room than one of guesses.
func TestRefusedAssertionCostsTheHashesOfARefusedPassword(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	a, i := newAssertions(t, h)
	putIdentity(t, h, i.URL, "jean", bcrypt4(t, right))
	hashes := func(login func() error) int64 {
		before := h.computed.Load()
		_ = login()
		return h.computed.Load() - before
	}
	guess := hashes(func() error { return h.login("nobody", wrong) })
	if guess == 0 {
		t.Fatal("a wrong password costs no hash")
	}
	for name, forged := range i.Forgeries(t, h.clock(), "jean") {
		for _, login := range []string{"jean", "nobody"} {
			if got := hashes(func() error { _, err := a.AuthenticateLogin(t.Context(), login, forged); return err }); got != guess {
				t.Errorf("an assertion %s for %s costs %d hashes, and a wrong password %d", name, login, got, guess)
			}
		}
	}
	forged := i.Forgeries(t, h.clock(), "jean")["with another key and the kid"]
	if got := hashes(func() error {
		var flood sync.WaitGroup
		for range 8 {
			flood.Go(func() { _, _ = a.AuthenticateLogin(t.Context(), "jean", forged) })
		}
		flood.Wait()
		return nil
	}); got != 8*guess {
		t.Errorf("8 requests with one forged assertion cost %d hashes, and 8 guesses %d", got, 8*guess)
	}
	good := i.Sign(t, i.Claims(h.clock(), "jean", nil))
	if got := hashes(func() error { _, err := a.AuthenticateLogin(t.Context(), "jean", good); return err }); got != 0 {
		t.Errorf("a good assertion costs %d hashes", got)
	}
}

// A wrong assertion takes the same time for a login that exists and for one that does not, and a
// wrong password takes the same time whether or not its user has identities.
func TestIdentitiesCannotBeTimed(t *testing.T) {
	skipUnlessTimed(t)
	h := newFixture(func(c *authn.PasswordConfig) { c.LockAfter = 0 })
	assertions, i := newAssertions(t, h)
	logins := &authn.Logins{Passwords: h.Password, Assertions: assertions}
	h.put(t, "plain", bcrypt4(t, right))
	putIdentity(t, h, i.URL, "identity", bcrypt4(t, right))
	if _, err := assertions.Authenticate(t.Context(), i.Sign(t, i.Claims(h.clock(), "identity", nil))); err != nil {
		t.Fatal(err)
	}
	forged := i.Forgeries(t, h.clock(), "identity")["with another key and the kid"]
	times := map[string][]time.Duration{}
	var order []string
	for _, name := range []string{"plain, password", "identity, password", "identity, assertion", "unknown, assertion"} {
		for range samplesPerCase {
			order = append(order, name)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for n, name := range order {
		login, secret := map[string]string{
			"plain, password": "plain", "identity, password": "identity", "identity, assertion": "identity",
			"unknown, assertion": fmt.Sprint("unknown-", n),
		}[name], "a wrong password"
		if name == "identity, assertion" || name == "unknown, assertion" {
			secret = forged
		}
		begun := time.Now()
		if _, err := logins.Authenticate(t.Context(), login, secret); !authn.IsRefusal(err) {
			t.Fatalf("%s: %v", name, err)
		}
		times[name] = append(times[name], time.Since(begun))
	}
	for _, pair := range [][2]string{{"identity, password", "plain, password"}, {"identity, assertion", "unknown, assertion"}} {
		share := shareLonger(times[pair[0]], times[pair[1]])
		t.Logf("%s takes longer than %s in %.1f %% of pairs", pair[0], pair[1], 100*share)
		if share < 0.5-tellable || share > 0.5+tellable {
			t.Errorf("%s and %s can be told apart: %.1f %% of pairs", pair[0], pair[1], 100*share)
		}
	}
}

// BenchmarkAssertion compares the verdict on an assertion that was seen before with that on one that
// comes for the first time.
func BenchmarkAssertion(b *testing.B) {
	h := newFixture(nil)
	a, i := newAssertions(b, h)
	putIdentity(b, h, i.URL, "shop")
	texts := make([]string, 2*8192) // more than the cache holds
	for n := range texts {
		texts[n] = i.Sign(b, i.Claims(h.clock(), "shop", map[string]any{"jti": n}))
	}
	if _, err := a.Authenticate(b.Context(), texts[0]); err != nil {
		b.Fatal(err)
	}
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = a.Authenticate(b.Context(), texts[0])
		}
	})
	b.Run("first sight", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n++
			_, _ = a.Authenticate(b.Context(), texts[n%len(texts)])
		}
	})
}
