package delivery

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Stream is told what the API server sends of the objects of one kind in one namespace before the
// directory can hear of it. It is safe for concurrent use.
type Stream struct {
	observed  *Observed
	namespace string
	received  uint64 // everything up to this version was sent; guarded by observed
}

// Follow returns a Stream of a namespace, of which nothing was sent yet.
func (o *Observed) Follow(namespace string) *Stream {
	s := &Stream{observed: o, namespace: namespace}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams = append(o.streams, s)
	return s
}

// Listed records that a list of all objects was sent, and its resourceVersion. Both maps hold
// resourceVersions: held those of the objects that were sent before.
func (s *Stream) Listed(listed, held map[types.NamespacedName]string, version string) {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	for key, v := range listed {
		if held[key] != v {
			s.observed.arrivals.add(key, VersionOf(v), false)
		}
	}
	for key := range held {
		if _, ok := listed[key]; !ok {
			s.observed.arrivals.add(key, VersionOf(version), true)
		}
	}
	s.received = VersionOf(version)
}

// Sent records that an object was sent, or that it is gone.
func (s *Stream) Sent(o metav1.Object, gone bool) {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	s.received = VersionOf(o.GetResourceVersion())
	s.observed.arrivals.add(keyOf(o), s.received, gone)
}

// Reached records that everything up to a resourceVersion was sent.
func (s *Stream) Reached(version string) {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	s.received = VersionOf(version)
}

// unfollow forgets everything of a namespace that is no longer followed.
func (o *Observed) unfollow(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams = slices.DeleteFunc(o.streams, func(s *Stream) bool { return s.namespace == namespace })
	for key := range o.arrivals.objects {
		if key.Namespace == namespace {
			o.arrivals.remove(key)
		}
	}
}

func keyOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
