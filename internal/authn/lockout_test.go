package authn_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// Addresses in different networks.
const home, office, stranger = "198.51.100.7", "2001:db8:1::7", "203.0.113.7"

// guesser returns an address in the nth of many networks.
func guesser(n int) string { return fmt.Sprintf("10.%d.%d.1", n/256, n%256) }

func TestOneNetworkLocksOutNoOneElse(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for i := range 30 {
		_ = h.loginFrom(fmt.Sprintf("203.0.113.%d", i), "jean", wrong)
	}
	if err := h.loginFrom(stranger, "jean", right); err != authn.ErrLocked {
		t.Errorf("the guessing network gets %v", err)
	}
	for _, address := range []string{home, office, "203.0.112.7", "2001:db8:2::7"} {
		if err := h.loginFrom(address, "jean", right); err != nil {
			t.Errorf("%s, which guessed nothing, gets %v", address, err)
		}
	}
	if err := h.loginFrom(stranger, "jean", right); err != authn.ErrLocked {
		t.Errorf("once others have logged in, the guessing network gets %v", err)
	}
}

func TestIPv6NetworkIsLockedOutWhole(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for i := range 10 {
		_ = h.loginFrom(fmt.Sprintf("2001:db8:1:%x::1", i), "jean", wrong)
	}
	if err := h.loginFrom("2001:db8:1:ffff::1", "jean", right); err != authn.ErrLocked {
		t.Errorf("another address of the /48 gets %v", err)
	}
	if err := h.loginFrom("2001:db8:2::1", "jean", right); err != nil {
		t.Errorf("another /48 gets %v", err)
	}
}

func TestLocksOfNetworkGrowToADay(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	h.put(t, "jean", bcrypt4(t, right))
	for _, hours := range []float64{0.5, 1, 2, 4, 8, 16, 24, 24} {
		for i := range 10 {
			if err := h.loginFrom(stranger, "jean", wrong); err != authn.ErrWrongPassword {
				t.Fatalf("guess %d before the lock of %v hours: %v", i, hours, err)
			}
		}
		h.advance(time.Duration(hours*float64(time.Hour)) - 1)
		if err := h.loginFrom(stranger, "jean", wrong); err != authn.ErrLocked {
			t.Errorf("just before the end of %v hours: %v", hours, err)
		}
		h.advance(1)
	}
}

// A service that logs in each quarter of an hour is never refused, while a stranger guesses from
// another network, from the same one, or from very many.
func TestBusyServiceIsNotLockedOut(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]func(int) string{
		"another network": func(int) string { return stranger },
		"its own address": func(int) string { return home },
		"many networks":   guesser,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFixture(nil)
			h.put(t, "robot", bcrypt4(t, right))
			guesses := 0
			for quarter := range 26 * 4 {
				if err := h.loginFrom(home, "robot", right); err != nil {
					t.Fatalf("the service gets %v after %d guesses, quarter %d", err, guesses, quarter)
				}
				for range 12 {
					_ = h.loginFrom(source(guesses), "robot", wrong)
					guesses++
				}
				h.advance(15 * time.Minute)
			}
		})
	}
}

func TestAccountLocksForGuessesFromManyNetworks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		networks, guesses int
		until             time.Time
	}{
		{5, 49, time.Time{}},
		{4, 40, time.Time{}}, // as many as four networks get before each is locked out
		{5, 50, start.Add(30 * time.Minute)},
		{25, 50, start.Add(30 * time.Minute)},
	} {
		h := newFixture(nil)
		h.put(t, "jean", bcrypt4(t, right))
		for i := range c.guesses {
			if err := h.loginFrom(guesser(i%c.networks), "jean", wrong); err != authn.ErrWrongPassword {
				t.Fatalf("guess %d of %d: %v", i, c.guesses, err)
			}
		}
		updates := h.reported()
		if until := updates[len(updates)-1].LockedUntil; !until.Equal(c.until) {
			t.Errorf("%d guesses from %d networks lock the account until %s, want %s", c.guesses, c.networks, until, c.until)
		}
		if err := h.loginFrom(home, "jean", right); (err == authn.ErrLocked) == c.until.IsZero() {
			t.Errorf("after %d guesses from %d networks, others get %v", c.guesses, c.networks, err)
		}
	}
}

func TestHundredFailuresLockUntilLifted(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	u := h.put(t, "jean", bcrypt4(t, right))
	for i := range 100 {
		if i == 50 {
			h.advance(30 * time.Minute)
		}
		if err := h.loginFrom(guesser(i), "jean", wrong); err != authn.ErrWrongPassword {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	updates := h.reported()
	if last := updates[99]; !last.LockedUntil.Equal(loginstate.Forever) {
		t.Errorf("the hundredth failure says %+v", last)
	}
	h.advance(365 * 24 * time.Hour)
	if err := h.loginFrom(home, "jean", right); err != authn.ErrLocked {
		t.Errorf("a year later: %v", err)
	}
	u = h.change(u, func(u *directory.User) { u.LockedUntil, u.FailedLogins = loginstate.Forever, 100 })
	h.change(u, func(u *directory.User) { u.LockedUntil, u.FailedLogins = time.Time{}, 0 })
	if err := h.loginFrom(home, "jean", right); err != nil {
		t.Errorf("after an administrator lifted the lock: %v", err)
	}
}

// The lock of the account stops those who have not logged in lately, even with the right password.
func TestLockOfAccountSparesThoseWhoLoggedInLately(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	u := h.put(t, "jean", bcrypt4(t, right))
	if err := h.loginFrom(home, "jean", right); err != nil {
		t.Fatal(err)
	}
	h.change(u, func(u *directory.User) { u.LockedUntil = start.Add(25 * time.Hour) })
	h.advance(24*time.Hour - time.Second)
	if err := h.loginFrom(stranger, "jean", right); err != authn.ErrLocked {
		t.Errorf("a network that never logged in gets %v", err)
	}
	if err := h.loginFrom(home, "jean", wrong); err != authn.ErrLocked {
		t.Errorf("a wrong password gets %v", err)
	}
	if err := h.loginFrom(home, "jean", right); err != nil {
		t.Errorf("who logged in a day before gets %v", err)
	}
}

// A plaintext is the secret of a machine. No lock refuses it, also not one that another replica or an
// earlier process has left in the status.
func TestPlaintextIsNeverLocked(t *testing.T) {
	t.Parallel()
	h := newFixture(nil)
	secret := directory.Password{Hash: password.NewKeyer().NewPlaintext([]byte("machine"))}
	for login, passwords := range map[string][]directory.Password{"robot": {secret}, "both": {bcrypt4(t, right), secret}} {
		u := h.put(t, login, passwords...)
		h.change(u, func(u *directory.User) { u.LockedUntil, u.FailedLogins = loginstate.Forever, 100 })
		for i := range 60 {
			_ = h.loginFrom(guesser(i%6), login, wrong)
			_ = h.loginFrom(home, login, wrong)
		}
		if err := h.loginFrom(home, login, "machine"); err != nil {
			t.Errorf("%s gets %v", login, err)
		}
	}
	if err := h.loginFrom(home, "both", right); err != authn.ErrLocked {
		t.Errorf("a hash of the same user gets %v", err)
	}
	for _, u := range h.reported() {
		if !u.LockedUntil.IsZero() {
			t.Errorf("a lock is reported: %+v", u)
		}
	}
}
