package delivery

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// Observed records which versions of the objects of one kind have reached the directory: of each
// object in the namespaces that are being read for the first time, for InitialSync, and up to which
// version all of them have, for the other replicas. It is safe for concurrent use.
type Observed struct {
	mu       sync.Mutex
	reached  map[string]map[types.NamespacedName]string // resourceVersion, by namespace between Begin and Finish
	updates  int                                        // number of calls of Record and Forget
	arrivals arrivals                                   // what the API server has sent and the directory lacks
	streams  []*Stream                                  // what the API server has sent, by cache
	moved    func()                                     // called after each call of Record and Forget
}

// NewObserved returns an Observed without any objects.
func NewObserved() *Observed {
	return &Observed{reached: map[string]map[types.NamespacedName]string{}, arrivals: newArrivals(), moved: func() {}}
}

// Begin starts to record the versions of single objects in a namespace.
func (o *Observed) Begin(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reached[namespace] = map[types.NamespacedName]string{}
}

// Record records that the directory is as new as this version of the object.
func (o *Observed) Record(key types.NamespacedName, resourceVersion string) {
	defer o.moved()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.updates++
	o.arrivals.apply(key, VersionOf(resourceVersion))
	if reached := o.reached[key.Namespace]; reached != nil {
		reached[key] = resourceVersion
	}
}

// Forget records that the directory does not hold the object, because the cache does not.
func (o *Observed) Forget(key types.NamespacedName) {
	defer o.moved()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.updates++
	o.arrivals.drop(key)
	delete(o.reached[key.Namespace], key) // does nothing after Finish, when the map is nil
}

// Count returns a number that changes whenever something reaches the directory.
func (o *Observed) Count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.updates
}

// Finish drops the versions of single objects in a namespace and makes later calls record none of it,
// to save memory.
func (o *Observed) Finish(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.reached, namespace)
}

// Behind returns an object of a namespace for which the directory is older than a list of all objects
// there, if there is one: see Behind. Objects that were created or changed after the list are not a
// reason to wait.
func (o *Observed) Behind(namespace string, objects map[types.NamespacedName]string, version string) (types.NamespacedName, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return Behind(o.reached[namespace], objects, version)
}

// Behind returns an object for which what is held is older than a list of all objects, if there is one:
// the object is lacking or has an older version, or one is still held that was deleted before the list
// was made. held and listed are resourceVersions, and version is that of the list.
func Behind(held, listed map[types.NamespacedName]string, version string) (types.NamespacedName, bool) {
	for key, want := range listed {
		if has, ok := held[key]; !ok || Older(has, want) {
			return key, true
		}
	}
	for key, has := range held {
		if _, ok := listed[key]; !ok && !Older(version, has) {
			return key, true
		}
	}
	return types.NamespacedName{}, false
}

// Versions returns, for each namespace, the resourceVersion up to which everything that the API
// server has sent is in the directory. The version of a namespace is 0 before its first list is
// complete, and if the API server has versions that are not numbers.
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

func (o *Observed) pending(namespace string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.arrivals.in(namespace)
}

// recordAll records that the directory is as new as these versions of all objects that there are.
func (o *Observed) recordAll(versions map[types.NamespacedName]string) {
	for key, version := range versions {
		o.Record(key, version)
	}
	defer o.moved()
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, a := range o.arrivals.objects {
		if _, exists := versions[key]; a.gone && !exists {
			o.arrivals.remove(key)
		}
	}
}

// Older reports whether resource version a is older than b. A version that cannot be compared
// counts as older, so that the directory is never taken for complete by mistake.
func Older(a, b string) bool {
	if a == b {
		return false // the common case, without parsing
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order < 0
}
