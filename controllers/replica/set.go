// Package replica lets the replicas of a service know of each other, so that of all replicas that
// compute the same status one writes it, and that one knows what is in force on all of them. Each
// replica keeps a Lease and watches those of all.
package replica

import (
	"hash/fnv"
	"io"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
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
	self   string
	now    func() time.Time
	keeper *keeper // of the Lease of this replica

	mu    sync.RWMutex
	known bool             // heard has all replicas that there were when this one started
	heard map[string]heard // the replicas, also this one, by the name of the Pod
	moved []func()         // called when a replica has more in force, or is gone
}

// heard says when a replica was last heard of, by the clock of this one: those of two machines may
// differ.
type heard struct {
	renewed string // the content of the Lease, to see whether it has changed
	at      time.Time
	said    string           // the annotation
	inForce delivery.InForce // what the replica has in its directory
	inPod   bool             // the Lease goes with the Pod of the replica
}

// NewSet returns the set of a replica that knows of no other.
func NewSet(self string, now func() time.Time) *Set {
	return &Set{self: self, now: now, heard: map[string]heard{}}
}

// Rank returns the place of this replica in the order in which the running replicas write for an
// object: 0 for the one that writes, 1 for the one that writes if that one does not, and so on. All
// replicas that know of the same Leases get the same order, and each is the first for its share of
// the objects (rendezvous hashing, Thaler and Ravishankar 1996).
func (s *Set) Rank(uid types.UID) int { return len(s.ahead(uid)) }

// ahead returns what the running replicas have in force that come before this one in the order of an
// object.
func (s *Set) ahead(uid types.UID) (replicas []delivery.InForce) {
	if s == nil {
		return nil
	}
	now, own := s.now(), weight(s.self, uid)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, h := range s.heard {
		if name == s.self || now.Sub(h.at) >= lifetime {
			continue
		}
		if w := weight(name, uid); w > own || (w == own && name > s.self) {
			replicas = append(replicas, h.inForce)
		}
	}
	return replicas
}

// delay returns how long this replica waits in all for those that come before it in the order of an
// object, before it makes a write that is about some versions.
func (s *Set) delay(namespace string, uid types.UID, versions delivery.Versions) (d time.Duration) {
	for _, inForce := range s.ahead(uid) {
		if (versions != delivery.Versions{}) && inForce.In(namespace).Covers(versions) {
			d += takeOverInformed
		} else {
			d += takeOver
		}
	}
	return d
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

// isKnown reports whether the set has all replicas that there were when this one started. Before that, a
// replica takes itself for the only one.
func (s *Set) isKnown() bool {
	if s == nil {
		return true
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known
}

// know reports whether every Lease of a list has been observed. If so, the set is known.
func (s *Set) know(leases []coordinationv1.Lease) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range leases {
		name, ok := strings.CutPrefix(leases[i].Name, prefix)
		if _, heard := s.heard[name]; ok && !heard && leases[i].Spec.RenewTime != nil {
			return false
		}
	}
	s.known = true
	s.notify()
	return true
}

// observe records that the Lease of a replica exists. Only a change of the Lease is a sign of life.
func (s *Set) observe(l *coordinationv1.Lease) {
	name, ok := strings.CutPrefix(l.Name, prefix)
	if !ok || l.Spec.RenewTime == nil {
		return
	}
	next := heard{
		renewed: l.Spec.RenewTime.UTC().Format(time.RFC3339Nano), at: s.now(),
		said: l.Annotations[InForceAnnotation], inPod: len(l.OwnerReferences) > 0,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.heard[name]
	if before.renewed == next.renewed {
		next.at = before.at
	}
	next.inForce = before.inForce
	if before.said != next.said {
		next.inForce = parseInForce(next.said)
		s.heard[name] = next
		s.notify()
		return
	}
	s.heard[name] = next
}

// forget records that the Lease of a replica is gone.
func (s *Set) forget(lease string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.heard, strings.TrimPrefix(lease, prefix))
	s.notify()
}
