package controllers

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/gatehouse-auth/gatehouse/controllers/informer"
)

// The labels of what the service makes for itself.
const (
	nameLabel = "app.kubernetes.io/name"
	appName   = "gatehouse"
)

// systemSecret is one Secret of the service's own, which all replicas share. It is read through a cache that watches this
// one object, so that the service needs no right to see any other, and whoever writes it first is right: the others see
// that in their caches and find nothing to do.
type systemSecret struct {
	key    types.NamespacedName
	cache  cache.Cache
	client client.Client
}

// watchSystemSecret lets the manager call a reconciler at start, for every change of the Secret, and whenever it asks for it.
func watchSystemSecret(mgr ctrl.Manager, key types.NamespacedName, reconciler func(*systemSecret) reconcile.Reconciler) error {
	own, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient:        mgr.GetHTTPClient(),
		Scheme:            mgr.GetScheme(),
		Mapper:            mgr.GetRESTMapper(),
		NewInformer:       informer.NewRetryingInformer,
		DefaultNamespaces: map[string]cache.Config{key.Namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", key.Name)}},
		DefaultTransform:  cache.TransformStripManagedFields(),
	})
	if err != nil {
		return fmt.Errorf("make a cache for the secret %s: %w", key, err)
	}
	if err := mgr.Add(own); err != nil {
		return fmt.Errorf("add the cache for the secret %s: %w", key, err)
	}
	options := informer.AllReplicas()
	options.MaxConcurrentReconciles = 1
	// A service without keys is no use, so it tries again soon for as long as it must.
	options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, 15*time.Second)
	return ctrl.NewControllerManagedBy(mgr).
		Named(key.Name).
		WatchesRawSource(source.Kind(own, &corev1.Secret{}, &handler.TypedEnqueueRequestForObject[*corev1.Secret]{})).
		WatchesRawSource(atStart(key)).
		WithOptions(options).
		Complete(reconciler(&systemSecret{key: key, cache: own, client: mgr.GetClient()}))
}

// atStart asks for one reconciliation, because a Secret that does not exist yet causes no event.
func atStart(key types.NamespacedName) source.Func {
	return func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(reconcile.Request{NamespacedName: key})
		return nil
	}
}

// read returns the Secret as the cache has it, or one without a resource version when there is none.
func (s *systemSecret) read(ctx context.Context) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := s.cache.Get(ctx, s.key, secret)
	if apierrors.IsNotFound(err) {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: s.key.Namespace, Name: s.key.Name, Labels: map[string]string{nameLabel: appName},
		}}, nil
	}
	return secret, err
}

func exists(secret *corev1.Secret) bool { return secret.ResourceVersion != "" }

// write makes the Secret have these entries and annotations, if it has others. When another replica was faster, its version
// stands, and the cache is about to show it.
func (s *systemSecret) write(ctx context.Context, secret *corev1.Secret, data map[string][]byte, annotations map[string]string) error {
	next := secret.DeepCopy()
	next.Data, next.Annotations = data, annotations
	if exists(secret) && equality.Semantic.DeepEqual(secret.Data, data) && maps.Equal(secret.Annotations, annotations) {
		return nil
	}
	var err error
	if exists(secret) {
		err = s.client.Patch(ctx, next, client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{}))
	} else {
		err = s.client.Create(ctx, next)
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || (exists(secret) && apierrors.IsNotFound(err)) {
		log.FromContext(ctx).V(1).Info("another replica was faster")
		return nil
	}
	if err != nil {
		return fmt.Errorf("write secret %s: %w", s.key, err)
	}
	return nil
}

// requeueSoon asks for the next look at a Secret that changes with time: within a minute, at another moment on every replica.
func requeueSoon() ctrl.Result {
	const half = 30 * time.Second
	return ctrl.Result{RequeueAfter: half + rand.N(half)} //nolint:gosec // spreads writes, guards nothing
}
