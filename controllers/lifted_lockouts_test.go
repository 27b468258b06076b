package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// A lock is lifted in memory at once, and stays lifted while the status still shows it.
func TestLift(t *testing.T) {
	t.Parallel()
	from := &authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: "s", Key: "a"}}
	user := func() *authv1alpha1.User {
		u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "jean", UID: "some-uid", Generation: 1}}
		u.Spec.Passwords = []authv1alpha1.Password{{PlaintextFrom: from}}
		return u
	}
	p, l := projection.NewProjector(password.NewKeyer(), nil), newLiftedLockouts()
	end := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	version := func(generation int64, secret string, lockedUntil time.Time) *directory.User {
		u := user()
		u.Generation = generation
		if !lockedUntil.IsZero() {
			u.Status.LockedUntil = &metav1.Time{Time: lockedUntil}
		}
		return p.Project(u, func(string) *corev1.Secret {
			return &corev1.Secret{Data: map[string][]byte{"a": []byte(secret)}}
		}).User
	}
	var before *directory.User
	steps := []struct {
		name   string
		next   *directory.User
		locked bool
	}{
		{"a user who is locked when the process starts", version(1, "old", end), true},
		{"the spec changes", version(2, "old", end), true},
		{"the password changes", version(2, "new", end), false},
		{"status still shows the lock", version(2, "new", end), false},
		{"the spec changes while status still shows the lock", version(3, "new", end), false},
		{"another lock begins", version(3, "new", end.Add(time.Hour)), true},
		{"the lock is gone", version(3, "new", time.Time{}), false},
		{"a lock that ends when the lifted one did", version(3, "new", end), true},
	}
	for _, step := range steps {
		l.lift(user(), before, step.next)
		if got := !step.next.LockedUntil.IsZero(); got != step.locked {
			t.Errorf("%s: locked = %v, want %v", step.name, got, step.locked)
		}
		before = step.next
	}
}
