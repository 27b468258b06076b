package controllers

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/tenancy"
)

// tenants is what the Users of each namespace may be, as the Tenants say it at the moment. It is safe
// for concurrent use.
type tenants struct {
	settings tenancy.Settings
	config   atomic.Pointer[tenancy.Config]
	newest   atomic.Uint64 // the largest resourceVersion of a Tenant
	known    atomic.Bool   // the Tenants have been read

	mu        sync.Mutex
	written   map[string]generation // by name, of what is in config
	listeners []func(namespaces []string)
}

// generation is what the spec of an object is as its administrator wrote it.
type generation struct {
	uid    types.UID
	number int64
}

// newTenants returns the policies before any Tenant is known.
func newTenants(s tenancy.Settings) *tenants {
	t := &tenants{settings: s}
	t.config.Store(tenancy.New(s, nil))
	return t
}

// set puts Tenants in force, and tells the listeners which namespaces have another policy. It reports whether
// any Tenant has changed apart from its status. A status needs no look at all the others, and at start each of
// 1,000 Tenants gets one.
func (t *tenants) set(all []*authv1alpha1.Tenant) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	newest, written := uint64(0), make(map[string]generation, len(all))
	for _, tenant := range all {
		newest = max(newest, delivery.VersionOf(tenant.ResourceVersion))
		written[tenant.Name] = generation{tenant.UID, tenant.Generation}
	}
	if t.known.Load() && maps.Equal(t.written, written) {
		t.newest.Store(newest)
		return false
	}
	values := make([]authv1alpha1.Tenant, len(all))
	for i, tenant := range all {
		values[i] = *tenant
	}
	before, after := t.config.Load(), tenancy.New(t.settings, values)
	t.newest.Store(newest)
	t.written = written
	t.config.Store(after)
	t.known.Store(true)
	if changed := tenancy.Changed(before, after); len(changed) > 0 {
		for _, tell := range t.listeners {
			tell(changed)
		}
	}
	return true
}

// of returns the Tenants whose users may be in some namespaces, sorted, and an empty text if users of no
// Tenant may.
func (t *tenants) of(namespaces []string) []string {
	config := t.config.Load()
	var names []string
	for _, ns := range namespaces {
		if slices.Contains(t.settings.Namespaces, ns) {
			names = append(names, "")
		}
		names = append(names, config.Namers(ns)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// version returns the version of the Tenants that a replica must know to have the Users of a namespace
// as this one has, or 0 if the namespace is one of those of no Tenant. It is that of the newest Tenant,
// because each can be in conflict with any other.
func (t *tenants) version(namespace string) uint64 {
	if slices.Contains(t.settings.Namespaces, namespace) {
		return 0
	}
	return t.newest.Load()
}

// onChange makes a function be called with the namespaces whose policies have changed.
func (t *tenants) onChange(f func(namespaces []string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listeners = append(t.listeners, f)
}

// apply completes the projection of a User with what the policy of its namespace says.
func (t *tenants) apply(u *authv1alpha1.User, p projection.Projection) projection.Projection {
	policy := t.config.Load().Policy(u.Namespace)
	p.NotPermitted = policy.Check(u)
	p.User.NotPermitted = p.NotPermitted != ""
	p.User.MaximumLifetime = policy.LimitLifetime(p.User.MaximumLifetime)
	if policy != nil {
		p.User.Tenant, p.User.Rank = projection.Intern(policy.Tenant), policy.Rank
	}
	return p
}

// source returns a source that enqueues what enqueued returns for each namespace whose policy changes.
func (t *tenants) source(enqueued func(namespace string) []types.NamespacedName) source.Source {
	return source.Func(func(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		t.onChange(func(namespaces []string) {
			for _, ns := range namespaces {
				for _, key := range enqueued(ns) {
					if ctx.Err() == nil {
						q.Add(reconcile.Request{NamespacedName: key})
					}
				}
			}
		})
		return nil
	})
}

// mayHave returns a function that reports whether a User of one of some namespaces could have a login.
func (t *tenants) mayHave(namespaces []string) func(login string) bool {
	return func(login string) bool {
		config := t.config.Load()
		return slices.ContainsFunc(namespaces, func(ns string) bool {
			policy := config.Policy(ns)
			return policy != nil && policy.MayHave(login)
		})
	}
}
