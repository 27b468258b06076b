package replica

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// takeOver is how long a replica waits for each replica that comes before it in the order of an
// object.
const takeOver = 10 * time.Second

// Turns decides when this replica writes an object that all replicas would write alike: at once if
// it is its turn, or when those whose turn it is have not written for a while. It is safe for
// concurrent use.
type Turns struct {
	set *Set
	now func() time.Time

	mu    sync.Mutex
	since map[types.NamespacedName]time.Time // when an object was first found to need a write, of those that wait
}

// NewTurns returns the turns of a replica.
func NewTurns(s *Set, now func() time.Time) *Turns {
	return &Turns{set: s, now: now, since: map[types.NamespacedName]time.Time{}}
}

// Wait returns how long this replica must wait before it writes an object that needs a write, and 0
// if it writes now.
func (t *Turns) Wait(key types.NamespacedName, uid types.UID) time.Duration {
	rank := t.set.Rank(uid)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	since, waits := t.since[key]
	if !waits {
		since = now
	}
	left := time.Duration(rank)*takeOver - now.Sub(since)
	if left <= 0 {
		delete(t.since, key)
		return 0
	}
	t.since[key] = since
	return left
}

// Done records that an object needs no write.
func (t *Turns) Done(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.since, key)
}
