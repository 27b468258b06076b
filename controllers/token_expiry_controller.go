package controllers

import (
	"context"
	"slices"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/record"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

const (
	// removalDelay is the time for which a record outlives its token. It exceeds the clock skew
	// between replicas, so that no replica loses the revocation of a token that it still considers
	// live.
	removalDelay = time.Minute
	// releaseCheck is how often a Token that is held is looked at again. It is also how long after
	// the deletion its User must be unknown: one that has just been created may be.
	releaseCheck = 2 * time.Second
)

// TokenExpiryReconciler deletes expired Tokens, and lets Tokens go that were deleted and that nothing
// needs. It has its own queue, so that revocations never wait behind deletions, and runs on every
// replica: the first one deletes a Token, and the others no longer find it.
type TokenExpiryReconciler struct {
	namespaces *informer.Namespaces
	client     client.Client // writes
	directory  *directory.Directory
	unreadable func() []string // namespaces of which the directory may lack Users
	now        func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=list;watch;patch;delete,namespace=gatehouse-users

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
	if t == nil {
		return ctrl.Result{}, nil
	}
	if t.DeletionTimestamp != nil {
		return r.release(ctx, t)
	}
	if stored.Fault(t) != "" {
		return ctrl.Result{}, nil // it may keep a token void that has not expired
	}
	if left := r.left(t); left > 0 {
		return ctrl.Result{RequeueAfter: min(left, 24*time.Hour)}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.client.Delete(ctx, t, client.Preconditions{UID: &t.UID}))
}

// left returns for how long a record is still needed.
func (r *TokenExpiryReconciler) left(t *authv1alpha1.Token) time.Duration {
	return t.Spec.ExpiresAt.Add(removalDelay).Sub(r.now())
}

// release lets a Token go that someone has deleted, once nothing needs it: its token has ended, or
// its User is gone. One that cannot be read completely goes at once, because deleting it is what its
// status of being unreadable asks for.
func (r *TokenExpiryReconciler) release(ctx context.Context, t *authv1alpha1.Token) (ctrl.Result, error) {
	if !record.Held(t) {
		return ctrl.Result{}, nil
	}
	if stored.Fault(t) == "" && r.left(t) > 0 && !r.userGone(t) {
		return ctrl.Result{RequeueAfter: min(releaseCheck, r.left(t))}, nil
	}
	return ctrl.Result{}, record.Release(ctx, r.client, t)
}

// userGone reports whether the User of a Token does not exist. Then its tokens are void without a
// record.
func (r *TokenExpiryReconciler) userGone(t *authv1alpha1.Token) bool {
	if !r.directory.HasSynced() {
		return false
	}
	unreadable := r.unreadable()
	if record.OfUnknownUser(t) && len(unreadable) > 0 { // its User may be in any of them
		return false
	}
	if slices.Contains(unreadable, t.Namespace) || r.now().Sub(t.DeletionTimestamp.Time) < releaseCheck {
		return false
	}
	_, found := r.directory.ByUID(t.Spec.UserRef.UID)
	return !found
}
