package delivery

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// stream sees what the API server sends to one informer before the informer does, so that Observed
// knows of each version before it can reach the directory. client-go lists and watches in turn,
// never at once.
type stream struct {
	toolscache.ListerWatcherWithContext
	observed  *Observed
	namespace string
	store     func() toolscache.Store // what the informer holds
	before    func(context.Context)   // called before each request
	list      *list                   // the list that has begun and not ended, or nil
	broken    bool                    // an earlier list began and did not end

	received uint64 // everything up to this version was sent; guarded by observed
}

// list is one list of all objects.
type list struct {
	stream    *stream
	abandoned bool                              // another list has begun before this one ended; guarded by observed
	objects   map[types.NamespacedName]struct{} // nil if the informer holds nothing to compare them with
}

// Follow returns a ListerWatcher that records in o what lw sends of a namespace to an informer with
// this store. It calls before, which may wait, before each request.
func (o *Observed) Follow(
	lw toolscache.ListerWatcherWithContext, namespace string, before func(context.Context), store func() toolscache.Store,
) toolscache.ListerWatcherWithContext {
	return o.follow(lw, namespace, before, store)
}

func (o *Observed) follow(
	lw toolscache.ListerWatcherWithContext, namespace string, before func(context.Context), store func() toolscache.Store,
) *stream {
	s := &stream{ListerWatcherWithContext: lw, observed: o, namespace: namespace, store: store, before: before}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streams = append(o.streams, s)
	return s
}

// ListWithContext lists objects. A list can come in several pages.
func (s *stream) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	s.before(ctx)
	list, err := s.ListerWatcherWithContext.ListWithContext(ctx, opts)
	if err != nil {
		return list, err
	}
	if opts.Continue == "" {
		s.beginList()
	}
	err = meta.EachListItem(list, func(o runtime.Object) error { s.listObject(o); return nil })
	if err != nil {
		return list, err
	}
	if page, err := meta.ListAccessor(list); err == nil && page.GetContinue() == "" {
		s.endList(page.GetResourceVersion())
	}
	return list, nil
}

// WatchWithContext watches objects. A watch can begin with a list.
func (s *stream) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	s.before(ctx)
	w, err := s.ListerWatcherWithContext.WatchWithContext(ctx, opts)
	if err != nil {
		return w, err
	}
	listing := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	if listing {
		s.beginList()
	}
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		if listing {
			listing = s.listEvent(e)
		} else {
			s.watchEvent(e)
		}
		return e, true
	}), nil
}

// beginList begins the list of all objects.
func (s *stream) beginList() {
	if s.list != nil {
		s.observed.abandon(s.list)
		s.broken = true
	}
	s.list = &list{stream: s}
	if len(s.store().ListKeys()) > 0 {
		s.list.objects = map[types.NamespacedName]struct{}{}
	}
}

// listEvent records an event of the list that a watch begins with, and reports whether the list goes
// on.
func (s *stream) listEvent(e watch.Event) bool {
	o, err := meta.Accessor(e.Object)
	switch {
	case err != nil:
	case e.Type == watch.Added, e.Type == watch.Modified:
		s.listObject(e.Object)
	case e.Type == watch.Deleted:
		s.unlistObject(keyOf(o))
	case e.Type == watch.Bookmark && o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true":
		s.endList(o.GetResourceVersion())
		return false
	}
	return true
}

// listObject records a listed object, unless the informer holds the same version: then it was
// recorded when it came, and does not come again.
func (s *stream) listObject(listed runtime.Object) {
	o, err := meta.Accessor(listed)
	if err != nil {
		return
	}
	key := keyOf(o)
	if s.list.objects != nil {
		s.list.objects[key] = struct{}{}
		if held, ok := s.held(key); ok && held.GetResourceVersion() == o.GetResourceVersion() {
			return
		}
	}
	s.arrive(key, VersionOf(o.GetResourceVersion()), false, s.list)
}

// unlistObject takes an object that was deleted while it was listed from the list. Unless the
// informer holds the object from before, it does not learn of it.
func (s *stream) unlistObject(key types.NamespacedName) {
	delete(s.list.objects, key)
	if _, ok := s.held(key); !ok {
		s.observed.discard(func(k types.NamespacedName, _ arrival) bool { return k == key })
	}
}

// endList records the deletion of the objects that the informer holds and the list lacks. What
// an abandoned list had and neither has, the informer does not learn of.
func (s *stream) endList(resourceVersion string) {
	if s.list.objects != nil {
		s.recordDeleted(VersionOf(resourceVersion))
	}
	if s.broken {
		s.observed.discard(func(key types.NamespacedName, a arrival) bool {
			_, ok := s.held(key)
			return a.list != nil && a.list.stream == s && a.list.abandoned && !ok
		})
	}
	s.list, s.broken = nil, false
	s.observed.receive(s, VersionOf(resourceVersion))
}

func (s *stream) recordDeleted(version uint64) {
	for _, held := range s.store().List() {
		o, err := meta.Accessor(held)
		if err != nil {
			continue
		}
		if _, ok := s.list.objects[keyOf(o)]; !ok {
			s.arrive(keyOf(o), version, true, nil)
		}
	}
}

// watchEvent records an event of a watch.
func (s *stream) watchEvent(e watch.Event) {
	o, err := meta.Accessor(e.Object)
	if err != nil {
		return // an error, after which the informer watches again
	}
	if e.Type != watch.Bookmark {
		s.arrive(keyOf(o), VersionOf(o.GetResourceVersion()), e.Type == watch.Deleted, nil)
	}
	s.observed.receive(s, VersionOf(o.GetResourceVersion()))
}

func (s *stream) held(key types.NamespacedName) (metav1.Object, bool) {
	object, found, err := s.store().GetByKey(key.String())
	if err != nil || !found {
		return nil, false
	}
	o, err := meta.Accessor(object)
	return o, err == nil
}

// arrive records that a version of an object, or its deletion, was sent.
func (s *stream) arrive(key types.NamespacedName, version uint64, gone bool, by *list) {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	s.observed.arrivals.add(key, version, gone, by)
}

// receive records that everything up to a version was sent.
func (o *Observed) receive(s *stream, version uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.received = version
}

func (o *Observed) abandon(l *list) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l.abandoned = true
}

// discard forgets the arrivals that the informer does not learn of.
func (o *Observed) discard(unheard func(types.NamespacedName, arrival) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key, a := range o.arrivals.objects {
		if unheard(key, a) {
			o.arrivals.remove(key)
		}
	}
}

func keyOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
