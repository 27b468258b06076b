package authn_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
)

// The limits of the accounts below. A password has to be hashed again before a lock ends, so that
// both kinds of login meet a lock.
const (
	lockAfter = 3
	lockFor   = 30 * time.Minute
	cacheTTL  = 20 * time.Minute
)

// account is the simplest model of how locks must behave, seen from one network.
type account struct {
	row, locks                 int // of the network
	total                      int // failures in a row
	networkUntil, accountUntil time.Time
	lastFailure, lastSuccess   time.Time
}

// What one step of the fuzz target does.
const (
	guess = iota
	logIn
	wait
	lift     // an administrator lifts the lock through status
	lockElse // another replica has locked the account, and the status shows it
	steps
)

// In every order of events, each known login is locked exactly when it should be, a password that has
// logged in within a day is never refused, and attempts with unknown logins change nothing. One byte is one step: two bits
// select the login, the others the event.
func FuzzLockout(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0x10})
	f.Add([]byte{0, 1, 2, 3, 3, 3, 0, 1, 0x20, 0, 0x10, 0x11, 0x30, 0})
	f.Add([]byte{0x10, 0, 0, 0, 0x10, 0x20, 0x20, 0x10, 0x20, 0x10})
	f.Add([]byte{0x11, 0x41, 0x11, 0x01, 0x21, 0x21, 0x11, 0x31, 0x11})
	secret := bcrypt4(f, right)
	f.Fuzz(func(t *testing.T, script []byte) {
		h := newFixture(func(c *authn.PasswordConfig) {
			c.LockAfter, c.LockDuration, c.CacheTTL = lockAfter, lockFor, cacheTTL
		})
		want := make([]account, 3)
		for i := range want {
			h.put(t, fmt.Sprint(i), secret)
		}
		for i, b := range script[:min(len(script), 500)] {
			who, what := int(b&3), int(b>>4)%steps
			switch {
			case what == wait:
				h.advance(10 * time.Minute)
			case who == 3:
				if err := h.login(fmt.Sprint("unknown-", b, i), wrong); !errors.Is(err, authn.ErrUnknownLogin) {
					t.Fatalf("step %d: an unknown login gets %v", i, err)
				}
			case what == lift:
				want[who] = account{lastSuccess: want[who].lastSuccess}
				h.showLock(who, h.clock().Add(lockFor))
				h.showLock(who, time.Time{})
			case what == lockElse:
				want[who].accountUntil = h.clock().Add(lockFor)
				h.showLock(who, want[who].accountUntil)
			default:
				plain := map[int]string{guess: wrong, logIn: right}[what]
				if got, expected := h.login(fmt.Sprint(who), plain), want[who].try(plain == right, h.clock()); !errors.Is(got, expected) {
					t.Fatalf("step %d: user %d gets %v, want %v", i, who, got, expected)
				}
			}
		}
	})
}

// showLock lets the status of a user show a lock, or none.
func (h *fixture) showLock(who int, until time.Time) {
	u, _ := h.directory.ByLogin(fmt.Sprint(who))
	h.change(u, func(u *directory.User) { u.LockedUntil = until })
}

// try is one login.
func (a *account) try(isRight bool, now time.Time) error {
	locked := now.Before(a.accountUntil) || now.Before(a.networkUntil)
	lately := !a.lastSuccess.IsZero() && now.Sub(a.lastSuccess) < 24*time.Hour
	switch {
	case isRight && (!locked || lately):
		*a = account{lastSuccess: now, accountUntil: a.accountUntil}
		return nil
	case locked:
		return authn.ErrLocked
	}
	if now.Sub(a.lastFailure) > 24*time.Hour && now.Sub(a.networkUntil) > 24*time.Hour {
		a.row, a.locks = 0, 0
	}
	a.row, a.total, a.lastFailure = a.row+1, a.total+1, now
	if a.row == lockAfter {
		a.row, a.networkUntil = 0, now.Add(min(lockFor<<a.locks, 24*time.Hour))
		a.locks++
	}
	if a.total == 100 {
		a.accountUntil = loginstate.Forever
	}
	return authn.ErrWrongPassword
}
