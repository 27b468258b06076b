package authn_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// account is what a lock is meant to be, said in the plainest way.
type account struct {
	failures    int
	lockedUntil time.Time
}

// Whatever happens in whatever order, every known login is locked exactly when it should be, and what strangers try
// changes nothing for anybody. One byte is one step: two bits say who, the others what.
func FuzzLockout(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0x10})
	f.Add([]byte{0, 1, 2, 3, 3, 3, 0, 1, 0x20, 0, 0x10, 0x11, 0x30, 0})
	keyer := password.NewKeyer()
	f.Fuzz(func(t *testing.T, steps []byte) {
		const threshold, duration = 3, 30 * time.Minute
		h := newHouse(func(c *authn.PasswordConfig) {
			c.LockAfter, c.LockDuration, c.MemoTTL = threshold, duration, 0
		})
		want := make([]account, 3)
		for i := range want {
			h.put(t, fmt.Sprint(i), directory.Password{Hash: keyer.NewPlaintext([]byte(right))})
		}
		for i, step := range steps[:min(len(steps), 500)] {
			who, what := int(step&3), step>>4&3
			switch {
			case what == 2:
				h.advance(10 * time.Minute)
			case who == 3:
				if err := h.login(fmt.Sprint("stranger-", step, i), wrong); !errors.Is(err, authn.ErrUnknownLogin) {
					t.Fatalf("step %d: a stranger gets %v", i, err)
				}
			case what == 3: // an administrator lifts the lock
				want[who] = account{}
				u, _ := h.directory.ByLogin(fmt.Sprint(who))
				u = h.change(u, func(u *directory.User) { u.LockedUntil = h.clock().Add(duration) })
				h.change(u, func(u *directory.User) { u.LockedUntil = time.Time{} })
			default:
				plain := map[byte]string{0: wrong, 1: right}[what]
				if got, expected := h.login(fmt.Sprint(who), plain), want[who].try(plain == right, h.clock(), threshold, duration); !errors.Is(got, expected) {
					t.Fatalf("step %d: user %d gets %v, want %v", i, who, got, expected)
				}
			}
		}
	})
}

// try is one login.
func (a *account) try(isRight bool, now time.Time, threshold int, duration time.Duration) error {
	switch {
	case now.Before(a.lockedUntil):
		return authn.ErrLocked
	case isRight:
		a.failures = 0
		return nil
	}
	if a.failures++; a.failures == threshold {
		*a = account{lockedUntil: now.Add(duration)}
	}
	return authn.ErrWrongPassword
}
