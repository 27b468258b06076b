package replica

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

const (
	// takeOver is how long a replica waits for each replica that comes before it in the order of an
	// object and has not seen all that the write is about.
	takeOver = 10 * time.Second
	// takeOverInformed is how long it waits for one that has seen all of that and does not write. It
	// computes another status then, because its version, its flags or its clock differ; two that wrote
	// over each other would never end.
	takeOverInformed = 10 * time.Minute
	// knowPause is how long it waits, again and again, until it knows the other replicas.
	knowPause = 100 * time.Millisecond
)

// Turns decides when this replica writes an object that all replicas would write alike: at once if
// it is its turn, or when those whose turn it is have not written for a while. It is safe for
// concurrent use.
type Turns struct {
	set *Set
	now func() time.Time

	mu      sync.Mutex
	waiting map[types.NamespacedName]waiting
}

// waiting says since when an object has needed a write, and which versions that write is about. With
// other versions, the replicas that come before have something new to write, and it begins again.
type waiting struct {
	since    time.Time
	versions delivery.Versions
}

// NewTurns returns the turns of a replica.
func NewTurns(s *Set, now func() time.Time) *Turns {
	return &Turns{set: s, now: now, waiting: map[types.NamespacedName]waiting{}}
}

// Wait returns how long this replica must wait before it writes an object that needs a write, and 0
// if it writes now. versions are those that the write is about. The time is at most the lifetime of a
// Lease, after which the order may be another one.
func (t *Turns) Wait(key types.NamespacedName, uid types.UID, versions delivery.Versions) time.Duration {
	if !t.set.isKnown() {
		return knowPause
	}
	delay := t.set.delay(key.Namespace, uid, versions)
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	w, waits := t.waiting[key]
	if !waits || w.versions != versions {
		w = waiting{now, versions}
	}
	left := delay - now.Sub(w.since)
	if left <= 0 {
		delete(t.waiting, key)
		return 0
	}
	t.waiting[key] = w
	return min(left, lifetime)
}

// Done records that an object needs no write.
func (t *Turns) Done(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting, key)
}
