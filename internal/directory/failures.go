package directory

import (
	"sync"
	"time"
)

// Failures counts the failed logins in a row of one user on this replica. It also holds a lock that
// this replica has started, until the status shows a lock to all replicas. It is safe for
// concurrent use. The zero value has no failures.
type Failures struct {
	mu          sync.Mutex
	count       int
	lockedUntil time.Time
}

// Fail counts one failure and reports whether it starts a lock. When the failures in a row reach
// threshold, Fail starts a lock until the given time and sets the count to 0, where it is when the
// lock ends. A threshold of 0 never locks.
func (f *Failures) Fail(threshold int, until time.Time) (locked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if threshold <= 0 || f.count < threshold {
		return false
	}
	f.count = 0
	f.lockedUntil = until
	return true
}

// Succeed clears the failures in a row and reports whether there were any.
func (f *Failures) Succeed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	had := f.count > 0
	f.count = 0
	return had
}

// locked reports whether a lock that this replica has started lasts at now.
func (f *Failures) locked(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Before(f.lockedUntil)
}

// follow applies a change of the lock in the status, from before to after. A lock that appears
// there replaces this replica's own. A lock that disappears lifts this replica's own too, unless
// that lasts longer than the one that disappeared: then the status has only lost an old lock and
// does not show the new one yet.
func (f *Failures) follow(before, after time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after.IsZero() && f.lockedUntil.After(before) {
		return
	}
	f.count = 0
	f.lockedUntil = time.Time{}
}
