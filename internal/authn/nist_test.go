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

// fleet is three replicas of one service and the status that they share.
type fleet struct {
	replicas [3]*fixture
	status   loginstate.State
	read     [3]int // updates of each replica that the status has
	secret   directory.Password
	now      time.Time
}

func newFleet(t *testing.T) *fleet {
	f := &fleet{now: start, secret: bcrypt4(t, right)}
	for i := range f.replicas {
		f.restart(t, i)
	}
	return f
}

// restart replaces a replica by one that knows no more than status does.
func (f *fleet) restart(t *testing.T, i int) {
	h := newFixture(nil)
	h.advance(f.now.Sub(start))
	h.put(t, "jean", f.secret)
	f.replicas[i], f.read[i] = h, 0
	f.tell(i)
}

// share applies the updates of all replicas to the status and shows it to all of them.
func (f *fleet) share() {
	for i, h := range f.replicas {
		for _, n := range h.reported()[f.read[i]:] {
			f.status = f.status.Apply(n)
		}
		f.read[i] = len(h.reported())
	}
	for i := range f.replicas {
		f.tell(i)
	}
}

func (f *fleet) tell(i int) {
	u, _ := f.replicas[i].directory.ByLogin("jean")
	f.replicas[i].change(u, func(u *directory.User) {
		u.LockedUntil, u.FailedLogins = f.status.LockedUntil, f.status.FailedLogins
	})
}

// guess tries n wrong passwords at a replica and returns how many it checked. Urgent updates are
// shared before the next guess, and the others not before all replicas have been tried.
func (f *fleet) guess(i, n int) (judged int) {
	for range n {
		if errors.Is(f.replicas[i].login("jean", wrong), authn.ErrWrongPassword) {
			judged++
		}
		if updates := f.replicas[i].reported(); len(updates) > 0 && updates[len(updates)-1].Urgent {
			f.share()
		}
	}
	return judged
}

func (f *fleet) wait(d time.Duration) {
	f.now = f.now.Add(d)
	for _, h := range f.replicas {
		h.advance(d)
	}
}

// NIST SP 800-63B-4 allows 100 failures in a row, whatever a guesser does: guess until every
// replica refuses, or stay below the lock of each, wait for locks to end, and be lucky with
// restarts.
func TestAtMostHundredGuessesAtThreeReplicas(t *testing.T) {
	t.Parallel()
	for _, each := range []int{1, 3, 9, 10, 11} {
		for _, restarts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d at each replica, restarts %t", each, restarts), func(t *testing.T) {
				f, tries := newFleet(t), 0
				rounds := 200
				for round := 0; round < rounds; round++ {
					if f.status.LockedUntil.Equal(loginstate.Forever) {
						rounds = min(rounds, round+5) // which find every replica locked
					}
					for i := range f.replicas {
						tries += f.guess(i, each)
					}
					f.share() // later than all of them, which is the worst
					if restarts {
						f.restart(t, round%3)
						f.restart(t, (round+1)%3)
					}
					f.wait(25 * time.Hour) // longer than any lock of a network
				}
				if tries > 100 || !f.status.LockedUntil.Equal(loginstate.Forever) {
					t.Errorf("%d wrong passwords were checked, %d counted, locked until %s", tries, f.status.FailedLogins, f.status.LockedUntil)
				}
			})
		}
	}
}
