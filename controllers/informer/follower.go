package informer

import (
	"context"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

// follower is a cache of the objects of one kind in one namespace. The manager's cache would work too
// for a set of namespaces that never changes and can always be read, but it takes up most of the time
// until a replica with many users is ready, because client-go parses the JSON of each User seven
// times. This cache parses it once, and knows whether it is as new as the API server was at start, so
// that finding out does not take another complete list.
//
// It calls the handlers of events itself. An informer of client-go has a queue and five more goroutines, a
// shared one two goroutines and a buffer of 16 KiB for each handler, and with 1,000 namespaces that is most
// of what a replica takes.
//
// Readers share its objects and must not change them. It is safe for concurrent use, except that only run
// calls put, delete, replace and reached.
type follower struct {
	*kind
	namespace string
	whole     bool                  // all objects come at the beginning of a watch if the API server can do that
	await     func(context.Context) // called before each request
	failure   wait.DelayFunc        // returns how long to wait after a failure
	stream    *delivery.Stream
	objects   toolscache.ThreadSafeStore // by name
	filled    chan struct{}              // closed when the objects that were there at first are in the cache

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
		kind: k, namespace: namespace, whole: whole, await: progress.Await, failure: failures(), stream: k.observed(progress).Follow(namespace),
		objects: toolscache.NewThreadSafeStore(k.indexers, toolscache.Indices{}), filled: make(chan struct{}),
	}
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

// put takes an object that is new or has changed.
func (f *follower) put(o client.Object) {
	f.stream.Sent(o, false)
	f.hold(o, false)
	f.setVersion(o.GetResourceVersion())
}

// hold puts an object into the cache and tells the handlers.
func (f *follower) hold(o client.Object, initial bool) {
	f.delivering.Lock()
	defer f.delivering.Unlock()
	before := f.get(o.GetName())
	f.objects.Update(o.GetName(), o)
	for _, s := range f.subscriptions {
		s.changed(before, o, initial)
	}
}

// delete takes an object that is gone, in its last state.
func (f *follower) delete(o client.Object) {
	if f.get(o.GetName()) == nil {
		f.reached(o.GetResourceVersion()) // no one waits for what was never there
		return
	}
	f.stream.Sent(o, true)
	f.drop(o, true)
	f.setVersion(o.GetResourceVersion())
}

// drop takes an object from the cache and tells the handlers.
func (f *follower) drop(o client.Object, exact bool) {
	f.delivering.Lock()
	defer f.delivering.Unlock()
	f.objects.Delete(o.GetName())
	for _, s := range f.subscriptions {
		s.deleted(o, exact)
	}
}

// replace takes all objects that there are.
func (f *follower) replace(all []client.Object, version string) {
	held, listed := f.versions(), make(map[types.NamespacedName]string, len(all))
	for _, o := range all {
		listed[client.ObjectKeyFromObject(o)] = o.GetResourceVersion()
	}
	f.stream.Listed(listed, held, version)
	for _, o := range all {
		if key := client.ObjectKeyFromObject(o); held[key] == listed[key] {
			continue
		}
		f.hold(o, !f.synced())
	}
	maps.DeleteFunc(held, func(key types.NamespacedName, _ string) bool { _, ok := listed[key]; return ok })
	for key := range held {
		f.drop(f.get(key.Name), false)
	}
	f.setVersion(version)
	if !f.synced() {
		close(f.filled)
	}
}

// reached notes that nothing has changed up to a version.
func (f *follower) reached(version string) {
	f.stream.Reached(version)
	f.setVersion(version)
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
func (f *follower) get(name string) client.Object {
	object, _ := f.objects.Get(name)
	o, _ := object.(client.Object)
	return o
}

// subscription is a handler of the events of one kind.
type subscription struct {
	kind    string
	ctx     context.Context //nolint:containedctx // of the controller
	queue   workqueue.TypedRateLimitingInterface[reconcile.Request]
	handler handler.EventHandler
}

// changed reports an object that is new, or has changed since before.
func (s subscription) changed(before, after client.Object, initial bool) {
	if before == nil {
		s.handler.Create(s.ctx, event.CreateEvent{Object: after, IsInInitialList: initial}, s.queue)
	} else {
		s.handler.Update(s.ctx, event.UpdateEvent{ObjectOld: before, ObjectNew: after}, s.queue)
	}
}

// deleted reports that an object is gone. Unless it is exact, the object may have changed before that.
func (s subscription) deleted(last client.Object, exact bool) {
	s.handler.Delete(s.ctx, event.DeleteEvent{Object: last, DeleteStateUnknown: !exact}, s.queue)
}
