package informer

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// Observed notes which version of each object has reached the directory, while somebody waits for that. It is safe for
// concurrent use.
type Observed struct {
	mu      sync.Mutex
	reached map[types.NamespacedName]string // resourceVersion; nil once nobody waits
	updates int                             // how often something was noted or gone
}

func NewObserved() *Observed { return &Observed{reached: map[types.NamespacedName]string{}} }

// Record says that the directory is as new as this version of the object.
func (p *Observed) Record(key types.NamespacedName, resourceVersion string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.updates++
	if p.reached != nil {
		p.reached[key] = resourceVersion
	}
}

// Forget says that the directory does not hold the object. Deleting from a nil map does nothing.
func (p *Observed) Forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.updates++
	delete(p.reached, key)
}

// Count returns a number that changes whenever something reaches the directory.
func (p *Observed) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.updates
}

// Finish forgets everything and notes nothing from now on.
func (p *Observed) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reached = nil
}

// Behind returns an object in which the directory is older than the listing, if there is one: it lacks the object or has an
// older version, or it has an object that was deleted before the listing was made. What was made or changed after the
// listing is no reason to wait.
func (p *Observed) Behind(l Listing) (types.NamespacedName, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, version := range l.objects {
		if reached, ok := p.reached[key]; !ok || older(reached, version) {
			return key, true
		}
	}
	for key, reached := range p.reached {
		if _, listed := l.objects[key]; !listed && !older(l.versions[key.Namespace], reached) {
			return key, true
		}
	}
	return types.NamespacedName{}, false
}

// older says whether resource version a is older than b. A version that cannot be compared counts as older, so that nobody
// takes the directory for complete by mistake.
func older(a, b string) bool {
	if a == b {
		return false // the usual case, for nothing
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err != nil || order < 0
}
