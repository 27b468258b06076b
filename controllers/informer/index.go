package informer

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// Index finds Users by something that their specs say. An index of the cache would do the same, but keeps two sets for
// each value, which is more than all else that the cache holds of a user. It is safe for concurrent use.
type Index[K comparable] struct {
	keys  func(*authv1alpha1.User) []K
	mu    sync.Mutex
	users map[K][]types.NamespacedName
}

// NewSecretIndex finds Users by the Secrets that their passwords are in.
func NewSecretIndex() *Index[types.NamespacedName] {
	return &Index[types.NamespacedName]{keys: secretKeys, users: map[types.NamespacedName][]types.NamespacedName{}}
}

// NewLoginIndex finds Users by what a client types, also when it is the object's name.
func NewLoginIndex() *Index[string] {
	keys := func(u *authv1alpha1.User) []string { return []string{u.EffectiveLogin()} }
	return &Index[string]{keys: keys, users: map[string][]types.NamespacedName{}}
}

// Lookup returns the Users with a key, in no order.
func (x *Index[K]) Lookup(key K) []types.NamespacedName {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.users[key])
}

// replace enters the next version of a User in place of the one before; either may be nil.
func (x *Index[K]) replace(before, next client.Object) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old, _ := before.(*authv1alpha1.User)
	u, _ := next.(*authv1alpha1.User)
	var left, entered []K
	if old != nil {
		left = x.keys(old)
	}
	if u != nil {
		entered = x.keys(u)
	}
	for _, key := range left {
		if !slices.Contains(entered, key) {
			x.removeUser(key, client.ObjectKeyFromObject(old))
		}
	}
	for _, key := range entered {
		if name := client.ObjectKeyFromObject(u); !slices.Contains(x.users[key], name) {
			x.users[key] = append(x.users[key], name)
		}
	}
}

func (x *Index[K]) removeUser(key K, user types.NamespacedName) {
	rest := slices.DeleteFunc(x.users[key], func(other types.NamespacedName) bool { return other == user })
	if len(rest) == 0 {
		delete(x.users, key)
		return
	}
	x.users[key] = rest
}

// IndexedHandler is a handler of Users that brings an index up to date before it hands an event on. Whoever is enqueued by the event
// reads the cache later than that. So a Secret that changes before the index knows its user is still read in time, and one
// that changes afterwards finds the user in the index.
type IndexedHandler[K comparable] struct {
	handler.EventHandler
	Index *Index[K]
}

// Create implements handler.EventHandler.
func (h IndexedHandler[K]) Create(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	h.Index.replace(nil, e.Object)
	h.EventHandler.Create(ctx, e, q)
}

// Update implements handler.EventHandler.
func (h IndexedHandler[K]) Update(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	h.Index.replace(e.ObjectOld, e.ObjectNew)
	h.EventHandler.Update(ctx, e, q)
}

// Delete implements handler.EventHandler.
func (h IndexedHandler[K]) Delete(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	h.Index.replace(e.Object, nil)
	h.EventHandler.Delete(ctx, e, q)
}

// UsersOfSecret enqueues every User that names a Secret.
func UsersOfSecret(index *Index[types.NamespacedName]) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, secret client.Object) []reconcile.Request {
		return requestsFor(index.Lookup(client.ObjectKeyFromObject(secret)))
	})
}

// UsersOfLogin keeps an index of logins, and enqueues a User and every other User that claims the same login, before or after
// the change.
func UsersOfLogin(index *Index[string]) handler.EventHandler {
	claimants := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		out := []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(o)}}
		if u, ok := o.(*authv1alpha1.User); ok {
			out = append(out, requestsFor(index.Lookup(u.EffectiveLogin()))...)
		}
		return out
	})
	// Every User is listed at start, so that its rivals need not be enqueued for it too.
	// Nobody waits for their statuses, so they are looked at slowly enough to count as rest for the garbage collector.
	unhurriedly := func() time.Duration { return WriteJitter + rand.N(WriteJitter) } //nolint:gosec // spreads work, guards nothing
	return IndexedHandler[string]{Index: index, EventHandler: &PacedHandler{EventHandler: claimants, Pause: unhurriedly, Done: debug.FreeOSMemory}}
}

func requestsFor(keys []types.NamespacedName) []reconcile.Request {
	out := make([]reconcile.Request, len(keys))
	for i, key := range keys {
		out[i].NamespacedName = key
	}
	return out
}

func secretKeys(u *authv1alpha1.User) []types.NamespacedName {
	var out []types.NamespacedName
	for _, name := range projection.SecretNames(u) {
		out = append(out, types.NamespacedName{Namespace: u.Namespace, Name: name})
	}
	return out
}
