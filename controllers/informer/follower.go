package informer

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

// follower is a cache of the objects of one kind in one namespace. The manager's cache would work too
// for a set of namespaces that never changes and can always be read, but it takes up most of the time
// until a replica with many users is ready, because client-go parses the JSON of each User seven
// times. This cache parses it once, and knows whether it is as new as the API server was at start, so
// that finding out does not take another complete list.
//
// It is itself the store that client-go's Reflector fills, and calls the handlers of events. An informer
// of client-go has a queue and three more goroutines, a shared one two goroutines and a buffer of
// 16 KiB for each handler, and with 1,000 namespaces that is most of what a replica takes.
//
// Readers share its objects and must not change them. It is safe for concurrent use, except that only
// the Reflector calls Add, Update, Delete, Replace and Bookmark.
type follower struct {
	*kind
	namespace string
	whole     bool                  // all objects come at the beginning of a watch if the API server can do that
	await     func(context.Context) // called before each request
	stream    *delivery.Stream
	objects   toolscache.Indexer
	filled    chan struct{} // closed when the objects that were there at first are in the cache

	delivering    sync.Mutex // held during a change and its events, so that a new handler misses none
	subscriptions []subscription

	mu             sync.Mutex
	version        string // resourceVersion of the cache, which may lack nothing older
	versionAtStart string // resourceVersion of the API server before the first list; empty until known
	state          State  // apart from Synced
}

// State is how one kind of object in one namespace is followed. It is an immutable value.
type State struct {
	Synced      bool      // the objects that were there at first are in the cache
	LastSuccess time.Time // when the API server last began to answer a list or a watch
	LastHeard   time.Time // when anything last arrived: an object, an event or a bookmark
	// RefusedSince is since when the API server has refused every list and watch; zero: it has not. An
	// API server that does not answer, or that has failed, does not refuse.
	RefusedSince time.Time
	LastRefused  time.Time // when it did so last
	Refusal      error
}

// newFollower returns a follower that has not begun. progress learns what it receives. whole says that
// the namespace has a good part of all objects of its kind: see requests.
func newFollower(k *kind, namespace string, whole bool, progress *delivery.Progress) *follower {
	return &follower{
		kind: k, namespace: namespace, whole: whole, await: progress.Await, stream: k.observed(progress).Follow(namespace),
		objects: toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, k.indexers), filled: make(chan struct{}),
	}
}

// run follows the objects until the context ends. Unchanged objects are never delivered again, because
// no controller needs that.
func (f *follower) run(ctx context.Context) {
	log := klog.FromContext(ctx)
	toolscache.NewReflectorWithOptions(f.requests(), f.example, f, toolscache.ReflectorOptions{Logger: &log, Name: f.namespace + "/" + f.resource}).RunWithContext(ctx)
}

// synced reports whether the objects that were there at first are in the cache.
func (f *follower) synced() bool {
	select {
	case <-f.filled:
		return true
	default:
		return false
	}
}

// awaitFilled waits until the objects that were there at first are in the cache, and reports whether
// they are before the context ends.
func (f *follower) awaitFilled(ctx context.Context) bool {
	select {
	case <-f.filled:
		return true
	case <-ctx.Done():
		return f.synced()
	}
}

// attach delivers events to a handler from now on, and reports the objects that there are as new.
func (f *follower) attach(s subscription) {
	f.delivering.Lock()
	defer f.delivering.Unlock()
	f.subscriptions = append(f.subscriptions, s)
	for _, o := range f.all() {
		s.changed(nil, o, true)
	}
}

// Add implements cache.ReflectorStore.
func (f *follower) Add(object any) error { return f.put(object) }

// Update implements cache.ReflectorStore.
func (f *follower) Update(object any) error { return f.put(object) }

func (f *follower) put(object any) error {
	o, err := f.slim(object)
	if err != nil {
		return err
	}
	f.stream.Sent(o, false)
	if err := f.hold(o, false); err != nil {
		return err
	}
	f.setVersion(o.GetResourceVersion())
	return nil
}

// hold puts an object into the cache and tells the handlers.
func (f *follower) hold(o client.Object, initial bool) error {
	f.delivering.Lock()
	defer f.delivering.Unlock()
	before := f.get(client.ObjectKeyFromObject(o))
	if err := f.objects.Add(o); err != nil {
		return err
	}
	for _, s := range f.subscriptions {
		s.changed(before, o, initial)
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (f *follower) Delete(object any) error {
	o, err := f.slim(object)
	if err != nil {
		return err
	}
	if f.get(client.ObjectKeyFromObject(o)) == nil {
		return f.Bookmark(o.GetResourceVersion()) // no one waits for what was never there
	}
	f.stream.Sent(o, true)
	if err := f.drop(o, true); err != nil {
		return err
	}
	f.setVersion(o.GetResourceVersion())
	return nil
}

// drop takes an object from the cache and tells the handlers.
func (f *follower) drop(o client.Object, exact bool) error {
	f.delivering.Lock()
	defer f.delivering.Unlock()
	if err := f.objects.Delete(o); err != nil {
		return err
	}
	for _, s := range f.subscriptions {
		s.deleted(o, exact)
	}
	return nil
}

// Replace implements cache.ReflectorStore: these are all objects that there are.
func (f *follower) Replace(objects []any, version string) error {
	held, listed, all := f.versions(), make(map[types.NamespacedName]string, len(objects)), make([]client.Object, len(objects))
	for i, object := range objects {
		o, err := f.slim(object)
		if err != nil {
			return err
		}
		all[i], listed[client.ObjectKeyFromObject(o)] = o, o.GetResourceVersion()
	}
	f.stream.Listed(listed, held, version)
	for _, o := range all {
		if key := client.ObjectKeyFromObject(o); held[key] == listed[key] {
			continue
		}
		if err := f.hold(o, !f.synced()); err != nil {
			return err
		}
	}
	maps.DeleteFunc(held, func(key types.NamespacedName, _ string) bool { _, ok := listed[key]; return ok })
	for key := range held {
		if err := f.drop(f.get(key), false); err != nil {
			return err
		}
	}
	f.setVersion(version)
	if !f.synced() {
		close(f.filled)
	}
	return nil
}

// Bookmark implements cache.ReflectorBookmarkStore: nothing has changed up to this version.
func (f *follower) Bookmark(version string) error {
	f.stream.Reached(version)
	f.setVersion(version)
	return nil
}

// Resync implements cache.ReflectorStore. There is nothing to do.
func (*follower) Resync() error { return nil }

// Transformer implements cache.TransformingStore.
func (f *follower) Transformer() toolscache.TransformFunc { return f.transform }

// slim returns an object as the cache holds it.
func (f *follower) slim(object any) (client.Object, error) {
	if f.transform != nil {
		var err error
		if object, err = f.transform(object); err != nil {
			return nil, err
		}
	}
	o, ok := object.(client.Object)
	if !ok {
		return nil, fmt.Errorf("a %T is no object of the API server", object)
	}
	return o, nil
}

func (f *follower) setVersion(version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version = version
}

// listing returns the names and versions in the cache, and whether they are at least as new as the
// API server was before the first list. They are not if the first list came from an API server that
// lags behind, or if versions cannot be compared.
func (f *follower) listing() (_ Listing, fresh bool) {
	f.mu.Lock()
	versionAtStart, version := f.versionAtStart, f.version // read before the objects, which may be newer but not older
	f.mu.Unlock()
	if versionAtStart == "" || delivery.Older(version, versionAtStart) {
		return Listing{}, false
	}
	return Listing{namespace: f.namespace, objects: f.versions(), version: version}, true
}

// versions returns the resourceVersions of the objects in the cache.
func (f *follower) versions() map[types.NamespacedName]string {
	out := map[types.NamespacedName]string{}
	for _, o := range f.all() {
		out[client.ObjectKeyFromObject(o)] = o.GetResourceVersion()
	}
	return out
}

// all returns the objects in the cache.
func (f *follower) all() []client.Object {
	held := f.objects.List()
	out := make([]client.Object, 0, len(held))
	for _, object := range held {
		if o, ok := object.(client.Object); ok {
			out = append(out, o)
		}
	}
	return out
}

// get returns an object of the cache, or nil if there is none.
func (f *follower) get(key types.NamespacedName) client.Object {
	object, _, err := f.objects.GetByKey(key.String())
	if err != nil {
		return nil // this store returns no errors
	}
	o, _ := object.(client.Object)
	return o
}
