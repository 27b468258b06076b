package controllers

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// UserReconciler keeps the directory's entry of a User up to date with the User and its Secrets, on
// every replica. It never writes to the API server, so that only the cache can delay it.
type UserReconciler struct {
	users     *informer.Users
	reader    client.Reader                         // of Secrets
	secrets   *informer.Index[types.NamespacedName] // updated here, also read by UserStatusReconciler
	directory *directory.Directory
	projector *projection.Projector
	progress  *informer.Progress
	lockouts  *liftedLockouts
	now       func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users,verbs=list;watch,namespace=gatehouse-users
// +kubebuilder:rbac:groups="",resources=secrets,verbs=list;watch,namespace=gatehouse-users

// SetupWithManager makes the manager call Reconcile for every change of a User and of a Secret that
// it references. The queue serves changes before the Users that are listed at start.
func (r *UserReconciler) SetupWithManager(mgr ctrl.Manager) error {
	b := ctrl.NewControllerManagedBy(mgr).
		Named("user").
		Watches(&corev1.Secret{}, r.progress.UsersOfSecret(r.secrets)).
		WithOptions(informer.AllReplicas())
	for _, source := range r.users.Sources(informer.IndexedHandler[types.NamespacedName]{Index: r.secrets, EventHandler: &informer.PacedHandler{
		EventHandler: &handler.EnqueueRequestForObject{}, Pause: informer.NoPause, Done: func() {},
	}}) {
		b = b.WatchesRawSource(source)
	}
	return b.Complete(r)
}

// Reconcile makes the entry of one User as new as the cache. It returns an error only if the cache
// cannot be read. A user that is being deleted is removed at once, without waiting for its
// finalizers.
func (r *UserReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	defer func() { r.directory.Touch(r.now()) }()
	done := r.progress.ReadUser(req.NamespacedName)
	u := r.users.Get(req.NamespacedName)
	if u == nil {
		r.removeUser(req.String())
		done()
		r.progress.Users.Forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	if u.DeletionTimestamp != nil {
		r.removeUser(req.String())
	} else if err := r.putUser(ctx, u); err != nil {
		return ctrl.Result{}, err
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

func (r *UserReconciler) putUser(ctx context.Context, u *authv1alpha1.User) error {
	secrets, err := secretsOf(ctx, r.reader, u)
	if err != nil {
		return err
	}
	next := r.projector.Project(u, secrets).User
	next.AsOf = r.now()
	before, _ := r.directory.ByKey(next.Key)
	r.lockouts.lift(u, before, next)
	r.directory.Put(next)
	return nil
}
