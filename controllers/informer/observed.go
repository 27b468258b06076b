package informer

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// Observed records which version of each object has reached the directory, for the namespaces that
// are being read for the first time. It is safe for concurrent use.
type Observed struct {
	mu      sync.Mutex
	reached map[string]map[types.NamespacedName]string // resourceVersion, by namespace between Begin and Finish
	updates int                                        // number of calls of Record and Forget
}

// NewObserved returns an Observed that records nothing yet.
func NewObserved() *Observed {
	return &Observed{reached: map[string]map[types.NamespacedName]string{}}
}

// Begin starts to record the objects of a namespace.
func (o *Observed) Begin(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reached[namespace] = map[types.NamespacedName]string{}
}

// Record records that the directory is as new as this version of the object.
func (o *Observed) Record(key types.NamespacedName, resourceVersion string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.updates++
	if reached := o.reached[key.Namespace]; reached != nil {
		reached[key] = resourceVersion
	}
}

// Forget records that the directory does not hold the object.
func (o *Observed) Forget(key types.NamespacedName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.updates++
	delete(o.reached[key.Namespace], key) // does nothing after Finish, when the map is nil
}

// Count returns a number that changes whenever something reaches the directory.
func (o *Observed) Count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.updates
}

// Finish drops everything recorded of a namespace and makes later calls record nothing of it, to save
// memory.
func (o *Observed) Finish(namespace string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.reached, namespace)
}

// Behind returns an object for which the directory is older than the listing, if there is one: the
// directory lacks the object or has an older version of it, or it still has an object that was
// deleted before the listing was made. Objects that were created or changed after the listing are
// not a reason to wait.
func (o *Observed) Behind(l Listing) (types.NamespacedName, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	recorded := o.reached[l.namespace]
	for key, version := range l.objects {
		if reached, ok := recorded[key]; !ok || older(reached, version) {
			return key, true
		}
	}
	for key, reached := range recorded {
		if _, listed := l.objects[key]; !listed && !older(l.version, reached) {
			return key, true
		}
	}
	return types.NamespacedName{}, false
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
