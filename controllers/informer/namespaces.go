// Package informer follows the objects of the API server: it has caches of the objects of users in a
// changing set of namespaces, indexes of Users, and the event handlers, queues and retries of the
// controllers.
package informer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

// Namespaces follows the Users, Secrets, Tokens and Revocations of a set of namespaces that may change
// at any time. Each kind in each namespace has a cache and a watch of its own, so that a namespace
// that cannot be read delays no other. Readers share the objects of the caches and must not change
// them. It is safe for concurrent use.
type Namespaces struct {
	// Added is called before a namespace is followed, with a context that ends when it no longer is.
	// Removed is called after that, when its objects are gone. Set both before the manager starts.
	Added   func(ctx context.Context, namespace string)
	Removed func(namespace string)

	kinds    map[string]*kind
	progress *delivery.Progress

	changes sync.Mutex // held while the set of namespaces changes

	mu            sync.RWMutex
	ctx           context.Context //nolint:containedctx // of the manager, nil until it starts
	wanted        []string
	followed      map[string]*namespace
	subscriptions []subscription
}

// namespace is one namespace that is followed.
type namespace struct {
	name      string
	followers map[string]*follower // by kind
	ctx       context.Context      //nolint:containedctx // ends when the namespace is no longer followed
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// subscription is a handler of the events of one kind.
type subscription struct {
	kind       string
	ctx        context.Context //nolint:containedctx // of the controller
	queue      workqueue.TypedRateLimitingInterface[reconcile.Request]
	handler    handler.EventHandler
	predicates []predicate.Predicate
}

// NewNamespaces returns caches that the manager fills when it starts. progress learns what the caches
// receive.
func NewNamespaces(mgr ctrl.Manager, progress *delivery.Progress) (*Namespaces, error) {
	kinds, err := newKinds(mgr)
	if err != nil {
		return nil, err
	}
	n := &Namespaces{
		Added: func(context.Context, string) {}, Removed: func(string) {},
		kinds: kinds, progress: progress, followed: map[string]*namespace{},
	}
	return n, mgr.Add(n)
}

// NeedLeaderElection returns false, because every replica has its own caches.
func (*Namespaces) NeedLeaderElection() bool { return false }

// Start follows the namespaces that are set until the context ends.
func (n *Namespaces) Start(ctx context.Context) error {
	n.mu.Lock()
	n.ctx = log.IntoContext(ctx, log.FromContext(ctx).WithName("namespaces"))
	wanted := n.wanted
	n.mu.Unlock()
	if err := n.Set(wanted); err != nil {
		return err
	}
	<-ctx.Done()
	n.changes.Lock()
	defer n.changes.Unlock()
	for _, ns := range n.all() {
		ns.running.Wait()
	}
	return nil
}

// Set makes n follow these namespaces and no others. The objects of a namespace that is no longer
// followed are reported as deleted, Users first.
func (n *Namespaces) Set(names []string) error {
	n.changes.Lock()
	defer n.changes.Unlock()
	n.mu.Lock()
	n.wanted = slices.Clone(names)
	ctx := n.ctx
	n.mu.Unlock()
	if ctx == nil || ctx.Err() != nil {
		return nil // Start does the rest, or the process ends
	}
	for _, ns := range n.all() {
		if !slices.Contains(names, ns.name) {
			n.remove(ns)
		}
	}
	for _, name := range names {
		if n.of(name) != nil {
			continue
		}
		if err := n.add(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (n *Namespaces) all() []*namespace {
	n.mu.RLock()
	defer n.mu.RUnlock()
	out := make([]*namespace, 0, len(n.followed))
	for _, ns := range n.followed {
		out = append(out, ns)
	}
	return out
}

func (n *Namespaces) of(name string) *namespace {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.followed[name]
}

func (n *Namespaces) add(ctx context.Context, name string) error {
	ns := &namespace{name: name, followers: map[string]*follower{}}
	for _, k := range n.kinds {
		f, err := newFollower(k, name, n.progress)
		if err != nil {
			return fmt.Errorf("set up the cache of %ss in %s: %w", k.name, name, err)
		}
		ns.followers[k.name] = f
	}
	ctx, ns.cancel = context.WithCancel(ctx)
	ns.ctx = ctx
	n.Added(ctx, name)
	n.mu.Lock()
	n.followed[name] = ns
	subscriptions := slices.Clone(n.subscriptions)
	n.mu.Unlock()
	for _, f := range ns.followers {
		ns.running.Go(func() { f.RunWithContext(ns.ctx) })
	}
	for _, s := range subscriptions {
		ns.attach(s)
	}
	return nil
}

// remove stops following a namespace.
func (n *Namespaces) remove(ns *namespace) {
	ns.cancel()
	ns.running.Wait()
	n.mu.Lock()
	delete(n.followed, ns.name)
	subscriptions := slices.Clone(n.subscriptions)
	n.mu.Unlock()
	for _, kind := range Kinds() {
		for _, object := range ns.followers[kind].GetStore().List() {
			for _, s := range subscriptions {
				if o, ok := object.(client.Object); ok && s.kind == kind {
					s.handler.Delete(s.ctx, event.DeleteEvent{Object: o}, s.queue)
				}
			}
		}
	}
	n.progress.Unfollow(ns.name)
	n.Removed(ns.name)
}

// Source returns a source of the events of one kind in all namespaces. The events of Users begin when
// the Secrets of their namespace are in the cache, because a User that is looked at before would lack
// its passwords.
func (n *Namespaces) Source(kind string, h handler.EventHandler, predicates ...predicate.Predicate) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		s := subscription{kind, ctx, queue, h, predicates}
		n.changes.Lock()
		defer n.changes.Unlock()
		n.mu.Lock()
		n.subscriptions = append(n.subscriptions, s)
		n.mu.Unlock()
		for _, ns := range n.all() {
			ns.attach(s)
		}
		return nil
	})
}

// attach delivers the events of a namespace to a subscription.
func (ns *namespace) attach(s subscription) {
	events := &source.Informer{Informer: ns.followers[s.kind], Handler: s.handler, Predicates: s.predicates}
	ns.running.Go(func() {
		if s.kind == User && !toolscache.WaitForCacheSync(ns.ctx.Done(), ns.followers[Secret].HasSynced) {
			return
		}
		if err := events.Start(s.ctx, s.queue); err != nil && ns.ctx.Err() == nil {
			log.FromContext(ns.ctx).Error(err, "could not follow a namespace", "namespace", ns.name, "kind", s.kind)
		}
	})
}

// AwaitFilled returns when the caches of a namespace hold the initially listed objects, or the context
// ends.
func (n *Namespaces) AwaitFilled(ctx context.Context, namespace string) {
	ns := n.of(namespace)
	if ns == nil {
		return
	}
	for _, f := range ns.followers {
		toolscache.WaitForCacheSync(ctx.Done(), f.HasSynced)
	}
}

// get returns an object of a cache, or nil if there is none.
func (n *Namespaces) get(kind string, key types.NamespacedName) any {
	ns := n.of(key.Namespace)
	if ns == nil {
		return nil
	}
	object, _, err := ns.followers[kind].GetStore().GetByKey(key.String())
	if err != nil {
		return nil // this store returns no errors
	}
	return object
}

// User returns a User, or nil if it does not exist.
func (n *Namespaces) User(key types.NamespacedName) *authv1alpha1.User {
	u, _ := n.get(User, key).(*authv1alpha1.User)
	return u
}

// Secret returns a Secret, or nil if it does not exist or is of a type that is not read.
func (n *Namespaces) Secret(key types.NamespacedName) *corev1.Secret {
	s, _ := n.get(Secret, key).(*corev1.Secret)
	return s
}

// Token returns a Token, or nil if it does not exist.
func (n *Namespaces) Token(key types.NamespacedName) *authv1alpha1.Token {
	t, _ := n.get(Token, key).(*authv1alpha1.Token)
	return t
}

// Revocation returns a Revocation, or nil if it does not exist.
func (n *Namespaces) Revocation(key types.NamespacedName) *unstructured.Unstructured {
	r, _ := n.get(Revocation, key).(*unstructured.Unstructured)
	return r
}

// TokensByID returns the Tokens of a namespace that record the token with this id.
func (n *Namespaces) TokensByID(namespace, id string) []*authv1alpha1.Token {
	ns := n.of(namespace)
	if ns == nil {
		return nil
	}
	objects, err := ns.followers[Token].GetIndexer().ByIndex(byTokenID, id)
	if err != nil {
		return nil // the index exists
	}
	out := make([]*authv1alpha1.Token, 0, len(objects))
	for _, object := range objects {
		if t, ok := object.(*authv1alpha1.Token); ok {
			out = append(out, t)
		}
	}
	return out
}

// UsersIn returns the names of the Users in a namespace.
func (n *Namespaces) UsersIn(namespace string) []types.NamespacedName {
	ns := n.of(namespace)
	if ns == nil {
		return nil
	}
	var out []types.NamespacedName
	for _, object := range ns.followers[User].GetStore().List() {
		if u, ok := object.(*authv1alpha1.User); ok {
			out = append(out, client.ObjectKeyFromObject(u))
		}
	}
	return out
}

// Names returns the names of the namespaces that are followed.
func (n *Namespaces) Names() []string {
	var out []string
	for _, ns := range n.all() {
		out = append(out, ns.name)
	}
	slices.Sort(out)
	return out
}

// States returns how each kind is followed in a namespace, by kind, or nil if the namespace is not
// followed.
func (n *Namespaces) States(namespace string) map[string]State {
	ns := n.of(namespace)
	if ns == nil {
		return nil
	}
	out := map[string]State{}
	for kind, f := range ns.followers {
		out[kind] = f.snapshot()
	}
	return out
}

// Refused returns since when the API server has refused to let the service read one of the kinds of a
// namespace, and why. The time is zero if it has not.
func (n *Namespaces) Refused(namespace string) (since time.Time, refusal error) {
	states := n.States(namespace)
	for _, kind := range Kinds() {
		s := states[kind]
		if at := s.RefusedSince; !at.IsZero() && (since.IsZero() || at.Before(since)) {
			since, refusal = at, s.Refusal
		}
	}
	return since, refusal
}

// Positions returns up to which resourceVersion the watches of a kind have delivered, by namespace. A
// namespace whose objects have not been listed yet has the position "".
func (n *Namespaces) Positions(kind string) map[string]string {
	out := map[string]string{}
	for _, ns := range n.all() {
		out[ns.name] = ns.followers[kind].LastSyncResourceVersion()
	}
	return out
}

// List returns the listing of the cache of a kind in a namespace if the cache is as new as the API
// server was when it was first filled, and otherwise asks api.
func (n *Namespaces) List(ctx context.Context, kind, namespace string, api Lister) (Listing, error) {
	if ns := n.of(namespace); ns != nil {
		if cached, fresh := ns.followers[kind].listing(); fresh {
			return cached, nil
		}
	}
	return api.List(ctx, KindOf(kind), namespace)
}
