package informer

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// If the API server does not respond to a watch request, the informer retries after a random time
// between retryDelay and twice that, and logs the error at most once per logInterval.
const (
	retryDelay  = time.Second
	logInterval = time.Minute
)

// NewRetryingInformer returns an informer that resumes watching within two seconds after its API
// server is back, regardless of the length of the outage. client-go itself backs off to as much as
// a minute, which would delay revocations applied in the meantime by as much. There are few
// replicas, and an attempt that is not answered costs next to nothing.
func NewRetryingInformer(
	lw toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers,
) toolscache.SharedIndexInformer {
	return toolscache.NewSharedIndexInformer(retrying(toolscache.ToListerWatcherWithContext(lw)), object, resync, indexers)
}

// retrying returns a ListerWatcher whose watches are asked for until the API server responds.
func retrying(inner toolscache.ListerWatcherWithContext) *toolscache.ListWatch {
	return &toolscache.ListWatch{
		ListWithContextFunc: inner.ListWithContext,
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return retryUntilAnswered(ctx, func() (watch.Interface, error) { return inner.WatchWithContext(ctx, opts) })
		},
	}
}

// retryUntilAnswered calls ask until the API server responds, even with an error of its own, or the
// context ends.
func retryUntilAnswered[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	var lastLogged time.Time
	for {
		answer, err := ask()
		var refusal apierrors.APIStatus
		if err == nil || errors.As(err, &refusal) {
			return answer, err
		}
		if ctx.Err() == nil && time.Since(lastLogged) >= logInterval {
			lastLogged = time.Now()
			log.FromContext(ctx).Error(err, "the API server does not respond; will retry every second or two")
		}
		if !Sleep(ctx, retryDelay+rand.N(retryDelay)) { //nolint:gosec // spreads retries; not for security
			return answer, ctx.Err() // after any other error client-go waits before it checks the context
		}
	}
}

// Sleep waits for d and reports whether it elapsed before the context ended.
func Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
