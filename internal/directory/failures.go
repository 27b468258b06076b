package directory

import (
	"sync"
	"time"
)

// Failures counts the failed logins of one user in a row on this replica, and holds a lock of this replica's own making
// until status shows one to everybody. It is safe for concurrent use; the zero value has no failures.
type Failures struct {
	mu          sync.Mutex
	count       int
	lockedUntil time.Time
}

// Fail counts one failure and says whether it was one too many: when the failures in a row reach threshold, a lock until
// the given time begins and the count starts over, so that it is 0 when the lock ends. A threshold of 0 never locks.
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

// Succeed forgets the failures in a row and says whether there were any.
func (f *Failures) Succeed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	had := f.count > 0
	f.count = 0
	return had
}

func (f *Failures) locked(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Before(f.lockedUntil)
}

// follow takes over a change of the lock that status shows. A lock that appears there takes the place of this replica's
// own. One that is taken away lifts this replica's own too, unless that is newer than the one taken away: then status
// has only been cleared of an old lock and not yet heard of the new one.
func (f *Failures) follow(before, after time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after.IsZero() && f.lockedUntil.After(before) {
		return
	}
	f.count = 0
	f.lockedUntil = time.Time{}
}
