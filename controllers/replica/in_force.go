package replica

import (
	"encoding/json"
	"slices"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

// InForceAnnotation is the annotation of a Lease with the versions up to which everything is in the
// directory of the replica.
const InForceAnnotation = "auth.gatehouse.dev/in-force"

// maximumInForce is the maximum length of the annotation in bytes. With the 64 namespaces that
// delivery.InForce names, it has at most 14 KiB.
const maximumInForce = 16 << 10

// Behind are the replicas that may not have something in force, by the names of their Pods.
type Behind struct {
	Pending []string // replicas that live
	Unheard []string // replicas that have not renewed their Leases, and whose Pods exist
}

// None reports whether there are no such replicas.
func (b Behind) None() bool { return len(b.Pending) == 0 && len(b.Unheard) == 0 }

// BehindOf returns the replicas that do not have these versions in force in a namespace. This replica
// counts too, as its Lease says: the API server puts all Leases into one order, so that once the Lease
// of this replica is seen to have a version, so is each Lease that was made before that. Until this
// replica has seen all Leases, its own included, it cannot tell for the others and names itself alone.
func (s *Set) BehindOf(namespace string, versions delivery.Versions) Behind {
	now := s.now()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, ok := s.heard[s.self]; !ok || !s.known {
		return Behind{Pending: []string{s.self}}
	}
	var b Behind
	for name, h := range s.heard {
		lives := now.Sub(h.at) < lifetime
		switch {
		case h.inForce.In(namespace).Covers(versions):
		case lives:
			b.Pending = append(b.Pending, name)
		case h.inPod:
			b.Unheard = append(b.Unheard, name)
		}
	}
	slices.Sort(b.Pending)
	slices.Sort(b.Unheard)
	return b
}

// OnMove makes f be called whenever a replica has more in force than before or is gone, and when the
// set is known. It is called with a lock held, and must not block nor use the set.
func (s *Set) OnMove(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = append(s.moved, f)
}

// notify calls what OnMove was given. The caller holds mu.
func (s *Set) notify() {
	for _, f := range s.moved {
		f()
	}
}

// parseInForce returns the versions of an annotation. Those of one that cannot be read are zero,
// older than all others.
func parseInForce(annotation string) delivery.InForce {
	var f delivery.InForce
	if len(annotation) > maximumInForce || json.Unmarshal([]byte(annotation), &f) != nil {
		return delivery.InForce{}
	}
	return f
}

// formatInForce returns the annotation of what is in force.
func formatInForce(f delivery.InForce) (string, error) {
	out, err := json.Marshal(f)
	return string(out), err
}
