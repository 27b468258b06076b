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

// Index finds Users by keys that are in their specs. An index of the cache would do the same, but
// it keeps two sets for each value, which takes more memory than everything else that the cache
// holds of a user. Index is safe for concurrent use.
type Index[K comparable] struct {
	keys  func(*authv1alpha1.User) []K
	mu    sync.Mutex
	users map[K][]types.NamespacedName
}

// NewSecretIndex returns an Index of Users by the Secrets that hold their passwords.
func NewSecretIndex() *Index[types.NamespacedName] {
	return &Index[types.NamespacedName]{keys: secretKeys, users: map[types.NamespacedName][]types.NamespacedName{}}
}

// NewLoginIndex returns an Index of Users by their login, including logins that default to the name
// of the object.
func NewLoginIndex() *Index[string] {
	keys := func(u *authv1alpha1.User) []string { return []string{u.EffectiveLogin()} }
	return &Index[string]{keys: keys, users: map[string][]types.NamespacedName{}}
}

// NewIdentityIndex returns an Index of Users by the issuers and subjects of their identities.
func NewIdentityIndex() *Index[string] {
	return &Index[string]{keys: projection.IdentityNames, users: map[string][]types.NamespacedName{}}
}

// Lookup returns the names of the Users with a key, in no particular order.
func (x *Index[K]) Lookup(key K) []types.NamespacedName {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.users[key])
}

// replace replaces the previous version of a User with the next one. Either may be nil.
func (x *Index[K]) replace(before, next client.Object) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old, _ := before.(*authv1alpha1.User)
	u, _ := next.(*authv1alpha1.User)
	var oldKeys, newKeys []K
	if old != nil {
		oldKeys = x.keys(old)
	}
	if u != nil {
		newKeys = x.keys(u)
	}
	for _, key := range oldKeys {
		if !slices.Contains(newKeys, key) {
			x.removeUser(key, client.ObjectKeyFromObject(old))
		}
	}
	for _, key := range newKeys {
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

// IndexedHandler is an event handler for Users that updates an index before it passes an event on.
// A reconciler that the event enqueues reads the cache after that. So it reads in time a Secret
// that changes before the index knows its user, and the index finds the user of a Secret that
// changes afterwards.
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

// Rivals returns a handler of Users that keeps indexes of logins and of identities up to date. It
// enqueues the User of an event and every other User that claims the same login or identity, before
// or after the change.
func Rivals(logins, identities *Index[string]) handler.EventHandler {
	rivals := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		out := []types.NamespacedName{client.ObjectKeyFromObject(o)}
		if u, ok := o.(*authv1alpha1.User); ok {
			out = append(out, RivalsOf(logins, identities, u)...)
		}
		return requestsForKeys(out)
	})
	// The list at start contains every User, so their rivals need not be enqueued with them. No one
	// waits for these statuses, so the pauses are long enough for the garbage collector to count
	// the process as idle.
	pause := func() time.Duration { return WriteJitter + rand.N(WriteJitter) } //nolint:gosec // spreads work; not for security
	paced := &PacedHandler{EventHandler: rivals, Pause: pause, Done: debug.FreeOSMemory}
	return IndexedHandler[string]{Index: identities, EventHandler: IndexedHandler[string]{Index: logins, EventHandler: paced}}
}

// RivalsOf returns the Users who claim the login of u or one of its identities, maybe u itself.
func RivalsOf(logins, identities *Index[string], u *authv1alpha1.User) []types.NamespacedName {
	out := logins.Lookup(u.EffectiveLogin())
	for _, name := range projection.IdentityNames(u) {
		out = append(out, identities.Lookup(name)...)
	}
	return out
}

// Users returns the names of all Users with a key, each once for each of its keys.
func (x *Index[K]) Users() []types.NamespacedName {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []types.NamespacedName
	for _, users := range x.users {
		out = append(out, users...)
	}
	return out
}

func requestsForKeys(keys []types.NamespacedName) []reconcile.Request {
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
