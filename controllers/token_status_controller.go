package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/replica"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
)

// TokenStatusReconciler writes the condition Enforced of revoked Tokens. Every replica runs it, and one
// of them writes, as UserStatusReconciler does.
type TokenStatusReconciler struct {
	namespaces  *informer.Namespaces
	client      client.Client // writes
	turns       *replica.Turns
	enforcement *enforcement // nil: no one asks for the condition
	now         func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=list;watch,namespace=gatehouse-users
// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens/status,verbs=patch,namespace=gatehouse-users

// SetupWithManager makes the manager call Reconcile for every change of a Token, and when the
// replicas have one in force.
func (r *TokenStatusReconciler) SetupWithManager(mgr ctrl.Manager) error {
	if r.enforcement == nil {
		return nil
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("token-status").
		WatchesRawSource(r.namespaces.Source(informer.Token, &handler.EnqueueRequestForObject{})).
		WatchesRawSource(r.enforcement.source()).
		WithOptions(informer.Jittered()).
		Complete(r)
}

// Reconcile writes the condition of one Token if it differs from the one that it should have.
func (r *TokenStatusReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	t := r.namespaces.Token(req.NamespacedName)
	if t == nil || !r.concerns(t) {
		r.turns.Done(req.NamespacedName)
		r.enforcement.forget(req.NamespacedName, false)
		return ctrl.Result{}, nil
	}
	before := meta.FindStatusCondition(t.Status.Conditions, authv1alpha1.ConditionEnforced)
	versions := delivery.Versions{Tokens: delivery.VersionOf(t.ResourceVersion)}
	next, again := r.enforcement.judge(t, versions, before)
	if next.Status == "" || projection.SaysTheSame(before, next, t.Generation) {
		r.turns.Done(req.NamespacedName)
		return ctrl.Result{RequeueAfter: again}, nil
	}
	if wait := r.turns.Wait(req.NamespacedName, t.UID, versions); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	if err := r.write(ctx, t, next); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// concerns reports whether a Token gets the condition: a revoked one that has not ended.
func (r *TokenStatusReconciler) concerns(t *authv1alpha1.Token) bool {
	return t.Spec.Revoked && stored.Fault(t) == "" && r.now().Before(t.Spec.ExpiresAt.Time)
}

// write patches the condition.
func (r *TokenStatusReconciler) write(ctx context.Context, t *authv1alpha1.Token, next metav1.Condition) error {
	changed := t.DeepCopy()
	projection.PutCondition(&changed.Status.Conditions, next, t.Generation, r.now())
	_, err := patchStatus(ctx, r.client, t, changed)
	return err
}
