package controllers

import (
	"cmp"
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// UserStatusReconciler says in a User's status how it stands. Every replica runs it and computes the same; each waits for a
// random moment and then writes only what still differs, with an optimistic lock, so the first one writes and the others
// find nothing to do. It has its own queue: no revocation ever waits behind it. It writes only what the directory of its own
// replica already holds, so that nobody reads Ready of a password that is not in force anywhere.
type UserStatusReconciler struct {
	users     *informer.Users
	client    client.Client                         // reads Secrets and writes
	secrets   *informer.Index[types.NamespacedName] // kept by UserReconciler
	logins    *informer.Index[string]
	directory *directory.Directory
	projector *projection.Projector
	locks     *liftedLockouts
	recorder  events.EventRecorder
	now       func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users,verbs=list;watch,namespace=gatehouse-users
// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users/status,verbs=patch,namespace=gatehouse-users
// +kubebuilder:rbac:groups="",resources=secrets,verbs=list;watch,namespace=gatehouse-users
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch,namespace=gatehouse-users

// SetupWithManager lets the manager call Reconcile for every change of a User, of another User with its login, and of a
// Secret that it names.
func (r *UserStatusReconciler) SetupWithManager(mgr ctrl.Manager) error {
	b := ctrl.NewControllerManagedBy(mgr).
		Named("user-status").
		Watches(&corev1.Secret{}, informer.UsersOfSecret(r.secrets), builder.WithPredicates(secretDataChanged())).
		WithOptions(informer.Jittered())
	for _, source := range r.users.Sources(informer.UsersOfLogin(r.logins)) {
		b = b.WatchesRawSource(source)
	}
	return b.Complete(r)
}

// Reconcile writes a User's status if it differs from what it should be, and comes back when the next of the user's times
// has come. At start it leaves the machine to whoever fills the directory.
func (r *UserStatusReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if err := r.directory.AwaitSync(ctx); err != nil {
		return ctrl.Result{}, err
	}
	u := r.users.Get(req.NamespacedName)
	if u == nil || u.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	s, err := r.standing(ctx, u)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !r.inForce(s.Projection.User) {
		return ctrl.Result{RequeueAfter: lookEvery}, nil
	}
	if err := r.write(ctx, u, s.Next()); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: s.RequeueAfter()}, nil
}

func (r *UserStatusReconciler) standing(ctx context.Context, u *authv1alpha1.User) (projection.Status, error) {
	secrets, err := secretsOf(ctx, r.client, u)
	if err != nil {
		return projection.Status{}, err
	}
	s := projection.Status{User: u, Projection: r.projector.Project(u, secrets), Holder: r.holder(u), Now: r.now()}
	s.Lifted = r.locks.isLifted(u.UID, s.Projection.User.LockedUntil)
	return s, nil
}

// inForce says whether the directory holds this very version of the spec and of the passwords.
func (r *UserStatusReconciler) inForce(u *directory.User) bool {
	held, ok := r.directory.ByKey(u.Key)
	return ok && held.UID == u.UID && held.Credentials.Revision == u.Credentials.Revision
}

// holder returns the namespace/name of another User that holds the login of u, or nothing. The directory decides by the same
// rule: the oldest by creation, then by UID.
func (r *UserStatusReconciler) holder(u *authv1alpha1.User) string {
	first := u
	for _, key := range r.logins.Lookup(u.EffectiveLogin()) {
		other := r.users.Get(key)
		if other != nil && other.EffectiveLogin() == u.EffectiveLogin() && other.DeletionTimestamp == nil && seniority(other, first) < 0 {
			first = other
		}
	}
	if first.UID == u.UID {
		return ""
	}
	return first.Namespace + "/" + first.Name
}

func seniority(a, b *authv1alpha1.User) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
}

// write patches what differs. Losing to another writer is no error: the version that won is on its way into the cache and
// brings the user back here.
func (r *UserStatusReconciler) write(ctx context.Context, u *authv1alpha1.User, next authv1alpha1.UserStatus) error {
	if equality.Semantic.DeepEqual(u.Status, next) {
		return nil
	}
	changed := u.DeepCopy()
	changed.Status = next
	err := r.client.Status().Patch(ctx, changed, client.MergeFromWithOptions(u, client.MergeFromWithOptimisticLock{}))
	switch {
	case err == nil:
		r.announce(u, next)
		return nil
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil
	default:
		return fmt.Errorf("write status: %w", err)
	}
}

// announce makes an event of what has just become true and needs somebody's attention. Only the replica that wrote the
// status does it, so there is one event for each transition.
func (r *UserStatusReconciler) announce(u *authv1alpha1.User, next authv1alpha1.UserStatus) {
	for _, kind := range []string{authv1alpha1.ConditionReady, authv1alpha1.ConditionWeakHash} {
		before, after := meta.FindStatusCondition(u.Status.Conditions, kind), meta.FindStatusCondition(next.Conditions, kind)
		if after == nil || !alarming(after) || (before != nil && before.Reason == after.Reason) {
			continue
		}
		r.recorder.Eventf(u, nil, corev1.EventTypeWarning, after.Reason, "UpdateStatus", "%s", after.Message)
	}
}

func alarming(c *metav1.Condition) bool {
	switch c.Reason {
	case authv1alpha1.ReasonLocked, authv1alpha1.ReasonLoginConflict, authv1alpha1.ReasonInvalidHash,
		authv1alpha1.ReasonUnreadable, authv1alpha1.ReasonBelowRecommendation:
		return true
	default:
		return false
	}
}
