package record

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// timeout is how long one act may take in all, however many calls to the API server it needs: somebody waits for the
// answer.
const timeout = 5 * time.Second

// bounded gives an act its time. A client that hangs up does not stop what was begun.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}

// userStatuses changes single fields of the status of Users, whoever else writes there.
type userStatuses struct {
	client client.Client
	reader client.Reader // not a cache: what it lacks would be taken back
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users,verbs=get,namespace=gatehouse-users
// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users/status,verbs=patch,namespace=gatehouse-users

// change lets a function change the status of a user and writes what is different by it, if anything. It begins anew when
// somebody else has written meanwhile. A user who is gone or is another by now is left alone.
func (s userStatuses) change(ctx context.Context, key, uid string, change func(*authv1alpha1.UserStatus)) error {
	namespace, name, _ := strings.Cut(key, "/")
	err := onConflict(ctx, func() error {
		user := &authv1alpha1.User{}
		if err := s.reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, user); err != nil {
			return err
		}
		before := user.DeepCopy()
		change(&user.Status)
		if string(user.UID) != uid || equality.Semantic.DeepEqual(before.Status, user.Status) {
			return nil
		}
		return s.client.Status().Patch(ctx, user, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	})
	return client.IgnoreNotFound(err)
}

// onConflict calls a function again while it returns conflicts, at random moments and until the context ends.
func onConflict(ctx context.Context, f func() error) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		err := f()
		if !apierrors.IsConflict(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(pause)): //nolint:gosec // spreads writes, guards nothing
		}
	}
}
