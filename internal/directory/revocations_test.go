package directory_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

func TestRevocationTakesEffectAndRevivesNothing(t *testing.T) {
	t.Parallel()
	noon := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	put := func(d *directory.Directory, now time.Time, change func(*directory.User)) {
		u := &directory.User{Key: "ns/jean", UID: "1", Login: "jean", AsOf: now}
		change(u)
		d.Put(u)
	}
	nothing := func(*directory.User) {}
	get := func(t *testing.T, d *directory.Directory) *directory.User {
		t.Helper()
		u, ok := d.ByLogin("jean")
		if !ok {
			t.Fatal("the user is gone")
		}
		return u
	}
	stop := directory.Revocation{Key: "ns/stop", UserKey: "ns/jean"}
	cases := map[string]struct{ revoke, lift func(*directory.Directory) }{
		"a Revocation": {
			func(d *directory.Directory) { d.PutRevocation(stop, at(10)) },
			func(d *directory.Directory) { d.DeleteRevocation("ns/stop", at(20)) },
		},
		"spec.revoked": {
			func(d *directory.Directory) { put(d, at(10), func(u *directory.User) { u.Revoked = true }) },
			func(d *directory.Directory) { put(d, at(20), nothing) },
		},
		"both": {
			func(d *directory.Directory) {
				put(d, at(10), func(u *directory.User) { u.Revoked = true })
				d.PutRevocation(stop, at(10))
			},
			func(d *directory.Directory) { d.DeleteRevocation("ns/stop", at(15)); put(d, at(20), nothing) },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := directory.New()
			d.MarkSynced()
			put(d, at(0), nothing)
			c.revoke(d)
			u := get(t, d)
			if err := u.Check(at(11)); !errors.Is(err, directory.ErrRevoked) {
				t.Errorf("the verdict on the user is %v", err)
			}
			if u.TokensRevokedAt != at(10) {
				t.Errorf("tokens are revoked at %v, want %v", u.TokensRevokedAt, at(10))
			}
			c.lift(d)
			u = get(t, d)
			if err := u.Check(at(20)); err != nil {
				t.Errorf("the verdict on the user is %v after the revocation was lifted", err)
			}
			if u.CheckToken(at(5)) == nil || u.CheckToken(at(12)) == nil {
				t.Error("a token came back to life")
			}
			if err := u.CheckToken(at(20)); err != nil {
				t.Errorf("a token issued afterwards is refused: %v", err)
			}
			if d.Lifted() != 1 {
				t.Errorf("%d revocations were lifted, want 1", d.Lifted())
			}
		})
	}
}

func TestRevocationEnds(t *testing.T) {
	t.Parallel()
	noon := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	d := directory.New()
	d.PutRevocation(directory.Revocation{Key: "ns/stop", UserKey: "ns/jean", Until: noon}, noon.Add(-time.Hour))
	d.Put(&directory.User{Key: "ns/jean", UID: "1", Login: "jean", AsOf: noon.Add(-time.Hour)})
	u, _ := d.ByLogin("jean")
	if u.Check(noon.Add(-time.Nanosecond)) == nil {
		t.Error("the user is not revoked just before the end")
	}
	if err := u.Check(noon); err != nil {
		t.Errorf("the user is refused at the end: %v", err)
	}
	if u.CheckToken(noon.Add(-time.Second)) == nil {
		t.Error("a token that was issued before the end is good")
	}
	if err := u.CheckToken(noon.Add(time.Second)); err != nil {
		t.Errorf("a token that was issued after the end is refused: %v", err)
	}
}

func TestRecordedRevocationDoesNotMoveAtStart(t *testing.T) {
	t.Parallel()
	noon := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	before := noon.Add(-time.Hour)
	d := directory.New()
	d.Put(&directory.User{Key: "ns/jean", UID: "1", Login: "jean", TokensRevokedAt: before, RecordedRevocation: before.Unix(), AsOf: noon})
	d.PutRevocation(directory.Revocation{Key: "ns/stop", UserKey: "ns/jean"}, noon)
	if u, _ := d.ByLogin("jean"); u.TokensRevokedAt != before || u.Check(noon) == nil {
		t.Errorf("tokens are revoked at %v, want %v", u.TokensRevokedAt, before)
	}
}

// The status may still show the first revocation when the user is revoked again.
func TestSecondRevocationSupersedesTheRecordedOne(t *testing.T) {
	t.Parallel()
	noon := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	d := directory.New()
	put := func(revoked bool, after time.Duration) *directory.User {
		d.Put(&directory.User{Key: "ns/jean", UID: "1", Login: "jean", Revoked: revoked, TokensRevokedAt: noon, RecordedRevocation: noon.Unix(), AsOf: noon.Add(after)})
		u, _ := d.ByLogin("jean")
		return u
	}
	if u := put(true, time.Second); u.SupersededRevocation != 0 || u.TokensRevokedAt != noon {
		t.Errorf("at start, tokens are revoked at %v, superseding %d", u.TokensRevokedAt, u.SupersededRevocation)
	}
	d.MarkSynced()
	put(false, 2*time.Second)
	again := noon.Add(5 * time.Second)
	for range 2 { // also in the version after that
		if u := put(true, 5*time.Second); u.SupersededRevocation != noon.Unix() || u.TokensRevokedAt != again {
			t.Errorf("tokens are revoked at %v, superseding %d; want %v, %d", u.TokensRevokedAt, u.SupersededRevocation, again, noon.Unix())
		}
	}
}

func TestFutureRevocationIsPulledBack(t *testing.T) {
	t.Parallel()
	noon := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ at, want time.Time }{
		"a clock that is ahead": {noon.Add(time.Minute), noon.Add(time.Minute)},
		"the far future":        {noon.Add(time.Hour), noon},
	} {
		t.Run(name, func(t *testing.T) {
			d := directory.New()
			d.Put(&directory.User{Key: "ns/jean", UID: "1", Login: "jean", TokensRevokedAt: c.at, AsOf: noon})
			if u, _ := d.ByLogin("jean"); u.TokensRevokedAt != c.want {
				t.Errorf("tokens are revoked at %v, want %v", u.TokensRevokedAt, c.want)
			}
		})
	}
}

func TestNextExpiry(t *testing.T) {
	t.Parallel()
	noon := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	d := directory.New()
	add := func(name string, account, password time.Time) {
		d.Put(&directory.User{
			Key: "ns/" + name, UID: name, Login: name, ExpiresAt: account,
			Credentials: &directory.Credentials{Passwords: []directory.Password{{ExpiresAt: password}}},
		})
	}
	add("past", noon.Add(-time.Hour), noon.Add(time.Hour))
	add("far", noon.Add(8*24*time.Hour), time.Time{})
	if got := d.NextExpiry(noon); !got.IsZero() {
		t.Errorf("the next expiry is %v, want none", got)
	}
	add("account", noon.Add(48*time.Hour), time.Time{})
	add("password", time.Time{}, noon.Add(24*time.Hour))
	if got := d.NextExpiry(noon); got != noon.Add(24*time.Hour) {
		t.Errorf("the next expiry is %v, want that of the password", got)
	}
}
