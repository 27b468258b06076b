package delivery

import (
	"strconv"

	"k8s.io/apimachinery/pkg/types"
)

// arrivals holds the versions of objects that have arrived and have not been applied. The zero
// version stands for one that is not a number. It is not safe for concurrent use.
type arrivals struct {
	objects map[types.NamespacedName]arrival
	peak    int // the most objects since the map was made
}

// arrival holds the versions of one object that have not been applied.
type arrival struct {
	first, last uint64
	gone        bool // the last one is its deletion
}

func newArrivals() arrivals { return arrivals{objects: map[types.NamespacedName]arrival{}} }

// add adds a version of an object.
func (a *arrivals) add(key types.NamespacedName, version uint64, gone bool) {
	first := version
	if earlier, ok := a.objects[key]; ok {
		first = min(earlier.first, version)
	}
	a.objects[key] = arrival{first, version, gone}
	a.peak = max(a.peak, len(a.objects))
}

// apply removes the versions of an object up to and including this one.
func (a *arrivals) apply(key types.NamespacedName, version uint64) {
	at, ok := a.objects[key]
	switch {
	case !ok:
	case version >= at.last && !at.gone:
		a.remove(key)
	case version >= at.first:
		at.first = version + 1
		a.objects[key] = at
	}
}

// drop removes an object whose deletion has arrived. One that was created again since is kept.
func (a *arrivals) drop(key types.NamespacedName) {
	if at, ok := a.objects[key]; ok && at.gone {
		a.remove(key)
	}
}

// remove removes an object. It replaces a map that was once large, because maps do not shrink.
func (a *arrivals) remove(key types.NamespacedName) {
	const large = 1000
	delete(a.objects, key)
	if len(a.objects) == 0 && a.peak > large {
		*a = newArrivals()
	}
}

// in reports whether there are any in a namespace.
func (a *arrivals) in(namespace string) bool {
	for key := range a.objects {
		if key.Namespace == namespace {
			return true
		}
	}
	return false
}

// limit lowers the version of each namespace to the one before the first that has not been applied
// there.
func (a *arrivals) limit(versions map[string]uint64) {
	for key, at := range a.objects {
		if before := max(at.first, 1) - 1; before < versions[key.Namespace] {
			versions[key.Namespace] = before
		}
	}
}

// VersionOf returns a resourceVersion as a number, or 0 if it is not one. The API server compares
// its versions as numbers (Kubernetes 1.35, KEP 5504); those of etcd have at most 63 bits.
func VersionOf(resourceVersion string) uint64 {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return version
}
