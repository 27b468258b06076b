package informer

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

// Tenant is the kind of Tenants, which are in the namespace of the service.
const Tenant = "Tenant"

// Tenants is a cache of the Tenants in the namespace of the service. Unlike a cache of the manager, it
// holds up nothing while Tenants cannot be read, for example because their definition is missing.
// Readers share its objects and must not change them. It is safe for concurrent use.
type Tenants struct{ follower *follower }

// NewTenants returns a cache that the manager fills when it starts.
func NewTenants(mgr ctrl.Manager, namespace string, progress *delivery.Progress) (*Tenants, error) {
	k := &kind{
		name: Tenant, observed: func(p *delivery.Progress) *delivery.Observed { return p.Tenants },
		resource: "tenants", decode: decodeTenant,
	}
	config, connection, err := connectionOf(mgr)
	if err != nil {
		return nil, err
	}
	if err := k.connect(mgr, config, connection); err != nil {
		return nil, err
	}
	t := &Tenants{newFollower(k, namespace, true, progress)}
	return t, mgr.Add(t)
}

// connectionOf returns a connection of a manager for caches, without a limit of its own: a limit would
// make one namespace wait for another.
func connectionOf(mgr ctrl.Manager) (*rest.Config, *http.Client, error) {
	config := rest.CopyConfig(mgr.GetConfig())
	config.QPS, config.RateLimiter = -1, nil
	config.Wrap(attention)
	connection, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("make a connection for the caches: %w", err)
	}
	return config, connection, nil
}

// NeedLeaderElection returns false, because every replica has its own cache.
func (*Tenants) NeedLeaderElection() bool { return false }

// Start follows the Tenants until the context ends.
func (t *Tenants) Start(ctx context.Context) error {
	t.follower.run(log.IntoContext(ctx, log.FromContext(ctx).WithName("tenants")))
	return nil
}

// HasSynced reports whether the Tenants that were there at first are in the cache.
func (t *Tenants) HasSynced() bool { return t.follower.synced() }

// Namespace returns the namespace of the Tenants.
func (t *Tenants) Namespace() string { return t.follower.namespace }

// State returns how the Tenants are followed.
func (t *Tenants) State() State { return t.follower.snapshot() }

// List returns all Tenants.
func (t *Tenants) List() []*authv1alpha1.Tenant {
	var out []*authv1alpha1.Tenant
	for _, object := range t.follower.all() {
		if tenant, ok := object.(*authv1alpha1.Tenant); ok {
			out = append(out, tenant)
		}
	}
	return out
}

// Get returns the Tenant with a name, or nil if it does not exist.
func (t *Tenants) Get(name string) *authv1alpha1.Tenant {
	tenant, _ := t.follower.get(name).(*authv1alpha1.Tenant)
	return tenant
}

// Source returns a source of the events of Tenants.
func (t *Tenants) Source(h handler.EventHandler) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		t.follower.attach(subscription{Tenant, ctx, queue, h})
		return nil
	})
}
