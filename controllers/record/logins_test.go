package record

import (
	"sync"
	"testing"
	"time"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
)

// ledgerOf returns the ledger of one replica and the name it knows a user by.
func ledgerOf(b bench, u *directory.User) (*Logins, loginstate.User) {
	return &Logins{Client: b, Reader: b}, loginstate.User{Key: u.Key, UID: u.UID}
}

func (b bench) userOf(t testing.TB, u *directory.User) authv1alpha1.User {
	t.Helper()
	var o authv1alpha1.User
	if err := b.Get(t.Context(), b.Key(u), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestANoteReachesTheStatus(t *testing.T) {
	b := newBench(t)
	u := b.AddUser(t)
	l, who := ledgerOf(b, u)
	until := time.Date(2030, 1, 1, 12, 0, 0, 500, time.UTC)
	at := time.Date(2029, 1, 1, 12, 0, 0, 900, time.UTC)

	if err := l.WriteLogin(t.Context(), who, loginstate.Update{Failures: 10, LockedUntil: until, IssuedAt: at}); err != nil {
		t.Fatal(err)
	}

	status := b.userOf(t, u).Status
	if status.FailedLogins != 10 {
		t.Errorf("%d failed logins, want 10", status.FailedLogins)
	}
	if want := until.Truncate(time.Second).Add(time.Second); !status.LockedUntil.Time.Equal(want) {
		t.Errorf("locked until %v, want %v: not shorter than it was meant", status.LockedUntil, want)
	}
	if want := at.Truncate(time.Second); !status.LastTokenIssuedAt.Time.Equal(want) {
		t.Errorf("last token at %v, want %v", status.LastTokenIssuedAt, want)
	}
	if err := l.WriteLogin(t.Context(), who, loginstate.Update{Cleared: true}); err != nil {
		t.Fatal(err)
	}
	if got := b.userOf(t, u).Status.FailedLogins; got != 0 {
		t.Errorf("%d failed logins after a success, want 0", got)
	}
}

func TestTooManyFailuresLockForever(t *testing.T) {
	b := newBench(t)
	u := b.AddUser(t)
	l, who := ledgerOf(b, u)
	if err := l.WriteLogin(t.Context(), who, loginstate.Update{Failures: 100, LockedUntil: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := b.userOf(t, u).Status.LockedUntil.Time; !got.Equal(loginstate.Forever) {
		t.Errorf("locked until %v, want %v", got, loginstate.Forever)
	}
}

func TestANoteThatChangesNothingIsNotWritten(t *testing.T) {
	b := newBench(t)
	u := b.AddUser(t)
	l, who := ledgerOf(b, u)
	note := loginstate.Update{LockedUntil: time.Now().Add(time.Hour), IssuedAt: time.Now()}
	if err := l.WriteLogin(t.Context(), who, note); err != nil {
		t.Fatal(err)
	}
	before := b.userOf(t, u).ResourceVersion

	another, gone := who, who
	another.UID = "00000000-0000-4000-8000-000000000000"
	gone.Key += "-gone"
	for name, write := range map[string]struct {
		user loginstate.User
		note loginstate.Update
	}{
		"the same news":                       {who, note},
		"no news":                             {who, loginstate.Update{}},
		"news of a former user of that name":  {another, loginstate.Update{Failures: 3}},
		"news of a user who is gone":          {gone, loginstate.Update{Failures: 3}},
		"a success where nothing went before": {who, loginstate.Update{Cleared: true}},
	} {
		if err := l.WriteLogin(t.Context(), write.user, write.note); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if after := b.userOf(t, u).ResourceVersion; after != before {
			t.Errorf("%s was written", name)
		}
	}
}

func TestNotesOfAllReplicasAddUp(t *testing.T) {
	b := newBench(t)
	u := b.AddUser(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			l, who := ledgerOf(b, u)
			if err := l.WriteLogin(t.Context(), who, loginstate.Update{Failures: 3}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := b.userOf(t, u).Status.FailedLogins; got != 60 {
		t.Errorf("%d failed logins, want 60", got)
	}
}
