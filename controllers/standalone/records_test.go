package standalone_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
)

func settle() *slog.Logger { return slog.New(slog.DiscardHandler) }

func record(u *directory.User, id string) directory.Record {
	now := time.Now()
	return directory.Record{
		ID: id, UserKey: u.Key, UserUID: u.UID, Kind: "opaque", Label: "label " + id, Description: "d", Client: "c",
		IssuedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}

func TestRecordsSurviveRestart(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"users.yaml": account("alice", "x") + "---\n" + account("bob", "x")})
	alice := s.user("alice")
	bob := loginstate.User{Key: s.user("bob").Key, UID: s.user("bob").UID}
	lockedUntil, revokedAt := time.Now().Add(time.Hour), time.Now().Add(time.Minute)
	saved, err := s.records.Create(t.Context(), record(alice, "labelled"), live)
	must(t, err)
	must(t, s.records.Revoke(t.Context(), record(alice, "revoked")))
	must(t, s.records.RevokeUser(t.Context(), alice, revokedAt))
	must(t, s.records.WriteLogin(t.Context(), bob, loginstate.Update{Failures: 10, LockedUntil: lockedUntil, IssuedAt: revokedAt}))

	check := func(when string) {
		t.Helper()
		if u := s.user("alice"); u.UID != alice.UID || u.TokensRevokedAt.Unix() != revokedAt.Unix() || !u.Created.Equal(alice.Created) {
			t.Errorf("%s: alice is %+v", when, u)
		}
		if u := s.user("bob"); !u.Locked(time.Now()) || !u.LockedUntil.Equal(lockedUntil) || u.FailedLogins != 10 || !u.LastTokenIssuedAt.Equal(revokedAt) {
			t.Errorf("%s: bob is %+v", when, u)
		}
		if r, ok := s.directory.Record(alice.UID, "labelled"); !ok || !r.Live(time.Now()) || r.Label != saved.Label || r.Description != "d" || r.Client != "c" {
			t.Errorf("%s: the labelled token is %+v", when, r)
		}
		if r, ok := s.directory.Record(alice.UID, "revoked"); !ok || !r.Revoked {
			t.Errorf("%s: the revoked token is %+v", when, r)
		}
		second := record(alice, "second")
		second.Label = saved.Label
		if r, err := s.records.Create(t.Context(), second, live); err != nil || r.ID != "labelled" {
			t.Errorf("%s: the label has the record %s, %v; want the first one", when, r.ID, err)
		}
	}
	check("before a restart")
	s.restart()
	check("after a restart")
	s.write("users.yaml", account("alice", "x")+"---\n"+strings.Replace(account("bob", "x"), "spec:", "spec:\n  displayName: Bob", 1))
	s.eventually("bob has a display name", func() bool { return s.user("bob").DisplayName == "Bob" })
	check("after a change other than of the password")
}

func TestChangedPasswordLiftsLock(t *testing.T) {
	t.Parallel()
	cases := map[string]func(s *service){
		"while the service runs": func(s *service) {
			s.write("users.yaml", account("alice", "new"))
			s.eventually("the new password is accepted", func() bool { return s.logsIn("alice", "new") })
		},
		"while the service is down": func(s *service) {
			s.stop()
			s.write("users.yaml", account("alice", "new"))
			s.start()
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t, map[string]string{"users.yaml": account("alice", "old")})
			alice := s.user("alice")
			user := loginstate.User{Key: alice.Key, UID: alice.UID}
			must(t, s.records.WriteLogin(t.Context(), user, loginstate.Update{Failures: 100, LockedUntil: time.Now().Add(time.Hour)}))
			if u := s.user("alice"); !u.LockedUntil.Equal(loginstate.Forever) {
				t.Fatalf("alice is locked until %s, want forever", u.LockedUntil)
			}
			change(s)
			if u := s.user("alice"); u.Locked(time.Now()) || u.FailedLogins != 0 {
				t.Errorf("alice is still locked until %s, after %d failures", u.LockedUntil, u.FailedLogins)
			}
			must(t, s.records.WriteLogin(t.Context(), user, loginstate.Update{Failures: 1}))
			if u := s.user("alice"); u.Locked(time.Now()) || u.FailedLogins != 1 {
				t.Errorf("after the next failure, alice is locked until %s with %d failures; want 1 and no lock", u.LockedUntil, u.FailedLogins)
			}
		})
	}
}

func TestFailedWritesAreReturned(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"users.yaml": account("alice", "x")})
	alice := s.user("alice")
	must(t, os.RemoveAll(s.store.Dir()))
	_, err := s.records.Create(t.Context(), record(alice, "1"), live)
	if !errors.Is(err, grant.ErrUnavailable) {
		t.Errorf("Create: got error %v, want ErrUnavailable", err)
	}
	if err := s.records.Revoke(t.Context(), record(alice, "2")); !errors.Is(err, grant.ErrUnavailable) {
		t.Errorf("Revoke: got error %v, want ErrUnavailable", err)
	}
	if err := s.records.RevokeUser(t.Context(), alice, time.Now()); !errors.Is(err, grant.ErrUnavailable) {
		t.Errorf("RevokeUser: got error %v, want ErrUnavailable", err)
	}
	if len(s.directory.RecordsOf(alice.UID)) != 0 || !s.user("alice").TokensRevokedAt.IsZero() {
		t.Error("the directory shows what was not saved")
	}
	if n := s.log.count("cannot write to the state folder"); n != 1 {
		t.Errorf("the error was logged %d times, want once", n)
	}
	if !s.logsIn("alice", "x") {
		t.Error("alice cannot log in")
	}
}

func TestNewUserWaitsForItsIdentity(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"a.yaml": account("alice", "x")})
	uid := s.user("alice").UID
	must(t, os.Rename(s.store.Dir(), s.store.Dir()+".away"))
	s.write("b.yaml", account("bob", "x"))
	s.logs("new users are not added")
	s.remove("a.yaml")
	s.eventually("alice is gone", func() bool { return !s.known("alice") })
	s.write("a.yaml", account("alice", "x"))
	if s.known("bob") {
		t.Error("bob is in the directory with an identity that was not saved")
	}
	must(t, os.Rename(s.store.Dir()+".away", s.store.Dir()))
	s.eventually("alice and bob are in the directory", func() bool { return s.known("bob") && s.known("alice") })
	if s.user("alice").UID == uid {
		t.Error("alice was removed and created again, and has the same UID")
	}
}

func TestUpdateForAnotherUIDIsDropped(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"a.yaml": account("alice", "x")})
	err := s.records.WriteLogin(t.Context(), loginstate.User{Key: s.user("alice").Key, UID: "gone"}, loginstate.Update{Failures: 3})
	if err != nil || s.user("alice").FailedLogins != 0 || s.store.Standing("gone").FailedLogins != 0 {
		t.Errorf("got error %v and login state %+v, want neither", err, s.store.Standing("gone"))
	}
}

func live(r directory.Record) bool { return r.Live(time.Now()) }
