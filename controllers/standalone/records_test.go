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

func TestARestartForgetsNothing(t *testing.T) {
	h := newHouse(t, map[string]string{"users.yaml": account("alice", "x") + "---\n" + account("bob", "x")})
	alice := h.user("alice")
	bob := loginstate.User{Key: h.user("bob").Key, UID: h.user("bob").UID}
	until, at := time.Now().Add(time.Hour), time.Now().Add(time.Minute)
	kept, err := h.records.CreateLabelled(t.Context(), record(alice, "labelled"), live)
	must(t, err)
	must(t, h.records.Revoke(t.Context(), record(alice, "revoked")))
	must(t, h.records.RevokeUser(t.Context(), alice, at))
	must(t, h.records.WriteLogin(t.Context(), bob, loginstate.Update{Failures: 10, LockedUntil: until, IssuedAt: at}))

	check := func(when string) {
		t.Helper()
		if u := h.user("alice"); u.UID != alice.UID || u.TokensRevokedAt.Unix() != at.Unix() || !u.Created.Equal(alice.Created) {
			t.Errorf("%s: alice is %+v", when, u)
		}
		if u := h.user("bob"); !u.Locked(time.Now()) || !u.LockedUntil.Equal(until) || u.FailedLogins != 10 || !u.LastTokenIssuedAt.Equal(at) {
			t.Errorf("%s: bob is %+v", when, u)
		}
		if r, ok := h.directory.Record(alice.UID, "labelled"); !ok || !r.Live(time.Now()) || r.Label != kept.Label || r.Description != "d" || r.Client != "c" {
			t.Errorf("%s: the labelled token is %+v", when, r)
		}
		if r, ok := h.directory.Record(alice.UID, "revoked"); !ok || !r.Revoked {
			t.Errorf("%s: the revoked token is %+v", when, r)
		}
		again := record(alice, "again")
		again.Label = kept.Label
		if r, err := h.records.CreateLabelled(t.Context(), again, live); err != nil || r.ID != "labelled" {
			t.Errorf("%s: the label gives %s, %v", when, r.ID, err)
		}
	}
	check("at once")
	h.restart()
	check("after a restart")
	h.write("users.yaml", account("alice", "x")+"---\n"+strings.Replace(account("bob", "x"), "spec:", "spec:\n  displayName: Bob", 1))
	h.eventually("the change is there", func() bool { return h.user("bob").DisplayName == "Bob" })
	check("after a change that is none of the password")
}

func TestAChangedPasswordLiftsALock(t *testing.T) {
	cases := map[string]func(h *house){
		"while the service runs": func(h *house) {
			h.write("users.yaml", account("alice", "new"))
			h.eventually("the new password holds", func() bool { return h.logsIn("alice", "new") })
		},
		"while the service is down": func(h *house) {
			h.stop()
			h.write("users.yaml", account("alice", "new"))
			h.start()
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, map[string]string{"users.yaml": account("alice", "old")})
			alice := h.user("alice")
			user := loginstate.User{Key: alice.Key, UID: alice.UID}
			must(t, h.records.WriteLogin(t.Context(), user, loginstate.Update{Failures: 100, LockedUntil: time.Now().Add(time.Hour)}))
			if u := h.user("alice"); !u.LockedUntil.Equal(loginstate.Forever) {
				t.Fatalf("she is locked until %s", u.LockedUntil)
			}
			change(h)
			if u := h.user("alice"); u.Locked(time.Now()) || u.FailedLogins != 0 {
				t.Errorf("she is still locked until %s, after %d failures", u.LockedUntil, u.FailedLogins)
			}
			must(t, h.records.WriteLogin(t.Context(), user, loginstate.Update{Failures: 1}))
			if u := h.user("alice"); u.Locked(time.Now()) || u.FailedLogins != 1 {
				t.Errorf("the lock came back with the next failure: %s, %d", u.LockedUntil, u.FailedLogins)
			}
		})
	}
}

func TestNothingIsPromisedThatTheStateFolderDoesNotKeep(t *testing.T) {
	h := newHouse(t, map[string]string{"users.yaml": account("alice", "x")})
	alice := h.user("alice")
	must(t, os.RemoveAll(h.store.Dir()))
	_, err := h.records.CreateLabelled(t.Context(), record(alice, "1"), live)
	if !errors.Is(err, grant.ErrUnavailable) {
		t.Errorf("a label: got error %v", err)
	}
	if err := h.records.Revoke(t.Context(), record(alice, "2")); !errors.Is(err, grant.ErrUnavailable) {
		t.Errorf("a token: got error %v", err)
	}
	if err := h.records.RevokeUser(t.Context(), alice, time.Now()); !errors.Is(err, grant.ErrUnavailable) {
		t.Errorf("a user: got error %v", err)
	}
	if len(h.directory.RecordsOf(alice.UID)) != 0 || !h.user("alice").TokensRevokedAt.IsZero() {
		t.Error("the directory shows what was not kept")
	}
	if n := h.log.count("the state folder cannot be written"); n != 1 {
		t.Errorf("the operator is told %d times", n)
	}
	if !h.logsIn("alice", "x") {
		t.Error("alice must be served all the same")
	}
}

func TestANewUserWaitsUntilItsIdentityCanBeKept(t *testing.T) {
	h := newHouse(t, map[string]string{"a.yaml": account("alice", "x")})
	uid := h.user("alice").UID
	must(t, os.Rename(h.store.Dir(), h.store.Dir()+".away"))
	h.write("b.yaml", account("bob", "x"))
	h.says("users who are new must wait")
	h.remove("a.yaml")
	h.eventually("alice is gone", func() bool { return !h.known("alice") })
	h.write("a.yaml", account("alice", "x"))
	if h.known("bob") {
		t.Error("bob is served under an identity that the next start does not know")
	}
	must(t, os.Rename(h.store.Dir()+".away", h.store.Dir()))
	h.eventually("both are there", func() bool { return h.known("bob") && h.known("alice") })
	if h.user("alice").UID == uid {
		t.Error("alice was removed and made anew, and has the same UID")
	}
}

func TestANoteAboutSomebodyElseIsNotWritten(t *testing.T) {
	h := newHouse(t, map[string]string{"a.yaml": account("alice", "x")})
	err := h.records.WriteLogin(t.Context(), loginstate.User{Key: h.user("alice").Key, UID: "gone"}, loginstate.Update{Failures: 3})
	if err != nil || h.user("alice").FailedLogins != 0 || h.store.Standing("gone").FailedLogins != 0 {
		t.Errorf("got %v", err)
	}
}

func live(r directory.Record) bool { return r.Live(time.Now()) }
