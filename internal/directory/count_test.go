package directory_test

import (
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

func TestCountByState(t *testing.T) {
	t.Parallel()
	unreadable := func(u *directory.User) { u.Unreadable, u.Revoked = true, true }
	for name, c := range map[string]struct {
		users  []*directory.User
		change func(*directory.User) // of the first user
		want   map[string]int
	}{
		"two users of one login": {
			[]*directory.User{user("a", "x", 1), user("b", "x", 2)}, nil,
			map[string]int{directory.StateActive: 1, directory.StateInvalid: 1},
		},
		"an unreadable object, which is revoked too": {
			[]*directory.User{user("a", "x", 1), user("b", "y", 2)}, unreadable,
			map[string]int{directory.StateActive: 1, directory.StateInvalid: 1},
		},
		"a revoked user without the login": {
			[]*directory.User{user("a", "x", 1), user("b", "x", 2)}, func(u *directory.User) { u.Revoked = true },
			map[string]int{directory.StateActive: 1, directory.StateRevoked: 1},
		},
		"an expired user without the login": {
			[]*directory.User{user("a", "x", 1), user("b", "x", 2)}, func(u *directory.User) { u.ExpiresAt = start },
			map[string]int{directory.StateActive: 1, directory.StateExpired: 1},
		},
		"a locked user without the login": {
			[]*directory.User{user("a", "x", 1), user("b", "x", 2)}, func(u *directory.User) { u.LockedUntil = start.Add(time.Hour) },
			map[string]int{directory.StateActive: 1, directory.StateInvalid: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.change != nil {
				c.change(c.users[0])
			}
			d := directory.New()
			for _, u := range c.users {
				d.Put(u)
			}
			for state, n := range d.CountByState(start) {
				if n != c.want[state] {
					t.Errorf("%d users are %s, want %d", n, state, c.want[state])
				}
			}
		})
	}
}

func TestLoginHandover(t *testing.T) {
	t.Parallel()
	d := directory.New()
	d.Put(user("older", "x", 2))
	d.Put(user("younger", "x", 1))
	d.Delete("gatehouse-users/older")
	if got := d.CountByState(start); got[directory.StateActive] != 1 || got[directory.StateInvalid] != 0 {
		t.Errorf("states after the younger user inherited the login: %v", got)
	}
}
