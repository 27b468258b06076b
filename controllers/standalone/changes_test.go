package standalone_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/standalone"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// edited returns the manifest of account with lines at the beginning of the spec.
func edited(name, spec string) string {
	return strings.Replace(account(name, "secret"), "spec:", "spec:\n  "+spec, 1)
}

func TestRevocationBesideATypoTakesEffect(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"unknown field":     edited("alice", "revoked: true\n  grups: [operators]"),
		"invalid value":     edited("alice", "revoked: true\n  email: nowhere"),
		"quoted":            edited("alice", "revoked: \"true\""),
		"key twice":         edited("alice", "revoked: true\n  login: alice\n  login: alice"),
		"not valid YAML":    edited("alice", "revoked: true\n  email: 'alice@example.com"),
		"another version":   strings.Replace(edited("alice", "revoked: true"), "v1alpha1", "v1alpha2", 1),
		"an impossible uid": strings.Replace(edited("alice", "revoked: true"), "name: alice}", "name: alice, uid: one}", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t, map[string]string{"users.yaml": account("alice", "secret")})
			s.write("users.yaml", text)
			s.eventually("alice is revoked", func() bool { return s.user("alice").Revoked })
			if name != "not valid YAML" && name != "key twice" { // where it is unknown which object is at fault
				s.logs("rejected a manifest", "User gatehouse-users/alice", "the version read at ", ", revoked")
			}
			s.write("users.yaml", account("alice", "secret"))
			s.eventually("alice is active again", func() bool { return !s.user("alice").Revoked })
		})
	}
}

func TestTokensValidAfterBesideATypoTakesEffect(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"users.yaml": account("alice", "secret")})
	s.write("users.yaml", edited("alice", "tokensValidAfter: \"2026-11-22T00:00:00Z\"\n  grups: [operators]"))
	want := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	s.eventually("the tokens are void", func() bool { return s.user("alice").TokensValidAfter.Equal(want) })
	if s.user("alice").Revoked {
		t.Error("alice is revoked")
	}
}

func TestLogSaysWhatWasLoaded(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"users.yaml": account("alice", "secret"), "broken.yaml": userWith("bob", "lgoin: a")})
	s.logs("level=WARN", "loaded manifests", "users=1", "errors=1")
	s.logs("rejected a manifest", "at=broken.yaml", "inForce=none")

	s.write("broken.yaml", account("bob", "secret"))
	s.logs("level=INFO", "reloaded manifests", "added=[gatehouse-users/bob]", "changed=[]", "removed=[]", "errors=0")
	s.write("users.yaml", account("alice", "changed"))
	s.logs("level=INFO", "reloaded manifests", "added=[]", "changed=[gatehouse-users/alice]")
	s.write("users.yaml", userWith("alice", "lgoin: a\nemail: nowhere"))
	s.logs("level=WARN", "reloaded manifests", "errors=1")
	s.logs("rejected a manifest", "spec.lgoin", "the version read at ")
	s.logs("rejected a manifest", "spec.email", "the version read at ")
}

func TestFolderWithoutUsersIsLogged(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"notes.txt": "no manifest"})
	s.logs("level=WARN", "no users in the manifests", "kind User in *.yaml, *.yml and *.json")
	s.write("users.yaml", account("alice", "secret"))
	s.eventually("alice is known", func() bool { return s.known("alice") })
	s.remove("users.yaml")
	s.eventually("the log says so again", func() bool { return s.log.count("no users in the manifests") == 2 })
}

func TestStatesOfUsersAreLogged(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"users.yaml": account("alice", "secret")})
	alice := s.user("alice")
	lock := loginstate.Update{Failures: 10, LockedUntil: time.Now().Add(time.Hour)}
	must(t, s.records.WriteLogin(t.Context(), loginstate.User{Key: alice.Key, UID: alice.UID}, lock))
	s.logs("level=WARN", "the state of a user has changed", "user=gatehouse-users/alice", "state=Locked", "lockedUntil=")
	must(t, s.records.Unlock(alice.UID))
	s.logs("the state of a user has changed", "state=Active", "before=Locked")
	s.write("users.yaml", edited("alice", "revoked: true"))
	s.logs("the state of a user has changed", "state=Revoked")
	s.write("users.yaml", edited("alice", "expiresAt: \""+time.Now().UTC().Add(time.Second).Format(time.RFC3339)+"\""))
	s.logs("the state of a user has changed", "state=Expired")
}

func TestUnlockLiftsALock(t *testing.T) {
	t.Parallel()
	s := newService(t, map[string]string{"users.yaml": account("alice", "secret")})
	alice := s.user("alice")
	forever := loginstate.Update{Failures: loginstate.FailureLimit, LockedUntil: time.Now().Add(time.Hour)}
	must(t, s.records.WriteLogin(t.Context(), loginstate.User{Key: alice.Key, UID: alice.UID}, forever))
	if !s.user("alice").Locked(time.Now()) {
		t.Fatal("alice is not locked")
	}
	state := s.store.Dir()
	request := func(entries map[string][]byte) (map[string][]byte, error) {
		entries["alice"], entries["nobody"] = []byte(statedir.UnlockRequested), []byte(statedir.UnlockRequested)
		return entries, nil
	}
	_, err := statedir.UpdateEntries(state, statedir.UnlockEntries, request)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- standalone.NewUnlock(state, s.records, s.directory, s.log.logger()).Start(ctx) }()
	s.eventually("the requests are answered", func() bool {
		entries, err := statedir.ReadEntries(state, statedir.UnlockEntries)
		must(t, err)
		return string(entries["alice"]) == statedir.UnlockDone && string(entries["nobody"]) == statedir.UnlockUnknown
	})
	cancel()
	must(t, <-stopped)
	if u := s.user("alice"); u.Locked(time.Now()) || u.FailedLogins != 0 {
		t.Errorf("alice is still locked: %+v", u)
	}
	s.restart()
	if s.user("alice").Locked(time.Now()) {
		t.Error("alice is locked again after a restart")
	}
}
