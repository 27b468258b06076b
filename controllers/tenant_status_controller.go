package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/replica"
)

// tenantInterval is how often the namespaces of a Tenant are looked at that are not all watched.
const tenantInterval = 2 * time.Second

// TenantStatusReconciler writes the status of Tenants. Every replica runs it, and one of them writes
// each status, as with Users.
type TenantStatusReconciler struct {
	cache      *informer.Tenants
	client     client.Client
	tenants    *tenants
	namespaces *informer.Namespaces
	unreadable func() []string // namespaces whose users are refused
	changed    chan event.GenericEvent
	turns      *replica.Turns
	recorder   events.EventRecorder
	now        func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tenants,verbs=list;watch,namespace=gatehouse-system
// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tenants/status,verbs=patch,namespace=gatehouse-system

// SetupWithManager makes the manager call Reconcile for every Tenant that changes, whose policy does,
// or one of whose namespaces becomes readable or unreadable.
func (r *TenantStatusReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.tenants.onChange(func([]string) { r.enqueueAll() })
	return ctrl.NewControllerManagedBy(mgr).
		Named("tenant-status").
		WatchesRawSource(r.cache.Source(&handler.EnqueueRequestForObject{})).
		WatchesRawSource(source.Channel(r.changed, &handler.EnqueueRequestForObject{})).
		WithOptions(informer.Jittered()).
		Complete(r)
}

// enqueueAll makes the controller look at all Tenants, because what one says can concern every other.
func (r *TenantStatusReconciler) enqueueAll() {
	go func() { // not to hold up those who change the policies
		for _, t := range r.cache.List() {
			r.changed <- event.GenericEvent{Object: t}
		}
	}()
}

// enqueue makes the controller look at the Tenants that name a namespace.
func (r *TenantStatusReconciler) enqueue(namespace string) {
	for _, name := range r.tenants.config.Load().Namers(namespace) {
		if t := r.cache.Get(name); t != nil {
			go func() { r.changed <- event.GenericEvent{Object: t} }()
		}
	}
}

// Reconcile writes the status of a Tenant if it differs from the desired one.
func (r *TenantStatusReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	t := r.cache.Get(req.Name)
	if t == nil || t.DeletionTimestamp != nil || !r.tenants.known.Load() {
		r.turns.Done(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	next, settled := r.desired(t)
	result := ctrl.Result{}
	if !settled {
		result.RequeueAfter = tenantInterval
	}
	if equality.Semantic.DeepEqual(t.Status, next) {
		r.turns.Done(req.NamespacedName)
		return result, nil
	}
	if wait := r.turns.Wait(req.NamespacedName, t.UID, delivery.Versions{Tenants: delivery.VersionOf(t.ResourceVersion)}); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	return result, r.write(ctx, t, next)
}

// desired returns the status that a Tenant should have, and whether it stays so until an event.
func (r *TenantStatusReconciler) desired(t *authv1alpha1.Tenant) (next authv1alpha1.TenantStatus, settled bool) {
	next = *t.Status.DeepCopy()
	next.ObservedGeneration = t.Generation
	watching := r.watching(t)
	ready := watching
	ready.Type = authv1alpha1.ConditionReady
	stalled := metav1.Condition{Type: authv1alpha1.ConditionStalled}
	if problems := r.tenants.config.Load().Problems(t.Name); len(problems) > 0 {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, authv1alpha1.ReasonConflict, strings.Join(problems, "; ")
		stalled.Status, stalled.Reason, stalled.Message = metav1.ConditionTrue, ready.Reason, ready.Message
	}
	for _, c := range []metav1.Condition{ready, watching, stalled} {
		r.setCondition(&next, t, c)
	}
	return next, watching.Status == metav1.ConditionTrue
}

// setCondition is that of a User, except that at one generation a message may name other Tenants.
func (r *TenantStatusReconciler) setCondition(status *authv1alpha1.TenantStatus, t *authv1alpha1.Tenant, c metav1.Condition) {
	c.Message = truncated(c.Message)
	old := meta.FindStatusCondition(status.Conditions, c.Type)
	if projection.SaysTheSame(old, c, t.Generation) && (c.Reason == authv1alpha1.ReasonNotReadable || old.Message == c.Message) {
		return
	}
	projection.PutCondition(&status.Conditions, c, t.Generation, r.now())
}

// watching returns the Watching condition. While a namespace is being read it says so only until the
// first time: a replica that has just started must not take back what the others have seen.
func (r *TenantStatusReconciler) watching(t *authv1alpha1.Tenant) metav1.Condition {
	c := metav1.Condition{Type: authv1alpha1.ConditionWatching, Status: metav1.ConditionTrue, Reason: authv1alpha1.ReasonWatching,
		Message: "every namespace is watched"}
	unreadable := r.unreadable()
	var refused, loading []string
	for _, ns := range t.Spec.Namespaces {
		if _, cut := slices.BinarySearch(unreadable, ns); !cut {
			continue
		}
		if _, refusal := r.namespaces.Refused(ns); refusal != nil {
			refused = append(refused, fmt.Sprintf("namespace %q: %v", ns, refusal))
		} else {
			loading = append(loading, ns)
		}
	}
	switch before := meta.FindStatusCondition(t.Status.Conditions, authv1alpha1.ConditionWatching); {
	case len(refused) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, authv1alpha1.ReasonNotReadable
		c.Message = "the service may not read its objects there, so it refuses the users there with 503; give it the Role and the " +
			"RoleBinding of docs/rights.md. " + strings.Join(refused, "; ")
	case len(loading) > 0 && before != nil && before.Reason != authv1alpha1.ReasonNotReadable && before.ObservedGeneration == t.Generation:
		return *before
	case len(loading) > 0:
		c.Status, c.Reason = metav1.ConditionUnknown, authv1alpha1.ReasonLoading
		c.Message = "reading the objects of " + strings.Join(loading, ", ")
	}
	return c
}

func (r *TenantStatusReconciler) write(ctx context.Context, t *authv1alpha1.Tenant, next authv1alpha1.TenantStatus) error {
	changed := t.DeepCopy()
	changed.Status = next
	if written, err := patchStatus(ctx, r.client, t, changed); !written {
		return err
	}
	before, after := meta.FindStatusCondition(t.Status.Conditions, authv1alpha1.ConditionReady), meta.FindStatusCondition(next.Conditions, authv1alpha1.ConditionReady)
	if after.Status == metav1.ConditionFalse && (before == nil || before.Reason != after.Reason) {
		r.recorder.Eventf(t, nil, corev1.EventTypeWarning, after.Reason, "UpdateStatus", "%s", after.Message)
	}
	return nil
}

// truncated returns a message that a condition and an event can have.
func truncated(message string) string {
	const most = 1000
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "..."
}
