package authn_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

const right, wrong = "the right password", "a wrong password"

func expired(p directory.Password) directory.Password {
	p.ExpiresAt = start
	return p
}

func TestOrderOfVerdicts(t *testing.T) {
	t.Parallel()
	lock := func(u *directory.User) { u.LockedUntil = start.Add(time.Hour) }
	revoke := func(u *directory.User) { u.Revoked = true }
	expire := func(u *directory.User) { u.ExpiresAt = start }
	for name, c := range map[string]struct {
		password string
		ended    bool
		changes  []func(*directory.User)
		want     error
	}{
		"right":                             {right, false, nil, nil},
		"wrong":                             {wrong, false, nil, authn.ErrWrongPassword},
		"right of a locked account":         {right, true, []func(*directory.User){lock, revoke, expire}, authn.ErrLocked},
		"wrong of a locked account":         {wrong, false, []func(*directory.User){lock}, authn.ErrLocked},
		"wrong of a revoked account":        {wrong, false, []func(*directory.User){revoke}, authn.ErrWrongPassword},
		"right of a revoked account":        {right, true, []func(*directory.User){revoke, expire}, directory.ErrRevoked},
		"right of an expired account":       {right, true, []func(*directory.User){expire}, directory.ErrExpired},
		"right, but this password is over":  {right, true, nil, authn.ErrPasswordExpired},
		"wrong, and the right one is over":  {wrong, true, nil, authn.ErrWrongPassword},
		"empty":                             {"", false, nil, authn.ErrWrongPassword},
		"longer than bcrypt looks at":       {right + strings.Repeat("x", 72), false, nil, authn.ErrWrongPassword},
		"longer than anything is looked at": {strings.Repeat("x", 60000), false, nil, authn.ErrWrongPassword},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFixture(nil)
			p := bcrypt4(t, right)
			if c.ended {
				p = expired(p)
			}
			u := h.put(t, "jean", p)
			for _, change := range c.changes {
				u = h.change(u, change)
			}
			if err := h.login("jean", c.password); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestUnknownLoginAndUserWithoutPassword(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	h.put(t, "nopassword")
	if err := h.login("nobody", right); err != authn.ErrUnknownLogin {
		t.Errorf("unknown: %v", err)
	}
	if err := h.login("nopassword", ""); err != authn.ErrWrongPassword {
		t.Errorf("no password: %v", err)
	}
	if n := h.computed.Load(); n != 2 {
		t.Errorf("%d hashes computed for two refusals", n)
	}
}

func TestNoPasswordVerdictBeforeSync(t *testing.T) {
	t.Parallel()
	h := newFixture(func(c *authn.PasswordConfig) { c.Directory = directory.New() })
	if err := h.login("jean", right); err != authn.ErrUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestEachOfSeveralPasswordsLogsIn(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", expired(bcrypt4(t, "old")), bcrypt4(t, "new"), expired(bcrypt4(t, "both")), bcrypt4(t, "both"))
	for plain, want := range map[string]error{"old": authn.ErrPasswordExpired, "new": nil, "both": nil, "other": authn.ErrWrongPassword} {
		if err := h.login("jean", plain); err != want {
			t.Errorf("%s: got %v, want %v", plain, err, want)
		}
	}
}

func TestPlaintextCostsNoHashUnlessRefused(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	secret := directory.Password{Hash: password.NewKeyer().NewPlaintext([]byte("machine"))}
	h.put(t, "robot", secret, bcrypt4(t, right))
	if err := h.login("robot", "machine"); err != nil || h.computed.Load() != 0 {
		t.Errorf("error %v after %d hashes", err, h.computed.Load())
	}
	if err := h.login("robot", wrong); err != authn.ErrWrongPassword || h.computed.Load() != 1 {
		t.Errorf("error %v after %d hashes", err, h.computed.Load())
	}
}

func TestCachedPasswordCostsNoHash(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for i, step := range []struct {
		after time.Duration
		want  int64
	}{{0, 1}, {0, 1}, {10*time.Minute - 1, 1}, {10*time.Minute - 1, 1}, {10 * time.Minute, 2}, {time.Second, 2}} {
		h.advance(step.after)
		if err := h.login("jean", right); err != nil || h.computed.Load() != step.want {
			t.Errorf("step %d: error %v, %d hashes, want %d", i, err, h.computed.Load(), step.want)
		}
	}
}

func TestCachedPasswordIsVerifiedDailyHoweverBusy(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for range 3 * 24 * 12 {
		if err := h.login("jean", right); err != nil {
			t.Fatal(err)
		}
		h.advance(5 * time.Minute)
	}
	if n := h.computed.Load(); n != 3 {
		t.Errorf("%d hashes for a login each 5 minutes of 3 days", n)
	}
}

func TestNoCacheMeansOneHashPerLogin(t *testing.T) {
	t.Parallel()
	h := newFixture(func(c *authn.PasswordConfig) { c.CacheTTL = 0 })
	h.put(t, "jean", bcrypt4(t, right))
	for range 3 {
		if err := h.login("jean", right); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.computed.Load(); n != 3 {
		t.Errorf("%d hashes for 3 logins", n)
	}
}

func TestOnlySuccessesAreRemembered(t *testing.T) {
	t.Parallel()
	h := newFixture(func(c *authn.PasswordConfig) { c.LockAfter = 0 })
	u := h.put(t, "jean", bcrypt4(t, right))
	h.change(u, func(u *directory.User) { u.ExpiresAt = start })
	for range 3 {
		_ = h.login("jean", wrong)
		_ = h.login("jean", right)
	}
	if n := h.computed.Load(); n != 6 {
		t.Errorf("%d hashes for 6 refusals", n)
	}
}

func TestCachedPasswordOfExpiredAccountCostsHash(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.change(h.put(t, "jean", bcrypt4(t, right)), func(u *directory.User) { u.ExpiresAt = start.Add(time.Minute) })
	if err := h.login("jean", right); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Minute)
	if err := h.login("jean", right); err != directory.ErrExpired || h.computed.Load() != 2 {
		t.Errorf("error %v after %d hashes", err, h.computed.Load())
	}
}

func TestCachedPasswordExpiresOnTime(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	p := bcrypt4(t, right)
	p.ExpiresAt = start.Add(time.Minute)
	h.put(t, "jean", p)
	if err := h.login("jean", right); err != nil {
		t.Fatal(err)
	}
	h.advance(time.Minute)
	if err := h.login("jean", right); err != authn.ErrPasswordExpired {
		t.Errorf("got %v", err)
	}
}

func TestChangedPasswordLeavesCache(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	if err := h.login("jean", right); err != nil {
		t.Fatal(err)
	}
	h.put(t, "jean", bcrypt4(t, "another"))
	if err := h.login("jean", right); err != authn.ErrWrongPassword {
		t.Errorf("the old password: %v", err)
	}
}

func TestFailuresLockForDuration(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for i := range 10 {
		if err := h.login("jean", wrong); err != authn.ErrWrongPassword {
			t.Fatalf("failure %d: %v", i+1, err)
		}
	}
	if err := h.login("jean", right); err != authn.ErrLocked {
		t.Fatalf("after ten failures: %v", err)
	}
	if last := h.reported()[9]; !last.LockedUntil.IsZero() || !last.Urgent {
		t.Errorf("others hear of %+v, although one network can lock only itself out", last)
	}
	h.advance(30*time.Minute - 1)
	if err := h.login("jean", right); err != authn.ErrLocked {
		t.Errorf("just before the end: %v", err)
	}
	h.advance(1)
	for range 9 {
		_ = h.login("jean", wrong)
	}
	if err := h.login("jean", right); err != nil {
		t.Errorf("the count did not begin at 0 after the lock: %v", err)
	}
}

func TestLockWithoutDurationIsEndless(t *testing.T) {
	t.Parallel()
	h := newFixture(func(c *authn.PasswordConfig) { c.LockAfter, c.LockDuration = 1, 0 })
	h.put(t, "jean", bcrypt4(t, right))
	_ = h.login("jean", wrong)
	h.advance(100 * 365 * 24 * time.Hour)
	if err := h.login("jean", right); err != authn.ErrLocked {
		t.Errorf("got %v", err)
	}
}

func TestLockAfterZeroNeverLocks(t *testing.T) {
	t.Parallel()
	h := newFixture(func(c *authn.PasswordConfig) { c.LockAfter = 0 })
	h.put(t, "jean", bcrypt4(t, right))
	for range 30 {
		_ = h.login("jean", wrong)
	}
	if err := h.login("jean", right); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestSuccessClearsFailures(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for range 5 {
		for range 9 {
			_ = h.login("jean", wrong)
		}
		if err := h.login("jean", right); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGuessesDoNotLockOutCachedPassword(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	if err := h.login("jean", right); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		_ = h.login("jean", wrong)
	}
	if err := h.login("jean", right); err != nil {
		t.Errorf("a cached password is refused: %v", err)
	}
}

func TestAChangedPasswordLiftsALock(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for range 10 {
		_ = h.login("jean", wrong)
	}
	h.put(t, "jean", bcrypt4(t, "another"))
	if err := h.login("jean", "another"); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestRevokedAccountCountsWrongPasswordsOnly(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	u := h.put(t, "jean", bcrypt4(t, right))
	h.change(u, func(u *directory.User) { u.Revoked = true })
	for range 20 {
		_ = h.login("jean", right)
	}
	if n := len(h.reported()); n != 0 {
		t.Errorf("%d failures counted", n)
	}
	for range 10 {
		_ = h.login("jean", wrong)
	}
	if err := h.login("jean", right); err != authn.ErrLocked {
		t.Errorf("after ten wrong ones: %v", err)
	}
}

func TestConcurrentGuessesStayWithinLock(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() { _ = h.login("jean", wrong+strings.Repeat("x", i)) })
	}
	wg.Wait()
	if n := len(h.reported()); n != 10 {
		t.Errorf("%d guesses of 60 were judged", n)
	}
}

func TestConcurrentLoginsShareOneHash(t *testing.T) {
	h := newFixture(nil)
	h.put(t, "jean", directory.Password{Hash: parse(t, bcrypt10)})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := h.login("jean", "password"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := h.computed.Load(); n > 2 {
		t.Errorf("%d hashes for one credential", n)
	}
}

func TestVerdictIsAboutUserAfterHash(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	u := h.put(t, "jean", directory.Password{Hash: parse(t, bcrypt10)})
	result := make(chan error)
	go func() { result <- h.login("jean", "password") }()
	h.change(u, func(u *directory.User) { u.Revoked = true })
	if err := <-result; err != directory.ErrRevoked {
		t.Errorf("got %v", err)
	}
}

// Any change of a User makes new credentials, even a change of its name or groups. A login with the
// right password at that moment must not be refused as wrong.
func TestChangedCredentialsAreCheckedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		next func(*testing.T) []directory.Password
		want error
	}{
		"the same password":   {func(t *testing.T) []directory.Password { return []directory.Password{{Hash: parse(t, bcrypt10)}} }, nil},
		"another password":    {func(t *testing.T) []directory.Password { return []directory.Password{bcrypt4(t, "another")} }, authn.ErrWrongPassword},
		"no password is left": {func(*testing.T) []directory.Password { return nil }, authn.ErrWrongPassword},
	} {
		t.Run(name, func(t *testing.T) {
			h := newFixture(nil)
			h.put(t, "jean", directory.Password{Hash: parse(t, bcrypt10)})
			result := make(chan error)
			go func() { result <- h.login("jean", "password") }()
			for h.computed.Load() == 0 && h.waited.Load() == 0 { // until the hash has begun
				runtime.Gosched()
			}
			h.put(t, "jean", c.next(t)...)
			if err := <-result; err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestOneOfSeveralReadingsLogsIn(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for range 2 { // a hash first, then the password cache
		for _, readings := range [][]authn.Credentials{
			{{Login: "jean", Password: right}, {Login: "jean", Password: wrong}},
			{{Login: "jean", Password: wrong}, {Login: "jean", Password: right}},
			{{Login: "nobody", Password: right}, {Login: "jean", Password: right}},
		} {
			if id, err := h.AuthenticateAny(t.Context(), readings...); err != nil || id.User.Login != "jean" {
				t.Errorf("%v: %+v, %v", readings, id, err)
			}
		}
	}
}

// Otherwise a client with two readings would lock its account in half the attempts.
func TestRefusalOfSeveralReadingsIsOneFailure(t *testing.T) {
	t.Parallel()
	h := newFixture(func(c *authn.PasswordConfig) { c.LockAfter = 3 })
	h.put(t, "jean", bcrypt4(t, right))
	for n := range 2 {
		readings := []authn.Credentials{{Login: "jean", Password: fmt.Sprint(wrong, n)}, {Login: "jean", Password: fmt.Sprint(wrong, "+", n)}}
		if _, err := h.AuthenticateAny(t.Context(), readings...); !errors.Is(err, authn.ErrWrongPassword) {
			t.Fatal(err)
		}
	}
	if err := h.login("jean", right); err != nil {
		t.Errorf("two refusals count as more than two failures: %v", err)
	}
}

// A refusal that spared the hash of the second reading would tell that the first one is right.
func TestRefusalComputesTheHashOfEachReading(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.change(h.put(t, "jean", bcrypt4(t, right)), func(u *directory.User) { u.Revoked = true })
	hashes := func(first, second string) int {
		before := h.computed.Load()
		if _, err := h.AuthenticateAny(t.Context(), authn.Credentials{Login: "jean", Password: first}, authn.Credentials{Login: "jean", Password: second}); err == nil {
			t.Fatal("a revoked user logs in")
		}
		return int(h.computed.Load() - before)
	}
	if known, unknown := hashes(right, "a"), hashes("b", "c"); known != unknown {
		t.Errorf("%d hashes if the password is right, %d if it is wrong", known, unknown)
	}
}

func TestAuditTruncatesLogins(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	for login, want := range map[string]string{
		strings.Repeat("x", 255):   strings.Repeat("x", 255),
		strings.Repeat("x", 256):   strings.Repeat("x", 255) + "...",
		strings.Repeat("☃", 255):   strings.Repeat("☃", 255),
		strings.Repeat("☃", 60000): strings.Repeat("☃", 255) + "...",
	} {
		_ = h.login(login, wrong)
		if got := h.events[len(h.events)-1].Login; got != want {
			t.Errorf("a login of %d bytes is audited as one of %d", len(login), len(got))
		}
	}
}

func TestCanceledLoginReturnsAtOnce(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", directory.Password{Hash: parse(t, bcrypt10)})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.Authenticate(ctx, "jean", "password"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLoginsAreAudited(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for _, step := range []struct {
		login, password string
		want            audit.Event
	}{
		{"jean", right, audit.Event{Name: audit.Login, Outcome: audit.Allowed, Login: "jean", UID: "uid-of-jean"}},
		{"jean", right, audit.Event{Name: audit.Login, Outcome: audit.Allowed, Login: "jean", UID: "uid-of-jean", Cached: true}},
		{"jean", wrong, audit.Event{Name: audit.Login, Outcome: audit.Refused, Reason: "wrong_password", Login: "jean", UID: "uid-of-jean"}},
		{"nobody", wrong, audit.Event{Name: audit.Login, Outcome: audit.Refused, Reason: "unknown_login", Login: "nobody"}},
	} {
		_ = h.login(step.login, step.password)
		if got := h.events[len(h.events)-1]; got != step.want {
			t.Errorf("got %+v, want %+v", got, step.want)
		}
	}
}
