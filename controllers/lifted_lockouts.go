package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// liftedLockouts remembers which locks a changed password has lifted, until status no longer shows them: UserReconciler sees the
// change and may not write, UserStatusReconciler writes and does not see it. It is safe for concurrent use.
type liftedLockouts struct {
	mu     sync.Mutex
	lifted map[types.UID]time.Time // the end of the lifted lock
}

func newLiftedLockouts() *liftedLockouts { return &liftedLockouts{lifted: map[types.UID]time.Time{}} }

// lift takes the lock off the next version of a user when its passwords are others than those before, or when that
// happened earlier and status still shows the same lock. It must come before that version enters the directory, because
// UserStatusReconciler asks once it is there.
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

// isLifted says whether the lock of a user that ends at this time was lifted. A lock with another end is another lock.
func (l *liftedLockouts) isLifted(uid types.UID, until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, ok := l.lifted[uid]
	return ok && end.Equal(until)
}
