package informer

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// Observed records which versions of the objects of one kind have reached the directory: of each
// object until Finish is called, for InitialSync, and up to which version all of them have, for the
// other replicas. It is safe for concurrent use.
type Observed struct {
	mu       sync.Mutex
	reached  map[types.NamespacedName]string // resourceVersion; nil after Finish
	updates  int                             // number of calls of Record and Forget
	arrivals arrivals                        // what the API server has sent and the directory lacks
	streams  []*stream                       // what the API server has sent, by informer
	moved    func()                          // called after each call of Record and Forget
}

// NewObserved returns an Observed without any objects.
func NewObserved() *Observed {
	return &Observed{reached: map[types.NamespacedName]string{}, arrivals: newArrivals(), moved: func() {}}
}

// Record records that the directory is as new as this version of the object.
func (o *Observed) Record(key types.NamespacedName, resourceVersion string) {
	defer o.moved()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.updates++
	o.arrivals.apply(key, VersionOf(resourceVersion))
	if o.reached != nil {
		o.reached[key] = resourceVersion
	}
}

// Forget records that the directory does not hold the object, because the cache does not.
func (o *Observed) Forget(key types.NamespacedName) {
	defer o.moved()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.updates++
	o.arrivals.drop(key)
	delete(o.reached, key) // does nothing after Finish, when the map is nil
}

// Count returns a number that changes whenever something reaches the directory.
func (o *Observed) Count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.updates
}

// Finish drops the versions of single objects and makes later calls record none, to save memory.
func (o *Observed) Finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reached = nil
}

// Behind returns an object for which the directory is older than the listing, if there is one: the
// directory lacks the object or has an older version of it, or it still has an object that was
// deleted before the listing was made. Objects that were created or changed after the listing are
// not a reason to wait.
func (o *Observed) Behind(l Listing) (types.NamespacedName, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, version := range l.objects {
		if reached, ok := o.reached[key]; !ok || older(reached, version) {
			return key, true
		}
	}
	for key, reached := range o.reached {
		if _, listed := l.objects[key]; !listed && !older(l.versions[key.Namespace], reached) {
			return key, true
		}
	}
	return types.NamespacedName{}, false
}

// Versions returns, for each namespace, the resourceVersion up to which everything that the API
// server has sent is in the directory. The version of a namespace is 0 before its first list is
// complete, and if the API server has versions that are not numbers. The empty namespace stands for
// those in which there is no object, and is absent if there are none.
func (o *Observed) Versions() map[string]uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string]uint64{}
	for _, s := range o.streams {
		if version, ok := out[s.namespace]; !ok || s.received < version {
			out[s.namespace] = s.received
		}
	}
	o.arrivals.limit(out)
	return out
}

// Sent returns the newest resourceVersion that the API server has sent of a namespace.
func (o *Observed) Sent(namespace string) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	var newest uint64
	for _, s := range o.streams {
		if s.namespace == namespace {
			newest = max(newest, s.received)
		}
	}
	return newest
}

// older reports whether resource version a is older than b. A version that cannot be compared
// counts as older, so that the directory is never taken for complete by mistake.
func older(a, b string) bool {
	if a == b {
		return false // the common case, without parsing
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order < 0
}
