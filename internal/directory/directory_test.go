package directory_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func user(name, login string, age int) *directory.User {
	return &directory.User{
		Key: "gatehouse-users/" + name, UID: "uid-of-" + name, Login: login,
		Created: start.Add(-time.Duration(age) * time.Hour), Credentials: credentials("one"),
	}
}

func credentials(revision string) *directory.Credentials {
	h, err := password.Parse("$2y$10$c8PZoWk6G.7lH9jpG1eZ2Orm0viPYInFcjQifo5Y6hMuvjabqdtyK")
	if err != nil {
		panic(err)
	}
	return &directory.Credentials{Revision: revision, Passwords: []directory.Password{{Hash: h}}}
}

func holder(t *testing.T, d *directory.Directory, login string) string {
	t.Helper()
	u, ok := d.ByLogin(login)
	if !ok {
		return "no user"
	}
	return u.Key
}

func TestOldestRivalHoldsLogin(t *testing.T) {
	t.Parallel()
	users := []*directory.User{user("a", "x", 1), user("b", "x", 3), user("c", "x", 2)}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		d := directory.New()
		for _, i := range order {
			copied := *users[i]
			d.Put(&copied)
		}
		for _, want := range []string{"b", "c", "a"} {
			if got := holder(t, d, "x"); got != "gatehouse-users/"+want {
				t.Errorf("order %v: %s holds the login, want %s", order, got, want)
			}
			d.Delete("gatehouse-users/" + want)
		}
		if got := holder(t, d, "x"); got != "no user" || d.Len() != 0 {
			t.Errorf("order %v: %s holds the login although all users are deleted", order, got)
		}
	}
}

func TestRivalsOfOneAgeAreOrderedByUID(t *testing.T) {
	t.Parallel()
	d := directory.New()
	d.Put(user("b", "x", 1))
	d.Put(user("a", "x", 1))
	if got := holder(t, d, "x"); got != "gatehouse-users/a" {
		t.Errorf("%s holds the login", got)
	}
}

func TestChangedLoginReleasesOldOne(t *testing.T) {
	t.Parallel()
	d := directory.New()
	d.Put(user("a", "x", 2))
	d.Put(user("b", "x", 1))
	d.Put(user("a", "y", 2))
	if holder(t, d, "x") != "gatehouse-users/b" || holder(t, d, "y") != "gatehouse-users/a" {
		t.Errorf("x is held by %s, y by %s", holder(t, d, "x"), holder(t, d, "y"))
	}
}

func TestNewVersionReplacesHolder(t *testing.T) {
	t.Parallel()
	for name, rivals := range map[string]int{"alone": 0, "beside a rival": 1} {
		d := directory.New()
		for i := range rivals {
			d.Put(user(fmt.Sprintf("rival-%d", i), "x", 1))
		}
		d.Put(user("a", "x", 5))
		next := user("a", "x", 5)
		next.Revoked = true
		d.Put(next)
		if u, _ := d.ByLogin("x"); u == nil || !u.Revoked {
			t.Errorf("%s: an earlier version is found by login", name)
		}
		if u, _ := d.ByUID("uid-of-a"); u == nil || !u.Revoked {
			t.Errorf("%s: an earlier version is found by UID", name)
		}
	}
}

func TestNewUIDIsAnotherUser(t *testing.T) {
	t.Parallel()
	d := directory.New()
	old := user("a", "x", 5)
	old.TokensRevokedAt = start
	d.Put(old)
	next := user("a", "x", 0)
	next.UID = "another"
	d.Put(next)
	if _, ok := d.ByUID("uid-of-a"); ok {
		t.Error("the old UID is still known")
	}
	if u, _ := d.ByLogin("x"); u == nil || u.UID != "another" || !u.TokensRevokedAt.IsZero() {
		t.Errorf("the new user is %+v", u)
	}
}

func TestRevocationNeverMovesBack(t *testing.T) {
	t.Parallel()
	d := directory.New()
	u := user("a", "x", 5)
	u.TokensRevokedAt = start
	d.Put(u)
	stale := user("a", "x", 5)
	stale.TokensRevokedAt = start.Add(-time.Hour)
	d.Put(stale)
	if u, _ := d.ByLogin("x"); !u.TokensRevokedAt.Equal(start) {
		t.Errorf("tokens are revoked until %s", u.TokensRevokedAt)
	}
	record := directory.Record{ID: "id", UserUID: "uid-of-a", ExpiresAt: start.Add(time.Hour), Revoked: true}
	d.PutRecord(record)
	record.Revoked = false
	d.PutRecord(record)
	if r, _ := d.Record(record.UserUID, "id"); !r.Revoked {
		t.Error("the record is not revoked any more")
	}
}

func TestCacheAndFailuresFollowCredentials(t *testing.T) {
	t.Parallel()
	digest := [32]byte{1}
	for name, c := range map[string]struct {
		revision string
		kept     bool
	}{
		"the same credentials": {"one", true},
		"other credentials":    {"two", false},
	} {
		d := directory.New()
		d.Put(user("a", "x", 5))
		u, _ := d.ByLogin("x")
		u.Credentials.Cache.Remember(&digest, 0, start)
		lockUntil(u, start.Add(time.Hour))
		next := user("a", "x", 5)
		next.Credentials = credentials(c.revision)
		d.Put(next)
		u, _ = d.ByLogin("x")
		if kept := u.Credentials.Cache.Recall(&digest, start) != nil; kept != c.kept || u.Locked(start) != c.kept {
			t.Errorf("%s: remembered %v, locked %v, want %v", name, kept, u.Locked(start), c.kept)
		}
	}
}

// lockUntil locks an account on this replica.
func lockUntil(u *directory.User, until time.Time) {
	u.Credentials.Failures.Fail(0, 0, start, directory.LockPolicy{
		NetworkAfter: 1, NetworkFor: 1, AccountAfter: 1, AccountNetworks: 1, AccountFor: until.Sub(start), AccountForEver: 100,
	})
}

func TestLockInStatusReplacesOwnLock(t *testing.T) {
	t.Parallel()
	own, shown := start.Add(30*time.Minute), start.Add(29*time.Minute)
	d := directory.New()
	put := func(until time.Time) *directory.User {
		u := user("a", "x", 5)
		u.LockedUntil = until
		d.Put(u)
		return u
	}
	u := put(time.Time{})
	lockUntil(u, own)
	if u = put(time.Time{}); !u.Locked(start) {
		t.Fatal("a lock that status does not show yet is lost by an unrelated change")
	}
	if u = put(shown); !u.Locked(shown.Add(-time.Second)) || u.Locked(shown) {
		t.Fatal("the lock does not end when the status ends it")
	}
	if u = put(time.Time{}); u.Locked(start) {
		t.Fatal("an administrator took the lock away and it stays")
	}
}

func TestClearedOldLockKeepsNewerLock(t *testing.T) {
	t.Parallel()
	d := directory.New()
	old := user("a", "x", 5)
	old.LockedUntil = start.Add(-time.Hour)
	d.Put(old)
	lockUntil(old, start.Add(time.Hour))
	d.Put(user("a", "x", 5))
	if u, _ := d.ByLogin("x"); !u.Locked(start) {
		t.Error("the newer lock is gone")
	}
}

func TestUserVerdictsAreExact(t *testing.T) {
	t.Parallel()
	u := user("a", "x", 1)
	u.ExpiresAt = start
	if err := u.Check(start.Add(-time.Nanosecond)); err != nil {
		t.Errorf("before its end: %v", err)
	}
	if err := u.Check(start); err != directory.ErrExpired {
		t.Errorf("at its end: %v", err)
	}
	u.Revoked = true
	if err := u.Check(start); err != directory.ErrRevoked {
		t.Errorf("revoked and expired: %v", err)
	}
}

func TestTokensAreVoidThroughSecondOfRevocation(t *testing.T) {
	t.Parallel()
	second := start.Truncate(time.Second)
	for name, set := range map[string]func(*directory.User, time.Time){
		"spec":   func(u *directory.User, at time.Time) { u.TokensValidAfter = at },
		"status": func(u *directory.User, at time.Time) { u.TokensRevokedAt = at },
	} {
		u := user("a", "x", 1)
		if err := u.CheckToken(second); err != nil {
			t.Errorf("%s: nothing is revoked: %v", name, err)
		}
		set(u, second.Add(300*time.Millisecond))
		for issued, want := range map[time.Duration]error{
			-time.Second: directory.ErrTokenVoid, 0: directory.ErrTokenVoid, 999 * time.Millisecond: directory.ErrTokenVoid, time.Second: nil,
		} {
			if err := u.CheckToken(second.Add(issued)); err != want {
				t.Errorf("%s: issued %s after: %v, want %v", name, issued, err, want)
			}
		}
	}
}

func TestRecordsAreSortedByID(t *testing.T) {
	t.Parallel()
	d := directory.New()
	for _, id := range []string{"c", "a", "b", "a"} {
		d.PutRecord(directory.Record{ID: id, UserUID: "u"})
	}
	d.PutRecord(directory.Record{ID: "z", UserUID: "v"})
	ids := func() (out []string) {
		for _, r := range d.RecordsOf("u") {
			out = append(out, r.ID)
		}
		return out
	}
	if got := ids(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("records %v", got)
	}
	d.DeleteRecord("", "u", "b")
	d.DeleteRecord("", "u", "b")
	if got := ids(); !slices.Equal(got, []string{"a", "c"}) || d.RecordCount() != 3 {
		t.Errorf("records %v of %d", got, d.RecordCount())
	}
}

// Someone who may make records by hand must neither revive a revoked token nor revoke the token of
// another user.
func TestRecordOfAnotherUserChangesNothing(t *testing.T) {
	t.Parallel()
	d := directory.New()
	d.PutRecord(directory.Record{ID: "id", UserUID: "u", Revoked: true})
	d.PutRecord(directory.Record{ID: "id", UserUID: "another"})
	d.PutRecord(directory.Record{ID: "good", UserUID: "u"})
	d.PutRecord(directory.Record{ID: "good", UserUID: "another", Revoked: true})
	check := func(when string) {
		t.Helper()
		if r, ok := d.Record("u", "id"); !ok || !r.Revoked {
			t.Errorf("%s: the revoked one is %+v", when, r)
		}
		if r, ok := d.Record("u", "good"); !ok || r.Revoked {
			t.Errorf("%s: the good one is %+v", when, r)
		}
		if n := len(d.RecordsOf("u")); n != 2 {
			t.Errorf("%s: %d records", when, n)
		}
	}
	check("with the records of another user")
	if n := len(d.RecordsOf("another")); n != 2 || len(d.RecordsByID("id")) != 2 {
		t.Errorf("the other user has %d records, the id %d", n, len(d.RecordsByID("id")))
	}
	d.DeleteRecord("", "another", "id")
	d.DeleteRecord("", "another", "good")
	check("without them")
}

// In standalone mode, a manifest may take over the UID of one that is removed.
func TestDeletedUserLeavesUIDToItsNewHolder(t *testing.T) {
	t.Parallel()
	for name, goes := range map[string]func(*directory.Directory){
		"deleted":           func(d *directory.Directory) { d.Delete("ns/old") },
		"under another UID": func(d *directory.Directory) { d.Put(&directory.User{Key: "ns/old", UID: "other", Login: "old"}) },
	} {
		d := directory.New()
		d.Put(&directory.User{Key: "ns/old", UID: "uid", Login: "old"})
		d.Put(&directory.User{Key: "ns/new", UID: "uid", Login: "new"})
		goes(d)
		if u, ok := d.ByUID("uid"); !ok || u.Key != "ns/new" {
			t.Errorf("%s: the UID is %+v", name, u)
		}
	}
}

func hash(t *testing.T, cost int) *password.Hash {
	t.Helper()
	encoded, err := password.Generate([]byte("a password"), password.Parameters{Format: password.Bcrypt, Cost: cost})
	if err != nil {
		t.Fatal(err)
	}
	h, err := password.Parse(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestConcurrentReadersAndWriters(t *testing.T) {
	t.Parallel()
	d := directory.New()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 200 {
				name := fmt.Sprint((i + n) % 7)
				d.Put(user(name, "login-"+fmt.Sprint(n%3), n%5))
				d.PutRecord(directory.Record{ID: name, UserUID: "u"})
				if n%11 == 0 {
					d.Delete("gatehouse-users/" + name)
					d.DeleteRecord("", "u", name)
				}
			}
		})
		wg.Go(func() {
			for n := range 200 {
				d.ByLogin("login-" + fmt.Sprint(n%3))
				d.RecordsOf("u")
				d.Decoys("x")
			}
		})
	}
	wg.Wait()
	// The login of each user who is left belongs to that user or to an older one.
	d.Each(func(u *directory.User) bool {
		if h, ok := d.ByLogin(u.Login); !ok || h.Created.After(u.Created) {
			t.Errorf("%s is held by %+v, not by %s", u.Login, h, u.Key)
		}
		return true
	})
}
