package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
)

// TenantReconciler puts the Tenants in force, on every replica: what their Users may be, and which
// namespaces are followed. It never writes to the API server.
type TenantReconciler struct {
	cache      *informer.Tenants
	tenants    *tenants
	namespaces *informer.Namespaces
	progress   *delivery.Progress
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tenants,verbs=list;watch,namespace=gatehouse-system

// SetupWithManager makes the manager call Reconcile at start and when any Tenant changes. It looks at
// all Tenants together, because each bounds what the others may be.
func (r *TenantReconciler) SetupWithManager(mgr ctrl.Manager) error {
	all := types.NamespacedName{Name: "all"}
	options := informer.AllReplicas()
	options.MaxConcurrentReconciles = 1
	return ctrl.NewControllerManagedBy(mgr).
		Named("tenant").
		WatchesRawSource(r.cache.Source(handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: all}}
		}))).
		WatchesRawSource(informer.AtStart(all)).
		WithOptions(options).
		Complete(r)
}

// Reconcile puts all Tenants in force. The policies come first, so that no User of a new namespace is
// looked at without one.
func (r *TenantReconciler) Reconcile(context.Context, ctrl.Request) (ctrl.Result, error) {
	if !r.cache.HasSynced() {
		return ctrl.Result{RequeueAfter: compareInterval}, nil
	}
	all := r.cache.List()
	if r.tenants.set(all) {
		r.namespaces.Set(r.tenants.config.Load().Namespaces())
	}
	r.progress.PutTenants(all) // what is in force in a namespace that is not followed is not known before
	return ctrl.Result{}, nil
}
