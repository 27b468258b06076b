package controllers

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// identityConflicts returns the identities of u that other Users hold. The directory applies the
// same rule.
func (r *UserStatusReconciler) identityConflicts(u *authv1alpha1.User) []directory.IdentityConflict {
	if len(u.Spec.Identities) == 0 {
		return nil
	}
	own := r.claimantOf(u)
	users, seen := []*directory.User{own}, map[string]bool{own.Key: true}
	for _, name := range projection.IdentityNames(u) {
		for _, key := range r.identities.Lookup(name) {
			other := r.namespaces.User(key)
			if other == nil || other.DeletionTimestamp != nil || seen[key.String()] {
				continue
			}
			seen[key.String()] = true
			users = append(users, r.claimantOf(other))
		}
	}
	return directory.IdentityConflictsAmong(users, own.Key)
}

// claimantOf returns what decides about the login and the identities of a User.
func (r *UserStatusReconciler) claimantOf(u *authv1alpha1.User) *directory.User {
	return r.tenants.apply(u, projection.Projection{User: &directory.User{
		Key: u.Namespace + "/" + u.Name, UID: string(u.UID), Created: u.CreationTimestamp.Time, Identities: projection.Identities(u),
	}}).User
}

// trustChanges returns a source that enqueues every User with identities when other issuers are
// trusted.
func (r *UserStatusReconciler) trustChanges() source.Source {
	return source.Func(func(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		r.onTrustChange(func() {
			if ctx.Err() != nil {
				return
			}
			for _, key := range r.identities.Users() {
				q.Add(reconcile.Request{NamespacedName: key})
			}
		})
		return nil
	})
}
