package record

import (
	"sync"
	"testing"
	"time"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
)

// newLogins returns the Logins of one replica and the name of a user in it.
func newLogins(b fixture, u *directory.User) (*Logins, loginstate.User) {
	return &Logins{Client: b, Reader: b}, loginstate.User{Key: u.Key, UID: u.UID}
}

func (b fixture) readUser(t testing.TB, u *directory.User) authv1alpha1.User {
	t.Helper()
	var o authv1alpha1.User
	if err := b.Get(t.Context(), b.Key(u), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestWriteLogin(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	logins, name := newLogins(b, u)
	until := time.Date(2030, 1, 1, 12, 0, 0, 500, time.UTC)
	issuedAt := time.Date(2029, 1, 1, 12, 0, 0, 900, time.UTC)

	if err := logins.WriteLogin(t.Context(), name, loginstate.Update{Failures: 10, LockedUntil: until, IssuedAt: issuedAt}); err != nil {
		t.Fatal(err)
	}

	status := b.readUser(t, u).Status
	if status.FailedLogins != 10 {
		t.Errorf("%d failed logins, want 10", status.FailedLogins)
	}
	if want := until.Truncate(time.Second).Add(time.Second); !status.LockedUntil.Time.Equal(want) {
		t.Errorf("locked until %v, want %v, rounded up", status.LockedUntil, want)
	}
	if want := issuedAt.Truncate(time.Second); !status.LastTokenIssuedAt.Time.Equal(want) {
		t.Errorf("last token issued at %v, want %v", status.LastTokenIssuedAt, want)
	}
	if err := logins.WriteLogin(t.Context(), name, loginstate.Update{Cleared: true}); err != nil {
		t.Fatal(err)
	}
	if got := b.readUser(t, u).Status.FailedLogins; got != 0 {
		t.Errorf("%d failed logins after a success, want 0", got)
	}
}

func TestManyFailuresLockForever(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	logins, name := newLogins(b, u)
	if err := logins.WriteLogin(t.Context(), name, loginstate.Update{Failures: 100, LockedUntil: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := b.readUser(t, u).Status.LockedUntil.Time; !got.Equal(loginstate.Forever) {
		t.Errorf("locked until %v, want %v", got, loginstate.Forever)
	}
}

func TestUnchangedLoginIsNotWritten(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	logins, name := newLogins(b, u)
	update := loginstate.Update{LockedUntil: time.Now().Add(time.Hour), IssuedAt: time.Now()}
	if err := logins.WriteLogin(t.Context(), name, update); err != nil {
		t.Fatal(err)
	}
	before := b.readUser(t, u).ResourceVersion

	another, gone := name, name
	another.UID = "00000000-0000-4000-8000-000000000000"
	gone.Key += "-gone"
	for name, write := range map[string]struct {
		user   loginstate.User
		update loginstate.Update
	}{
		"the same update":                         {name, update},
		"an empty update":                         {name, loginstate.Update{}},
		"an update of a former user of that name": {another, loginstate.Update{Failures: 3}},
		"an update of a deleted user":             {gone, loginstate.Update{Failures: 3}},
		"a success without earlier failures":      {name, loginstate.Update{Cleared: true}},
	} {
		if err := logins.WriteLogin(t.Context(), write.user, write.update); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if after := b.readUser(t, u).ResourceVersion; after != before {
			t.Errorf("%s caused a write", name)
		}
	}
}

func TestFailuresOfReplicasAddUp(t *testing.T) {
	b := newFixture(t)
	u := b.AddUser(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			logins, name := newLogins(b, u)
			if err := logins.WriteLogin(t.Context(), name, loginstate.Update{Failures: 3}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := b.readUser(t, u).Status.FailedLogins; got != 60 {
		t.Errorf("%d failed logins, want 60", got)
	}
}
