package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

const fromSecret = `{passwords: [{plaintextFrom: {secretKeyRef: {name: shared, key: password}}}]}`

func TestSecretChangeReachesEveryUser(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	names := []string{"one", "two", "three"}
	for _, name := range names {
		w.NewUser(name, fromSecret)
		w.AwaitStatus(name, "Invalid", "SecretNotFound")
	}
	all := func(secret string) func() bool {
		return func() bool {
			for _, name := range names {
				if !apitest.Verifies(d, name, secret) {
					return false
				}
			}
			return true
		}
	}
	secret := w.NewSecret("shared", map[string]string{"password": "first-password"})
	w.Eventually("all have the first password", all("first-password"))
	w.MustPatch(secret, `{"stringData":{"password":"second-password"}}`)
	w.Eventually("all have the second password", all("second-password"))
	if apitest.Verifies(d, "one", "first-password") {
		t.Error("the first password still logs in")
	}
	for _, name := range names {
		w.AwaitStatus(name, "Active", "Active")
	}
	w.MustDelete(secret)
	for _, name := range names {
		w.AwaitStatus(name, "Invalid", "SecretNotFound")
		if apitest.Verifies(d, name, "second-password") {
			t.Errorf("%s logs in with the password of a deleted Secret", name)
		}
		if _, known := d.ByLogin(name); !known {
			t.Errorf("%s is no longer in the directory", name)
		}
	}
}

func TestRevocationReachesTheDirectory(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	u := w.NewUser("jean", fromSecret)
	w.Eventually("jean is in the directory", func() bool { return apitest.Verifies(d, "jean", "some-password") })
	start := time.Now()
	w.MustPatch(u, `{"spec":{"revoked":true}}`)
	w.Eventually("jean is revoked", func() bool {
		e, ok := d.ByLogin("jean")
		return ok && e.Revoked
	})
	t.Logf("from the patch to the revoked entry: %v", time.Since(start))
	w.AwaitStatus("jean", "Revoked", "Revoked")
}

func TestRecreatedUserIsAnotherUser(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	first := w.NewUser("jean", `{login: jean@example.com}`)
	w.Eventually("jean is in the directory", func() bool { _, ok := d.ByUID(string(first.UID)); return ok })
	w.MustDelete(first)
	w.Eventually("jean is gone", func() bool { return d.Len() == 0 })
	second := w.NewUser("jean", `{login: jean@example.com}`)
	w.Eventually("jean is back", func() bool { _, ok := d.ByUID(string(second.UID)); return ok })
	if _, alive := d.ByUID(string(first.UID)); alive || first.UID == second.UID {
		t.Error("the first user is still in the directory")
	}
}

func TestTerminatingUserIsRemoved(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	u := w.NewUser("jean", `{}`)
	w.MustPatch(u, `{"metadata":{"finalizers":["example.com/slow"]}}`)
	w.Eventually("jean is in the directory", func() bool { _, ok := d.ByLogin("jean"); return ok })
	w.MustDelete(u)
	w.Eventually("jean is gone", func() bool { _, ok := d.ByLogin("jean"); return !ok })
	w.MustPatch(u, `{"metadata":{"finalizers":null}}`)
}

func TestBulkySecretsAreNotCached(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	w.MustCreate(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: "release"}, Type: "helm.sh/release.v1",
		StringData: map[string]string{"password": "hidden-password"},
	})
	w.NewSecret("bulky", map[string]string{"password": strings.Repeat("x", 100_000), "other": "other-password"})
	w.NewUser("release", `{passwords: [{plaintextFrom: {secretKeyRef: {name: release, key: password}}}]}`)
	w.NewUser("bulky", `{passwords: [{plaintextFrom: {secretKeyRef: {name: bulky, key: password}}}]}`)
	w.NewUser("other", `{passwords: [{plaintextFrom: {secretKeyRef: {name: bulky, key: other}}}]}`)
	w.AwaitStatus("release", "Invalid", "SecretNotFound")
	w.AwaitStatus("bulky", "Invalid", "SecretValueTooLarge")
	w.AwaitStatus("other", "Active", "Active")
	if !apitest.Verifies(d, "other", "other-password") {
		t.Error("a password beside a value that is too large does not log in")
	}
}

func TestLockIsLiftedThroughStatus(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	w.NewSecret("shared", map[string]string{"password": "some-password"})
	u := w.NewUser("jean", fromSecret)
	w.AwaitStatus("jean", "Active", "Active")
	locked := func() bool { e, ok := d.ByLogin("jean"); return ok && e.Locked(time.Now()) }
	w.MustPatchStatus(u, `{"status":{"failedLogins":10,"lockedUntil":"2099-01-01T00:00:00Z"}}`)
	w.Eventually("the directory knows the lock", locked)
	w.AwaitStatus("jean", "Locked", "Locked")
	w.MustPatchStatus(u, `{"status":{"lockedUntil":null}}`)
	w.Eventually("the directory knows that the lock is gone", func() bool { return !locked() })
	if after := w.AwaitStatus("jean", "Active", "Active"); after.Status.FailedLogins != 0 {
		t.Errorf("failedLogins = %d after the lock was lifted, want 0", after.Status.FailedLogins)
	}
}

func TestChangedPasswordLiftsLock(t *testing.T) {
	w := apitest.NewWorld(t)
	d, other := newReplica(w), newReplica(w)
	secret := w.NewSecret("shared", map[string]string{"password": "some-password"})
	u := w.NewUser("jean", fromSecret)
	w.AwaitStatus("jean", "Active", "Active")
	w.MustPatchStatus(u, `{"status":{"failedLogins":10,"lockedUntil":"2099-01-01T00:00:00Z"}}`)
	w.AwaitStatus("jean", "Locked", "Locked")
	w.MustPatch(u, `{"spec":{"groups":["operators"]}}`)
	w.AwaitStatus("jean", "Locked", "Locked") // another change does not lift it
	w.MustPatch(secret, `{"stringData":{"password":"another-password"}}`)
	after := w.AwaitStatus("jean", "Active", "Active")
	if after.Status.LockedUntil != nil || after.Status.FailedLogins != 0 {
		t.Errorf("status still has lockedUntil %v and %d failed logins", after.Status.LockedUntil, after.Status.FailedLogins)
	}
	w.Eventually("both replicas have the new password and no lock", func() bool {
		one, ok := d.ByLogin("jean")
		two, also := other.ByLogin("jean")
		return ok && also && !one.Locked(time.Now()) && !two.Locked(time.Now()) && apitest.Verifies(other, "jean", "another-password")
	})
	w.MustPatchStatus(u, `{"status":{"lockedUntil":"2099-02-01T00:00:00Z"}}`)
	w.AwaitStatus("jean", "Locked", "Locked") // the next lock, whose end is another, counts again
}
