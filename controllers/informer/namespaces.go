// Package informer follows the objects of the API server: it has caches of the objects of users in a
// changing set of namespaces, indexes of Users, and the event handlers, queues and retries of the
// controllers.
package informer

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
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
	// Added is called before anything of a namespace is asked for, with a context that ends when it is
	// no longer followed. Removing is called after that with its Users, before any event says that its
	// objects are gone, and Removed at the end. Set all of them before the manager starts.
	Added    func(ctx context.Context, namespace string)
	Removing func(users []types.NamespacedName)
	Removed  func(namespace string)

	kinds    map[string]*kind
	progress *delivery.Progress

	changes sync.Mutex // held while the set of namespaces changes
	wanted  []string   // guarded by changes

	mu            sync.RWMutex
	ctx           context.Context //nolint:containedctx // of the manager, nil until it starts
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

// NewNamespaces returns caches that the manager fills when it starts. progress learns what the caches
// receive.
func NewNamespaces(mgr ctrl.Manager, progress *delivery.Progress) (*Namespaces, error) {
	kinds, err := newKinds(mgr)
	if err != nil {
		return nil, err
	}
	n := &Namespaces{
		Added: func(context.Context, string) {}, Removing: func([]types.NamespacedName) {}, Removed: func(string) {},
		kinds: kinds, progress: progress, followed: map[string]*namespace{},
	}
	return n, mgr.Add(n)
}

// NeedLeaderElection returns false, because every replica has its own caches.
func (*Namespaces) NeedLeaderElection() bool { return false }

// Start follows the namespaces that are set until the context ends.
func (n *Namespaces) Start(ctx context.Context) error {
	n.changes.Lock()
	n.mu.Lock()
	n.ctx = log.IntoContext(ctx, log.FromContext(ctx).WithName("namespaces"))
	n.mu.Unlock()
	n.follow(n.wanted)
	n.changes.Unlock()
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
func (n *Namespaces) Set(names []string) {
	n.changes.Lock()
	defer n.changes.Unlock()
	n.wanted = slices.Clone(names)
	n.follow(n.wanted)
}

// follow makes n follow these namespaces, if it has started. The caller holds changes.
func (n *Namespaces) follow(names []string) {
	n.mu.RLock()
	ctx := n.ctx
	n.mu.RUnlock()
	if ctx == nil || ctx.Err() != nil {
		return // Start does the rest, or the process ends
	}
	for _, ns := range n.all() {
		if !slices.Contains(names, ns.name) {
			n.remove(ns)
		}
	}
	for _, name := range names {
		if n.of(name) == nil {
			n.add(ctx, name, len(names) <= fewNamespaces)
		}
	}
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

// fewNamespaces is the number of namespaces up to which each is taken for a good part of all objects.
const fewNamespaces = 4

func (n *Namespaces) add(ctx context.Context, name string, whole bool) {
	ns := &namespace{name: name, followers: map[string]*follower{}}
	for _, k := range n.kinds {
		ns.followers[k.name] = newFollower(k, name, whole, n.progress)
	}
	ctx, ns.cancel = context.WithCancel(ctx)
	ns.ctx = ctx
	n.mu.Lock()
	n.followed[name] = ns
	subscriptions := slices.Clone(n.subscriptions)
	n.mu.Unlock()
	n.Added(ctx, name)
	for _, s := range subscriptions {
		ns.attach(s)
	}
	for _, f := range ns.followers {
		ns.running.Go(func() { f.run(ns.ctx) })
	}
}

// remove stops following a namespace.
func (n *Namespaces) remove(ns *namespace) {
	ns.cancel()
	ns.running.Wait()
	n.mu.Lock()
	delete(n.followed, ns.name)
	subscriptions := slices.Clone(n.subscriptions)
	n.mu.Unlock()
	n.Removing(ns.users())
	for _, kind := range Kinds() {
		for _, o := range ns.followers[kind].all() {
			for _, s := range subscriptions {
				if s.kind == kind {
					s.deleted(o, true)
				}
			}
		}
	}
	n.progress.Unfollow(ns.name)
	n.Removed(ns.name)
}

// Source returns a source of the events of one kind in all namespaces. That of Users is UserSource.
func (n *Namespaces) Source(kind string, h handler.EventHandler) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		n.subscribe(subscription{kind, ctx, queue, h})
		return nil
	})
}

// UserSource returns a source of the events of Users and of the Secrets that they may reference, in all
// namespaces. Those of Users begin when the Secrets of their namespace are in the cache and secrets
// hears of each change: a User that is looked at before would lack its passwords, or keep old ones.
func (n *Namespaces) UserSource(users, secrets handler.EventHandler) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		n.subscribe(subscription{Secret, ctx, queue, secrets})
		n.subscribe(subscription{User, ctx, queue, users})
		return nil
	})
}

func (n *Namespaces) subscribe(s subscription) {
	n.changes.Lock()
	defer n.changes.Unlock()
	n.mu.Lock()
	n.subscriptions = append(n.subscriptions, s)
	n.mu.Unlock()
	for _, ns := range n.all() {
		ns.attach(s)
	}
}

// attach delivers the events of a namespace to a subscription.
func (ns *namespace) attach(s subscription) {
	if s.kind != User {
		ns.followers[s.kind].attach(s)
		return
	}
	ns.running.Go(func() {
		if ns.followers[Secret].awaitFilled(ns.ctx) {
			ns.followers[User].attach(s)
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
		f.awaitFilled(ctx)
	}
}

// get returns an object of a cache, or nil if there is none.
func (n *Namespaces) get(kind string, key types.NamespacedName) client.Object {
	ns := n.of(key.Namespace)
	if ns == nil {
		return nil
	}
	return ns.followers[kind].get(key.Name)
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
	objects, err := ns.followers[Token].objects.ByIndex(byTokenID, id)
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

// UsersIn returns the names of the Users in a namespace whose Secrets are in the cache. The others
// follow, by their own events.
func (n *Namespaces) UsersIn(namespace string) []types.NamespacedName {
	ns := n.of(namespace)
	if ns == nil || !ns.followers[Secret].synced() {
		return nil
	}
	return ns.users()
}

func (ns *namespace) users() []types.NamespacedName {
	var out []types.NamespacedName
	for _, u := range ns.followers[User].all() {
		out = append(out, client.ObjectKeyFromObject(u))
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

// Refused returns why the API server refuses to let the service read one of the kinds of a namespace,
// nil if it does not, and for how long it has done so again and again. A time in which it does not
// answer at all does not count.
func (n *Namespaces) Refused(namespace string) (lasting time.Duration, refusal error) {
	ns := n.of(namespace)
	if ns == nil {
		return 0, nil
	}
	for _, f := range ns.followers {
		if s := f.snapshot(); s.Refusal != nil && (refusal == nil || s.LastRefused.Sub(s.RefusedSince) > lasting) {
			lasting, refusal = s.LastRefused.Sub(s.RefusedSince), s.Refusal
		}
	}
	return lasting, refusal
}

// Holds reports whether the cache of a kind is at least as new as a listing of a namespace.
func (n *Namespaces) Holds(kind string, l Listing) bool {
	ns := n.of(l.namespace)
	if ns == nil {
		return false
	}
	_, behind := delivery.Behind(ns.followers[kind].versions(), l.objects, l.version)
	return !behind
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
