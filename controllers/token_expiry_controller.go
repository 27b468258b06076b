package controllers

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
)

// removalDelay is how long a record outlives its token: longer than clocks differ, so that no replica misses the revocation
// of a token that it still takes for alive.
const removalDelay = time.Minute

// TokenExpiryReconciler removes Tokens that have ended. It has a queue of its own, so that revocations never wait behind
// removals, and runs on every replica: the first one removes, and for the others the Token is gone.
type TokenExpiryReconciler struct {
	client client.Client
	now    func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=list;watch;delete,namespace=gatehouse-users

// SetupWithManager lets the manager call Reconcile for every Token.
func (r *TokenExpiryReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("token-expiry").
		For(&authv1alpha1.Token{}).
		WithOptions(informer.Jittered()).
		Complete(r)
}

// Reconcile removes a Token that has ended, or comes back when it will have.
func (r *TokenExpiryReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	t := &authv1alpha1.Token{}
	if err := r.client.Get(ctx, req.NamespacedName, t); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if t.Unreadable != "" {
		return ctrl.Result{}, nil // it may keep a token void that has not ended
	}
	if left := t.Spec.ExpiresAt.Add(removalDelay).Sub(r.now()); left > 0 {
		return ctrl.Result{RequeueAfter: min(left, 24*time.Hour)}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.client.Delete(ctx, t, client.Preconditions{UID: &t.UID}))
}
