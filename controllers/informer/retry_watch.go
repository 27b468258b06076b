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

// An API server that does not answer is asked for a watch again after retryDelay to twice that, and the log says so once in
// logInterval.
const (
	retryDelay  = time.Second
	logInterval = time.Minute
)

// NewRetryingInformer makes an informer that follows changes again a second or two after its API server is back, however long that was
// away. client-go by itself tries ever less often, up to a minute apart, and a revocation that was applied meanwhile would take
// effect that much later. Replicas are few, and a try that nobody answers costs next to nothing.
func NewRetryingInformer(
	lw toolscache.ListerWatcher, object runtime.Object, resync time.Duration, indexers toolscache.Indexers,
) toolscache.SharedIndexInformer {
	inner := toolscache.ToListerWatcherWithContext(lw)
	return toolscache.NewSharedIndexInformer(&toolscache.ListWatch{
		ListWithContextFunc: inner.ListWithContext,
		WatchFuncWithContext: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return retryUntilAnswered(ctx, func() (watch.Interface, error) { return inner.WatchWithContext(ctx, opts) })
		},
	}, object, resync, indexers)
}

// retryUntilAnswered asks again until the API server answers, be it with a refusal, or the context ends.
func retryUntilAnswered[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	var said time.Time
	for {
		answer, err := ask()
		var refusal apierrors.APIStatus
		if err == nil || errors.As(err, &refusal) {
			return answer, err
		}
		if ctx.Err() == nil && time.Since(said) >= logInterval {
			said = time.Now()
			log.FromContext(ctx).Error(err, "the API server does not answer, and is asked again every second or two until it does")
		}
		if !Sleep(ctx, retryDelay+rand.N(retryDelay)) { //nolint:gosec // spreads tries, guards nothing
			return answer, ctx.Err() // after another error client-go would wait before it looks at the context
		}
	}
}

// Sleep returns false when the context ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
