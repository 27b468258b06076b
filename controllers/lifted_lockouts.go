package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// liftedLockouts remembers the lockouts that a changed password has lifted, until the status no
// longer shows them. UserReconciler sees the change but may not write, and UserStatusReconciler
// writes but does not see the change. liftedLockouts is safe for concurrent use.
type liftedLockouts struct {
	mu     sync.Mutex
	lifted map[types.UID]time.Time // end of the lifted lockout
}

func newLiftedLockouts() *liftedLockouts { return &liftedLockouts{lifted: map[types.UID]time.Time{}} }

// lift removes the lock from the next version of a user if its passwords differ from those before,
// or if lift has removed the same lock earlier and the status still shows it. The caller must call
// lift before it puts that version into the directory, because UserStatusReconciler calls isLifted
// once it is there.
func (l *liftedLockouts) lift(u *authv1alpha1.User, before, next *directory.User) {
	if next.LockedUntil.IsZero() {
		l.forget(u.UID)
		return
	}
	if before != nil && before.UID == next.UID && !projection.SamePasswords(before.Credentials.Revision, next.Credentials.Revision) {
		l.remember(u.UID, next.LockedUntil)
	}
	if l.isLifted(u.UID, next.LockedUntil) {
		next.LockedUntil, next.FailedLogins = time.Time{}, 0
	}
}

func (l *liftedLockouts) remember(uid types.UID, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lifted[uid] = until
}

func (l *liftedLockouts) forget(uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.lifted, uid)
}

// isLifted reports whether the lock of a user that ends at until was lifted. A lock with a
// different end is a different lock.
func (l *liftedLockouts) isLifted(uid types.UID, until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, ok := l.lifted[uid]
	return ok && end.Equal(until)
}
