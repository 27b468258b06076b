package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// UserReconciler keeps the directory's entry of a User up to date with the User and its Secrets, on
// every replica. It never writes to the API server, so that only the cache can delay it.
type UserReconciler struct {
	namespaces *informer.Namespaces
	tenants    *tenants
	secrets    *informer.Index[types.NamespacedName] // updated here, also read by UserStatusReconciler
	directory  *directory.Directory
	projector  *projection.Projector
	progress   *delivery.Progress
	lockouts   *liftedLockouts
	now        func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users,verbs=list;watch,namespace=gatehouse-users
// +kubebuilder:rbac:groups="",resources=secrets,verbs=list;watch,namespace=gatehouse-users

// SetupWithManager makes the manager call Reconcile for every change of a User, of a Secret that it
// references and of what its namespace permits. The queue serves changes before the Users that are
// listed at start.
func (r *UserReconciler) SetupWithManager(mgr ctrl.Manager) error {
	users := informer.IndexedHandler[types.NamespacedName]{Index: r.secrets, EventHandler: &informer.PacedHandler{
		EventHandler: &handler.EnqueueRequestForObject{}, Pause: informer.NoPause, Done: func() {},
	}}
	return ctrl.NewControllerManagedBy(mgr).
		Named("user").
		WatchesRawSource(r.namespaces.UserSource(users, informer.RecordedUsersOfSecret(r.secrets, r.progress))).
		WatchesRawSource(r.tenants.source(r.namespaces.UsersIn)).
		WithOptions(informer.AllReplicas()).
		Complete(r)
}

// Reconcile makes the entry of one User as new as the cache. It never returns an error. A user that is
// being deleted is removed at once, without waiting for its finalizers.
func (r *UserReconciler) Reconcile(_ context.Context, req ctrl.Request) (ctrl.Result, error) {
	defer func() { r.directory.Touch(r.now()) }()
	done := r.progress.ReadUser(req.NamespacedName)
	u := r.namespaces.User(req.NamespacedName)
	if u == nil {
		r.removeUser(req.String())
		done()
		r.progress.Users.Forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if u.DeletionTimestamp != nil {
		r.removeUser(req.String())
	} else {
		r.putUser(u)
	}
	done()
	r.progress.Users.Record(req.NamespacedName, u.ResourceVersion)
	return ctrl.Result{}, nil
}

// removeUser deletes a user from the directory, and forgets its lifted lockout.
func (r *UserReconciler) removeUser(key string) {
	if u, ok := r.directory.ByKey(key); ok {
		r.lockouts.forget(types.UID(u.UID))
	}
	r.directory.Delete(key)
}

func (r *UserReconciler) putUser(u *authv1alpha1.User) {
	next := r.tenants.apply(u, r.projector.Project(u, secretsOf(r.namespaces, u))).User
	next.AsOf = r.now()
	before, _ := r.directory.ByKey(next.Key)
	r.lockouts.lift(u, before, next)
	r.directory.Put(next)
}

// secretsOf returns the Secrets that a User may reference: those of its namespace in the cache.
func secretsOf(namespaces *informer.Namespaces, u *authv1alpha1.User) projection.Secrets {
	return func(name string) *corev1.Secret {
		return namespaces.Secret(types.NamespacedName{Namespace: u.Namespace, Name: name})
	}
}
