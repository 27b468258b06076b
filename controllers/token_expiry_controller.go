package controllers

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/gatehouse-auth/gatehouse/controllers/informer"
)

// removalDelay is the time for which a record outlives its token. It exceeds the clock skew between
// replicas, so that no replica loses the revocation of a token that it still considers live.
const removalDelay = time.Minute

// TokenExpiryReconciler deletes expired Tokens. It has its own queue, so that revocations never
// wait behind deletions, and runs on every replica: the first one deletes a Token, and the others
// no longer find it.
type TokenExpiryReconciler struct {
	namespaces *informer.Namespaces
	client     client.Client // writes
	now        func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=list;watch;delete,namespace=gatehouse-users

// SetupWithManager makes the manager call Reconcile for every change of a Token.
func (r *TokenExpiryReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("token-expiry").
		WatchesRawSource(r.namespaces.Source(informer.Token, &handler.EnqueueRequestForObject{})).
		WithOptions(informer.Jittered()).
		Complete(r)
}

// Reconcile deletes an expired Token, or requeues it for the time when it can be deleted.
func (r *TokenExpiryReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	t := r.namespaces.Token(req.NamespacedName)
	if t == nil || t.Unreadable != "" {
		return ctrl.Result{}, nil // it may keep a token void that has not expired
	}
	if left := t.Spec.ExpiresAt.Add(removalDelay).Sub(r.now()); left > 0 {
		return ctrl.Result{RequeueAfter: min(left, 24*time.Hour)}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.client.Delete(ctx, t, client.Preconditions{UID: &t.UID}))
}
