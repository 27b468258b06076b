// Package system keeps what the replicas share in the Secrets of the service's own namespace, the
// signing keys and the CA, and follows it on every replica.
package system

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
	"k8s.io/client-go/tools/events"
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

// The label of the objects that the service creates for itself.
const (
	nameLabel = "app.kubernetes.io/name"
	appName   = "gatehouse"
)

// SecretEntries are the entries of one Secret. They implement keystore.Entries: the first writer wins,
// and the others find nothing to do.
type SecretEntries struct {
	Key types.NamespacedName

	reader client.Reader
	client client.Client
	// annotations returns the annotations of the Secret with these entries, from those before; nil: they stay.
	annotations func(before map[string]string, entries map[string][]byte) map[string]string
}

// watchedSecret is one of the service's own Secrets, which all replicas share. Its cache watches this
// one object, so that the service needs no right to see any other.
type watchedSecret struct {
	SecretEntries
	recorder events.EventRecorder
}

// watchSystemSecret makes the manager call a reconciler at start, for every change of the Secret, and
// when the reconciler asks for it.
func watchSystemSecret(mgr ctrl.Manager, key types.NamespacedName, reconciler func(*watchedSecret) reconcile.Reconciler) error {
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
	// A service without keys is useless, so it retries soon, for as long as it must.
	options.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, 15*time.Second)
	return ctrl.NewControllerManagedBy(mgr).
		Named(key.Name).
		WatchesRawSource(source.Kind(own, &corev1.Secret{}, &handler.TypedEnqueueRequestForObject[*corev1.Secret]{})).
		WatchesRawSource(informer.AtStart(key)).
		WithOptions(options).
		Complete(reconciler(&watchedSecret{SecretEntries{Key: key, reader: own, client: mgr.GetClient()}, mgr.GetEventRecorder(appName)}))
}

// Read implements keystore.Entries.
func (s SecretEntries) Read(ctx context.Context) (map[string][]byte, error) {
	secret, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	return secret.Data, nil
}

// Update implements keystore.Entries.
func (s SecretEntries) Update(
	ctx context.Context, next func(map[string][]byte) (map[string][]byte, error),
) (map[string][]byte, error) {
	secret, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := next(maps.Clone(secret.Data))
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", s.Key, err)
	}
	return s.write(ctx, secret, entries)
}

// read returns the Secret, or one without a resource version when there is none.
func (s SecretEntries) read(ctx context.Context) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := s.reader.Get(ctx, s.Key, secret)
	if apierrors.IsNotFound(err) {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Key.Namespace, Name: s.Key.Name, Labels: map[string]string{nameLabel: appName},
		}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", s.Key, err)
	}
	return secret, nil
}

func exists(secret *corev1.Secret) bool { return secret.ResourceVersion != "" }

// write makes the Secret have these entries, unless it has them already, and returns what it has. When
// another writer was faster, that is what was read before.
func (s SecretEntries) write(ctx context.Context, secret *corev1.Secret, entries map[string][]byte) (map[string][]byte, error) {
	next := secret.DeepCopy()
	next.Data = entries
	if s.annotations != nil {
		next.Annotations = s.annotations(secret.Annotations, entries)
	}
	if exists(secret) && equality.Semantic.DeepEqual(secret.Data, entries) && maps.Equal(secret.Annotations, next.Annotations) {
		return secret.Data, nil
	}
	var err error
	if exists(secret) {
		err = s.client.Patch(ctx, next, client.MergeFromWithOptions(secret, client.MergeFromWithOptimisticLock{}))
	} else {
		err = s.client.Create(ctx, next)
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) || (exists(secret) && apierrors.IsNotFound(err)) {
		log.FromContext(ctx).V(1).Info("another replica has written the secret first")
		return secret.Data, nil
	}
	if err != nil {
		return nil, fmt.Errorf("write secret %s: %w", s.Key, err)
	}
	return entries, nil
}

// warn makes an Event about the Secret.
func (s *watchedSecret) warn(ctx context.Context, reason, action, message string) {
	if secret, err := s.read(ctx); err == nil {
		s.recorder.Eventf(secret, nil, corev1.EventTypeWarning, reason, action, "%s", message)
	}
}

// requeueSoon requests the next sync of a Secret that changes with time: within a minute, at a
// different moment on every replica.
func requeueSoon() ctrl.Result {
	const half = 30 * time.Second
	return ctrl.Result{RequeueAfter: half + rand.N(half)} //nolint:gosec // spreads writes, guards nothing
}
