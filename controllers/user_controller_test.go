package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const fromSecret = `{passwords: [{plaintextFrom: {secretKeyRef: {name: shared, key: password}}}]}`

func TestASecretChangeReachesEveryUserThatNamesIt(t *testing.T) {
	w := newWorld(t)
	d := w.replica()
	names := []string{"one", "two", "three"}
	for _, name := range names {
		w.user(name, fromSecret)
		w.stands(name, "Invalid", "SecretNotFound")
	}
	all := func(secret string) func() bool {
		return func() bool {
			for _, name := range names {
				if !verifies(d, name, secret) {
					return false
				}
			}
			return true
		}
	}
	secret := w.secret("shared", map[string]string{"password": "first-password"})
	w.eventually("all have the first password", all("first-password"))
	w.patch(secret, `{"stringData":{"password":"second-password"}}`)
	w.eventually("all have the second password", all("second-password"))
	if verifies(d, "one", "first-password") {
		t.Error("the first password still logs in")
	}
	for _, name := range names {
		w.stands(name, "Active", "Active")
	}
	w.delete(secret)
	for _, name := range names {
		w.stands(name, "Invalid", "SecretNotFound")
		if verifies(d, name, "second-password") {
			t.Errorf("%s logs in with the password of a deleted Secret", name)
		}
		if _, known := d.ByLogin(name); !known {
			t.Errorf("%s is no longer in the directory", name)
		}
	}
}

func TestARevocationReachesTheDirectoryWithinASecond(t *testing.T) {
	w := newWorld(t)
	d := w.replica()
	w.secret("shared", map[string]string{"password": "some-password"})
	u := w.user("jean", fromSecret)
	w.eventually("jean is in the directory", func() bool { return verifies(d, "jean", "some-password") })
	start := time.Now()
	w.patch(u, `{"spec":{"revoked":true}}`)
	w.eventually("jean is revoked", func() bool {
		e, ok := d.ByLogin("jean")
		return ok && e.Revoked
	})
	took := time.Since(start)
	t.Logf("from the patch to the revoked entry: %v", took)
	if took > time.Second {
		t.Errorf("a revocation took %v, want less than a second", took)
	}
	w.stands("jean", "Revoked", "Revoked")
}

func TestAUserMadeAnewIsAnotherUser(t *testing.T) {
	w := newWorld(t)
	d := w.replica()
	first := w.user("jean", `{login: jean@example.com}`)
	w.eventually("jean is in the directory", func() bool { _, ok := d.ByUID(string(first.UID)); return ok })
	w.delete(first)
	w.eventually("jean is gone", func() bool { return d.Len() == 0 })
	second := w.user("jean", `{login: jean@example.com}`)
	w.eventually("jean is back", func() bool { _, ok := d.ByUID(string(second.UID)); return ok })
	if _, alive := d.ByUID(string(first.UID)); alive || first.UID == second.UID {
		t.Error("the first jean is still there")
	}
}

func TestAUserWhoIsBeingDeletedIsGone(t *testing.T) {
	w := newWorld(t)
	d := w.replica()
	u := w.user("jean", `{}`)
	w.patch(u, `{"metadata":{"finalizers":["example.com/slow"]}}`)
	w.eventually("jean is in the directory", func() bool { _, ok := d.ByLogin("jean"); return ok })
	w.delete(u)
	w.eventually("jean is gone", func() bool { _, ok := d.ByLogin("jean"); return !ok })
	w.patch(u, `{"metadata":{"finalizers":null}}`)
}

func TestSecretsThatCannotHoldAPasswordStayOnTheAPIServer(t *testing.T) {
	w := newWorld(t)
	d := w.replica()
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "release"}, Type: "helm.sh/release.v1",
		StringData: map[string]string{"password": "hidden-password"},
	})
	w.secret("bulky", map[string]string{"password": strings.Repeat("x", 100_000), "other": "other-password"})
	w.user("release", `{passwords: [{plaintextFrom: {secretKeyRef: {name: release, key: password}}}]}`)
	w.user("bulky", `{passwords: [{plaintextFrom: {secretKeyRef: {name: bulky, key: password}}}]}`)
	w.user("other", `{passwords: [{plaintextFrom: {secretKeyRef: {name: bulky, key: other}}}]}`)
	w.stands("release", "Invalid", "SecretNotFound")
	w.stands("bulky", "Invalid", "SecretValueTooLarge")
	w.stands("other", "Active", "Active")
	if !verifies(d, "other", "other-password") {
		t.Error("a password beside a value that is too large does not log in")
	}
}

func TestALockIsLiftedThroughStatus(t *testing.T) {
	w := newWorld(t)
	d := w.replica()
	w.secret("shared", map[string]string{"password": "some-password"})
	u := w.user("jean", fromSecret)
	w.stands("jean", "Active", "Active")
	locked := func() bool { e, ok := d.ByLogin("jean"); return ok && e.Locked(time.Now()) }
	w.patchStatus(u, `{"status":{"failedLogins":10,"lockedUntil":"2099-01-01T00:00:00Z"}}`)
	w.eventually("the directory knows the lock", locked)
	w.stands("jean", "Locked", "Locked")
	w.patchStatus(u, `{"status":{"lockedUntil":null}}`)
	w.eventually("the directory knows that the lock is gone", func() bool { return !locked() })
	if after := w.stands("jean", "Active", "Active"); after.Status.FailedLogins != 0 {
		t.Errorf("failedLogins = %d after the lock was lifted, want 0", after.Status.FailedLogins)
	}
}

func TestAChangedPasswordLiftsALockOnEveryReplica(t *testing.T) {
	w := newWorld(t)
	d, other := w.replica(), w.replica()
	secret := w.secret("shared", map[string]string{"password": "some-password"})
	u := w.user("jean", fromSecret)
	w.stands("jean", "Active", "Active")
	w.patchStatus(u, `{"status":{"failedLogins":10,"lockedUntil":"2099-01-01T00:00:00Z"}}`)
	w.stands("jean", "Locked", "Locked")
	w.patch(u, `{"spec":{"groups":["operators"]}}`)
	w.stands("jean", "Locked", "Locked") // another change does not lift it
	w.patch(secret, `{"stringData":{"password":"another-password"}}`)
	after := w.stands("jean", "Active", "Active")
	if after.Status.LockedUntil != nil || after.Status.FailedLogins != 0 {
		t.Errorf("status still has lockedUntil %v and %d failed logins", after.Status.LockedUntil, after.Status.FailedLogins)
	}
	w.eventually("both replicas have the new password and no lock", func() bool {
		one, ok := d.ByLogin("jean")
		two, also := other.ByLogin("jean")
		return ok && also && !one.Locked(time.Now()) && !two.Locked(time.Now()) && verifies(other, "jean", "another-password")
	})
	w.patchStatus(u, `{"status":{"lockedUntil":"2099-01-01T00:00:00Z"}}`)
	w.stands("jean", "Locked", "Locked") // the next lock counts again
}
