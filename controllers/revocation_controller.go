package controllers

import (
	"context"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// revisedBuffer is how many Users may wait for the status controller to start.
const revisedBuffer = 1024

// RevocationReconciler keeps the directory's revocations up to date with the Revocations, on every
// replica. It never writes to the API server, so that a revocation does not wait for anything. It
// reads objects without a schema, so that one that cannot be read completely still counts.
type RevocationReconciler struct {
	namespaces  *informer.Namespaces
	directory   *directory.Directory
	observed    *delivery.Observed
	enforcement *enforcement              // of Users
	revised     chan<- event.GenericEvent // tells UserStatusReconciler which User to look at
	now         func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=revocations,verbs=list;watch,namespace=gatehouse-users

// SetupWithManager makes the manager call Reconcile for every change of a Revocation.
func (r *RevocationReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("revocation").
		WatchesRawSource(r.namespaces.Source(informer.Revocation, &handler.EnqueueRequestForObject{})).
		WithOptions(informer.AllReplicas()).
		Complete(r)
}

// Reconcile makes one revocation as new as the cache.
func (r *RevocationReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	defer func() { r.directory.Touch(r.now()) }()
	o := r.namespaces.Revocation(req.NamespacedName)
	if o == nil {
		userKey := r.directory.DeleteRevocation(req.String(), r.now())
		r.observed.Forget(req.NamespacedName)
		r.enforceUser(userKey, r.observed.Sent(req.Namespace)) // that of the deletion, or a newer one
		r.enqueueUser(ctx, userKey)
		return ctrl.Result{}, nil
	}
	revocation := revocationOf(o)
	// First, so that no status shows the revocation and calls the version before it enforced.
	r.enforceUser(revocation.UserKey, delivery.VersionOf(o.GetResourceVersion()))
	r.directory.PutRevocation(revocation, r.now())
	r.observed.Record(req.NamespacedName, o.GetResourceVersion())
	r.enqueueUser(ctx, revocation.UserKey)
	return ctrl.Result{}, nil
}

// enforceUser makes a User wait until every replica has a version of a Revocation. The Revocations
// that exist at start were in force before, or their Users say that they were not.
func (r *RevocationReconciler) enforceUser(userKey string, version uint64) {
	if r.directory.HasSynced() {
		r.enforcement.revoked(userKey, version)
	}
}

// enqueueUser makes the status controller look at a User.
func (r *RevocationReconciler) enqueueUser(ctx context.Context, userKey string) {
	namespace, name, ok := strings.Cut(userKey, "/")
	if !ok {
		return
	}
	u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	select {
	case r.revised <- event.GenericEvent{Object: u}:
	case <-ctx.Done():
	}
}

// revocationOf returns what a Revocation says. One whose end cannot be read has no end.
func revocationOf(o *unstructured.Unstructured) directory.Revocation {
	name, _, _ := unstructured.NestedString(o.Object, "spec", "userRef", "name")
	text, _, _ := unstructured.NestedString(o.Object, "spec", "expiresAt")
	until, err := time.Parse(time.RFC3339, text)
	if err != nil {
		until = time.Time{}
	}
	return directory.Revocation{
		Key: o.GetNamespace() + "/" + o.GetName(), UserKey: o.GetNamespace() + "/" + name, Until: until,
	}
}
