package informer

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

// follower is a cache of the objects of one kind in one namespace. The manager's cache would work too
// for a set of namespaces that never changes and can always be read, but it takes up most of the time
// until a replica with many users is ready, because client-go parses the JSON of each User seven
// times. This cache parses it once, and knows whether it is as new as the API server was at start, so
// that finding out does not take another complete list.
//
// It calls the handlers of events itself. A shared informer of client-go has two goroutines and a buffer
// of 16 KiB for each of them, and with 1,000 namespaces that is most of what a replica takes.
//
// Readers share its objects and must not change them. It is safe for concurrent use.
type follower struct {
	toolscache.Controller
	*kind
	namespace string
	store     toolscache.Store

	delivering    sync.Mutex // held during an event, so that a new handler misses none
	subscriptions []subscription

	mu             sync.Mutex
	versionAtStart string // resourceVersion of the API server before the first list; empty until known
	state          State
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

// If the API server refuses to list or watch, a follower asks again after leastRefusedPause at first, and
// later after a quarter of the time that it has been refused, up to mostRefusedPause. To that it adds
// up to as much again at random.
const (
	leastRefusedPause = time.Second
	mostRefusedPause  = 15 * time.Second
)

// newFollower returns a follower that never resyncs, that is, it does not periodically deliver
// unchanged objects again, because no controller needs that. progress learns what it receives.
func newFollower(k *kind, namespace string, progress *delivery.Progress) *follower {
	f := &follower{kind: k, namespace: namespace}
	recorded := k.observed(progress).Follow(
		&toolscache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}, namespace, progress.Await,
		func() toolscache.Store { return f.store })
	f.store, f.Controller = toolscache.NewInformerWithOptions(toolscache.InformerOptions{
		ListerWatcher: retrying(recorded), ObjectType: k.example, Handler: f, Indexers: k.indexers, Transform: k.transform,
	})
	return f
}

// subscription is a handler of the events of one kind.
type subscription struct {
	kind    string
	ctx     context.Context //nolint:containedctx // of the controller
	queue   workqueue.TypedRateLimitingInterface[reconcile.Request]
	handler handler.EventHandler
}

// attach delivers events to a handler from now on, and reports the objects that there are as new.
func (f *follower) attach(s subscription) {
	f.delivering.Lock()
	defer f.delivering.Unlock()
	f.subscriptions = append(f.subscriptions, s)
	for _, object := range f.store.List() {
		s.created(object, true)
	}
}

func (s subscription) created(object any, initial bool) {
	if o, ok := object.(client.Object); ok {
		s.handler.Create(s.ctx, event.CreateEvent{Object: o, IsInInitialList: initial}, s.queue)
	}
}

func (s subscription) updated(before, after any) {
	o, ok := before.(client.Object)
	n, also := after.(client.Object)
	if ok && also {
		s.handler.Update(s.ctx, event.UpdateEvent{ObjectOld: o, ObjectNew: n}, s.queue)
	}
}

func (s subscription) deleted(object any) {
	last, unknown := object.(toolscache.DeletedFinalStateUnknown)
	if unknown {
		object = last.Obj
	}
	if o, ok := object.(client.Object); ok {
		s.handler.Delete(s.ctx, event.DeleteEvent{Object: o, DeleteStateUnknown: unknown}, s.queue)
	}
}

// deliver calls tell for each handler.
func (f *follower) deliver(tell func(subscription)) {
	f.delivering.Lock()
	defer f.delivering.Unlock()
	for _, s := range f.subscriptions {
		tell(s)
	}
}

// OnAdd implements cache.ResourceEventHandler.
func (f *follower) OnAdd(object any, initial bool) {
	f.deliver(func(s subscription) { s.created(object, initial) })
}

// OnUpdate implements cache.ResourceEventHandler.
func (f *follower) OnUpdate(before, after any) {
	f.deliver(func(s subscription) { s.updated(before, after) })
}

// OnDelete implements cache.ResourceEventHandler.
func (f *follower) OnDelete(object any) { f.deliver(func(s subscription) { s.deleted(object) }) }

// request returns a request for the objects. A kind with a decoder of its own reads only JSON,
// whatever content type client-go prefers.
func (f *follower) request(opts *metav1.ListOptions) *rest.Request {
	r := f.client.Get().Namespace(f.namespace).Resource(f.resource).VersionedParams(opts, f.params)
	if f.decode != nil {
		r.SetHeader("Accept", runtime.ContentTypeJSON)
	}
	return r
}

// list lists all objects. client-go calls it only if the API server cannot send the initial objects
// as part of a watch.
func (f *follower) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	opts.FieldSelector = f.selector
	return untilPermitted(ctx, f, func(ctx context.Context) (runtime.Object, error) {
		if err := f.learnServerVersion(ctx); err != nil {
			return nil, err
		}
		if f.decode != nil {
			return f.listJSON(ctx, &opts)
		}
		out := f.newList()
		return out, f.request(&opts).Do(ctx).Into(out)
	})
}

// watch watches the objects.
func (f *follower) watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	opts.FieldSelector, opts.Watch = f.selector, true
	return untilPermitted(ctx, f, func(ctx context.Context) (watch.Interface, error) {
		if opts.SendInitialEvents != nil { // the watch begins with all objects
			if err := f.learnServerVersion(ctx); err != nil {
				return nil, err
			}
		}
		if f.decode == nil {
			return f.request(&opts).Watch(ctx)
		}
		body, err := f.request(&opts).Stream(ctx)
		if err != nil {
			return nil, err
		}
		reporter := apierrors.NewClientErrorReporter(http.StatusInternalServerError, http.MethodGet, "ClientWatchDecoding")
		return watch.NewStreamWatcherWithLogger(log.FromContext(ctx), newWatchDecoder(body, f.decode), reporter), nil
	})
}

// untilPermitted calls ask until the API server does not refuse it, and keeps the state of f.
func untilPermitted[T any](ctx context.Context, f *follower, ask func(context.Context) (T, error)) (T, error) {
	ctx = context.WithValue(ctx, heardKey{}, f.heard)
	for {
		answer, err := ask(ctx)
		f.note(ctx, err)
		if !refused(err) {
			return answer, err
		}
		pause := min(max(time.Since(f.snapshot().RefusedSince)/4, leastRefusedPause), mostRefusedPause)
		if !Sleep(ctx, pause+rand.N(pause)) { //nolint:gosec // spreads retries; not for security
			return answer, err
		}
	}
}

// refused reports whether the API server refuses to let the service read a namespace: its rights are
// gone, or the kind is.
func refused(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) }

// note keeps what the API server has answered.
func (f *follower) note(ctx context.Context, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		if !f.state.RefusedSince.IsZero() {
			log.FromContext(ctx).Info("a namespace can be read again", "namespace", f.namespace, "kind", f.name)
		}
		f.state.LastSuccess, f.state.RefusedSince, f.state.Refusal = now, time.Time{}, nil
	case refused(err):
		if f.state.RefusedSince.IsZero() {
			log.FromContext(ctx).Info("cannot read a namespace; will retry", "namespace", f.namespace, "kind", f.name, "error", err.Error())
			f.state.RefusedSince = now
		}
		f.state.LastRefused, f.state.Refusal = now, err
	}
}

// heard records a sign of life of this kind in this namespace.
func (f *follower) heard() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.LastHeard = time.Now()
}

func (f *follower) snapshot() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Synced = f.HasSynced()
	return s
}

// learnServerVersion gets the current resourceVersion from the API server before the first list of
// all objects. Each attempt sends a new request, so that the version is not older than necessary. The
// request is a list of one object without a resourceVersion, which makes the response consistent.
func (f *follower) learnServerVersion(ctx context.Context) error {
	if f.HasSynced() {
		return nil
	}
	first := &metav1.PartialObjectMetadataList{}
	raw, err := f.client.Get().Namespace(f.namespace).Resource(f.resource).VersionedParams(&metav1.ListOptions{Limit: 1, FieldSelector: f.selector}, f.params).
		SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").Do(ctx).Raw()
	if err != nil {
		return err
	}
	if err := decodeMetadata(raw, first); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.versionAtStart = first.ResourceVersion
	return nil
}

// listing returns the names and versions in the cache, and whether they are at least as new as the
// API server was before the first list. They are not if the first list came from an API server that
// lags behind, or if versions cannot be compared.
func (f *follower) listing() (_ Listing, fresh bool) {
	f.mu.Lock()
	versionAtStart := f.versionAtStart
	f.mu.Unlock()
	version := f.store.LastStoreSyncResourceVersion() // read before the objects, which may be newer but not older
	if versionAtStart == "" || delivery.Older(version, versionAtStart) {
		return Listing{}, false
	}
	return Listing{namespace: f.namespace, objects: f.versions(), version: version}, true
}

// versions returns the resourceVersions of the objects in the cache.
func (f *follower) versions() map[types.NamespacedName]string {
	out := map[types.NamespacedName]string{}
	for _, object := range f.store.List() {
		if o, ok := object.(client.Object); ok {
			out[client.ObjectKeyFromObject(o)] = o.GetResourceVersion()
		}
	}
	return out
}

// get returns an object of the cache, or nil if there is none.
func (f *follower) get(key types.NamespacedName) any {
	object, _, err := f.store.GetByKey(key.String())
	if err != nil {
		return nil // this store returns no errors
	}
	return object
}
