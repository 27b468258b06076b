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

// timeout limits one operation, regardless of the number of calls to the API server that it needs,
// because a client waits for the response.
const timeout = 5 * time.Second

// withTimeout returns a context that ends after timeout, even if the client hangs up before that,
// so that an operation that has begun is completed.
func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}

// userStatuses changes single fields in the status of Users, safely alongside other writers.
type userStatuses struct {
	client client.Client
	reader client.Reader // not a cache, which could be stale and make a patch undo newer changes
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users,verbs=get,namespace=gatehouse-users
// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=users/status,verbs=patch,namespace=gatehouse-users

// change calls change with the status of a user and patches the User if the status differs
// afterwards. It retries if someone else has written in the meantime. It does nothing if the User
// does not exist or no longer has this UID.
func (s userStatuses) change(ctx context.Context, key, uid string, change func(*authv1alpha1.UserStatus)) error {
	namespace, name, _ := strings.Cut(key, "/")
	err := retryOnConflict(ctx, func() error {
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

// retryOnConflict calls f until it returns something other than a conflict or the context ends. The
// pauses in between are random.
func retryOnConflict(ctx context.Context, f func() error) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		err := f()
		if !apierrors.IsConflict(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(pause)): //nolint:gosec // spreads writes; not for security
		}
	}
}
