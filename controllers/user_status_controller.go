package controllers

import (
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
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/controllers/replica"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// UserStatusReconciler writes the status of Users. Every replica runs it and computes the same
// status. One of them writes it, after a random delay and with an optimistic lock; another one writes
// what still differs if that one has not for a while. It has its own queue, so that a revocation
// never waits behind it. It writes only what the directory of its own replica already
// holds, so that no one sees Ready for a password that is not in force anywhere.
type UserStatusReconciler struct {
	namespaces    *informer.Namespaces
	tenants       *tenants
	client        client.Client                         // writes
	secrets       *informer.Index[types.NamespacedName] // updated by UserReconciler
	logins        *informer.Index[string]
	identities    *informer.Index[string]
	trusts        func(issuer string) bool
	onTrustChange func(func())
	directory     *directory.Directory
	projector     *projection.Projector
	lockouts      *liftedLockouts
	turns         *replica.Turns
	enforcement   *enforcement
	recorder      events.EventRecorder
	revised       <-chan event.GenericEvent // Users whose revocations have changed
	now           func() time.Time
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users,verbs=list;watch,namespace=gatehouse-users
// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users/status,verbs=patch,namespace=gatehouse-users
// +kubebuilder:rbac:groups="",resources=secrets,verbs=list;watch,namespace=gatehouse-users
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch,namespace=gatehouse-users

// SetupWithManager makes the manager call Reconcile for every change of a User, of another User
// with the same login, of a Secret that it references and of what its namespace permits.
func (r *UserStatusReconciler) SetupWithManager(mgr ctrl.Manager) error {
	b := ctrl.NewControllerManagedBy(mgr).
		Named("user-status").
		WatchesRawSource(r.namespaces.UserSource(
			informer.Rivals(r.logins, r.identities), informer.UsersOfSecret(r.secrets, r.enforcement.secretChanged))).
		WatchesRawSource(r.tenants.source(r.concernedBy)).
		WatchesRawSource(source.Channel(r.revised, &handler.EnqueueRequestForObject{})).
		WithOptions(informer.Jittered())
	if r.enforcement != nil {
		b = b.WatchesRawSource(r.enforcement.source())
	}
	if r.onTrustChange != nil {
		b = b.WatchesRawSource(r.trustChanges())
	}
	return b.Complete(r)
}

// Reconcile writes a User's status if it differs from the desired one, and requeues the User for
// the next of its times. At start it waits until the directory is synced, to leave the CPU to the
// reconcilers that fill it.
func (r *UserStatusReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if err := r.directory.AwaitSync(ctx); err != nil {
		return ctrl.Result{}, err
	}
	u := r.namespaces.User(req.NamespacedName)
	if u == nil || u.DeletionTimestamp != nil {
		r.turns.Done(req.NamespacedName)
		r.enforcement.forget(req.NamespacedName, r.directory.HasRevocations(req.String()))
		return ctrl.Result{}, nil
	}
	secrets := secretsOf(r.namespaces, u)
	s := r.desiredStatus(u, secrets)
	if s.Current = r.inForce(s.Projection.User); s.Current == nil {
		return ctrl.Result{RequeueAfter: compareInterval}, nil
	}
	versions := r.versionsOf(u, secrets)
	var again time.Duration
	s.Enforced, again = r.enforcement.judge(u, versions, meta.FindStatusCondition(u.Status.Conditions, authv1alpha1.ConditionEnforced))
	result := ctrl.Result{RequeueAfter: soonest(s.RequeueAfter(), again)}
	next := s.Next()
	if equality.Semantic.DeepEqual(u.Status, next) {
		r.turns.Done(req.NamespacedName)
		return result, nil
	}
	if wait := r.turns.Wait(req.NamespacedName, u.UID, versions); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	if err := r.write(ctx, u, next); err != nil {
		return ctrl.Result{}, err
	}
	return result, nil
}

// soonest returns the shorter of two times that are not 0.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// versionsOf returns the versions of a User, its Secrets and its Tenant.
func (r *UserStatusReconciler) versionsOf(u *authv1alpha1.User, secrets projection.Secrets) delivery.Versions {
	out := delivery.Versions{Users: delivery.VersionOf(u.ResourceVersion), Tenants: r.tenants.version(u.Namespace)}
	for _, name := range projection.SecretNames(u) {
		if secret := secrets(name); secret != nil {
			out.Secrets = max(out.Secrets, delivery.VersionOf(secret.ResourceVersion))
		}
	}
	return out
}

// desiredStatus returns everything that the status of u is computed from.
func (r *UserStatusReconciler) desiredStatus(u *authv1alpha1.User, secrets projection.Secrets) projection.Status {
	projected := r.tenants.apply(u, r.projector.Project(u, secrets))
	s := projection.Status{User: u, Projection: projected, Holder: r.loginHolder(u), Now: r.now()}
	s.IdentityConflicts, s.Trusts = r.identityConflicts(u), r.trusts
	s.Lifted = r.lockouts.isLifted(u.UID, s.Projection.User.LockedUntil)
	return s
}

// concernedBy returns the Users whose status the policy of a namespace concerns: its own, and those
// who claim the same logins and identities.
func (r *UserStatusReconciler) concernedBy(namespace string) []types.NamespacedName {
	var out []types.NamespacedName
	for _, key := range r.namespaces.UsersIn(namespace) {
		if u := r.namespaces.User(key); u != nil {
			out = append(append(out, key), informer.RivalsOf(r.logins, r.identities, u)...)
		}
	}
	return out
}

// inForce returns the directory's version of u if it has exactly this spec and these passwords under
// the same policy, and nil otherwise.
func (r *UserStatusReconciler) inForce(u *directory.User) *directory.User {
	current, ok := r.directory.ByKey(u.Key)
	if !ok || current.UID != u.UID || current.Credentials.Revision != u.Credentials.Revision ||
		current.NotPermitted != u.NotPermitted || current.Tenant != u.Tenant || current.Rank != u.Rank {
		return nil
	}
	return current
}

// loginHolder returns the namespace/name of the other User that holds the login of u, or "" if u
// holds it. The directory applies the same rule.
func (r *UserStatusReconciler) loginHolder(u *authv1alpha1.User) string {
	first := r.claimantOf(u)
	for _, key := range r.logins.Lookup(u.EffectiveLogin()) {
		other := r.namespaces.User(key)
		if other == nil || other.EffectiveLogin() != u.EffectiveLogin() || other.DeletionTimestamp != nil {
			continue
		}
		if claimant := r.claimantOf(other); claimant.Before(first) {
			first = claimant
		}
	}
	if first.UID == string(u.UID) {
		return ""
	}
	return first.Key
}

// write patches what differs, and announces what others should know of.
func (r *UserStatusReconciler) write(ctx context.Context, u *authv1alpha1.User, next authv1alpha1.UserStatus) error {
	changed := u.DeepCopy()
	changed.Status = next
	written, err := patchStatus(ctx, r.client, u, changed)
	if written {
		r.announce(u, next)
	}
	return err
}

// patchStatus patches what differs in the status of an object, and reports whether it did. Losing to
// another writer is not an error: the version that won reaches the cache soon and triggers another
// Reconcile.
func patchStatus(ctx context.Context, c client.Client, before, after client.Object) (written bool, _ error) {
	err := c.Status().Patch(ctx, after, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return false, nil
	default:
		return false, fmt.Errorf("patch the status: %w", err)
	}
}

// announce emits an event for a condition that has just changed and needs attention. Only the
// replica that wrote the status calls it, so that there is one event for each transition.
func (r *UserStatusReconciler) announce(u *authv1alpha1.User, next authv1alpha1.UserStatus) {
	r.announceRevocation(u, next)
	for _, kind := range []string{authv1alpha1.ConditionLoginAllowed, authv1alpha1.ConditionWeakHash} {
		before, after := meta.FindStatusCondition(u.Status.Conditions, kind), meta.FindStatusCondition(next.Conditions, kind)
		if after == nil || !needsAttention(after) || (before != nil && before.Reason == after.Reason) {
			continue
		}
		r.recorder.Eventf(u, nil, corev1.EventTypeWarning, after.Reason, "UpdateStatus", "%s", after.Message)
	}
}

// announceRevocation emits an event when a revocation takes effect or is lifted.
func (r *UserStatusReconciler) announceRevocation(u *authv1alpha1.User, next authv1alpha1.UserStatus) {
	before, after := u.Status.State == authv1alpha1.UserRevoked, next.State == authv1alpha1.UserRevoked
	switch {
	case after && !before:
		reason := meta.FindStatusCondition(next.Conditions, authv1alpha1.ConditionLoginAllowed)
		r.recorder.Eventf(u, nil, corev1.EventTypeWarning, "UserRevoked", "UpdateStatus", "%s", reason.Message)
	case before && !after:
		r.recorder.Eventf(u, nil, corev1.EventTypeWarning, "RevocationLifted", "UpdateStatus",
			"the user is no longer revoked; tokens issued before stay void")
	}
}

// needsAttention reports whether a condition is worth a warning event.
func needsAttention(c *metav1.Condition) bool {
	switch c.Reason {
	case authv1alpha1.ReasonLocked, authv1alpha1.ReasonLoginConflict, authv1alpha1.ReasonNotPermitted, authv1alpha1.ReasonInvalidHash, authv1alpha1.ReasonHashTooLarge,
		authv1alpha1.ReasonUnreadable, authv1alpha1.ReasonBelowRecommendation:
		return true
	default:
		return false
	}
}
