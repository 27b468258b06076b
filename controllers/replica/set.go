// Package replica lets the replicas of a service know of each other, so that of all replicas that
// compute the same status one writes it. Each replica keeps a Lease and watches those of the others.
package replica

import (
	"hash/fnv"
	"io"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
)

// prefix begins the names of the Leases: the rest is the name of the Pod.
const prefix = "gatehouse-"

const (
	renewal  = 10 * time.Second // how often a replica renews its Lease
	lifetime = 30 * time.Second // how long a replica counts as running after it was last heard of
)

// Set knows which replicas run. A nil Set stands for a service with a single replica. It is safe for
// concurrent use.
type Set struct {
	self string
	now  func() time.Time

	mu    sync.RWMutex
	heard map[string]heard // the other replicas, by the name of the Pod
}

// heard says when a replica was last heard of, by the clock of this one: those of two machines may
// differ.
type heard struct {
	renewed string // the content of the Lease, to see whether it has changed
	at      time.Time
}

// NewSet returns the set of a replica that knows of no other.
func NewSet(self string, now func() time.Time) *Set {
	return &Set{self: self, now: now, heard: map[string]heard{}}
}

// Rank returns the place of this replica in the order in which the running replicas write for an
// object: 0 for the one that writes, 1 for the one that writes if that one does not, and so on. All
// replicas that know of the same Leases get the same order, and each is the first for its share of
// the objects (rendezvous hashing, Thaler and Ravishankar 1996).
func (s *Set) Rank(uid types.UID) int {
	if s == nil {
		return 0
	}
	now, own, rank := s.now(), weight(s.self, uid), 0
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, h := range s.heard {
		if now.Sub(h.at) >= lifetime {
			continue
		}
		if w := weight(name, uid); w > own || (w == own && name > s.self) {
			rank++
		}
	}
	return rank
}

// weight returns a number that is independent for each pair of a replica and an object.
func weight(name string, uid types.UID) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name+"/"+string(uid)) // a hash never returns an error
	// The last bytes of an FNV sum move too little, and those of the names of Pods differ most.
	sum := h.Sum64()
	sum ^= sum >> 33
	sum *= 0xff51afd7ed558ccd
	return sum ^ sum>>33
}

// observe records that the Lease of a replica exists. Only a change of the Lease is a sign of life.
func (s *Set) observe(l *coordinationv1.Lease) {
	name, ok := strings.CutPrefix(l.Name, prefix)
	if !ok || name == s.self || l.Spec.RenewTime == nil {
		return
	}
	renewed := l.Spec.RenewTime.UTC().Format(time.RFC3339Nano)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard[name].renewed != renewed {
		s.heard[name] = heard{renewed, s.now()}
	}
}

// forget records that the Lease of a replica is gone.
func (s *Set) forget(lease string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.heard, strings.TrimPrefix(lease, prefix))
}
