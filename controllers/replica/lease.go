package replica

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
)

const (
	callTimeout  = 5 * time.Second       // how long one renewal may take
	firstRetry   = time.Second           // how long a replica waits before it tries again to make its Lease
	publishPause = time.Second           // how often a replica says at most what it has in force
	comparePause = 20 * time.Millisecond // how long it lets changes gather before it looks, which takes time while many wait
)

// Config describes a replica.
type Config struct {
	Namespace string    // of the service
	Pod       string    // the name of the replica's Pod
	PodUID    types.UID // the Pod becomes the owner of the Lease; empty: it has none
	Now       func() time.Time
	Progress  *delivery.Progress // of the replica's directory
	HasSynced func() bool        // reports whether the directory is complete; before that, nothing is in force
}

// Setup makes a manager keep the Lease of a replica and watch those of all, and returns the set of
// replicas. The cache of the manager must have the Leases of the service's namespace. No informer of
// the replica starts before the Lease exists, so that one that sees no Lease knows that the
// replica has everything from before.
func Setup(mgr ctrl.Manager, c Config) (*Set, error) {
	s, k := NewSet(c.Pod, c.Now), &keeper{Config: c, client: mgr.GetClient()}
	s.keeper, c.Progress.Before = k, k.register
	if err := mgr.Add(k); err != nil {
		return nil, fmt.Errorf("keep the Lease of this replica: %w", err)
	}
	r := &reconciler{Config: c, reader: mgr.GetClient(), set: s}
	if err := mgr.Add(r); err != nil {
		return nil, fmt.Errorf("learn which replicas there are: %w", err)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("replica").
		Watches(&coordinationv1.Lease{}, &handler.EnqueueRequestForObject{}).
		WithEventFilter(predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetNamespace() == c.Namespace })).
		WithOptions(informer.AllReplicas()).
		Complete(r)
	if err != nil {
		return nil, fmt.Errorf("watch the Leases of the replicas: %w", err)
	}
	return s, nil
}

// reconciler keeps a Set up to date with the Leases.
type reconciler struct {
	Config
	reader client.Reader
	set    *Set
}

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=list;watch,namespace=gatehouse-system

// Reconcile records whether a Lease exists and what it says.
func (r *reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	l := &coordinationv1.Lease{}
	err := r.reader.Get(ctx, req.NamespacedName, l)
	switch {
	case apierrors.IsNotFound(err):
		r.set.forget(req.Name)
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	r.set.observe(l)
	return ctrl.Result{}, nil
}

// NeedLeaderElection reports that every replica has a set of its own.
func (r *reconciler) NeedLeaderElection() bool { return false }

// Start returns once the set has all replicas that there were at the start, or ctx ends.
func (r *reconciler) Start(ctx context.Context) error {
	for {
		leases := &coordinationv1.LeaseList{}
		err := r.reader.List(ctx, leases, client.InNamespace(r.Namespace)) // waits for the cache
		if err == nil && r.set.know(leases.Items) || !informer.Sleep(ctx, comparePause) {
			return nil
		}
	}
}

// keeper renews the Lease of this replica, and says in it what is in force.
type keeper struct {
	Config
	client client.Client
	failed bool // the last renewal failed

	mu         sync.Mutex
	registered bool // the Lease exists
}

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=create;patch;delete,namespace=gatehouse-system

// NeedLeaderElection reports that every replica keeps its Lease.
func (k *keeper) NeedLeaderElection() bool { return false }

// register makes the Lease if it has not been made, and tries until it succeeds or ctx ends.
func (k *keeper) register(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.registered {
		err := k.renew(ctx, "")
		k.report(ctx, err)
		if k.registered = err == nil; !k.registered && !informer.Sleep(ctx, firstRetry) {
			return
		}
	}
}

// Start renews the Lease until ctx ends, and when more is in force.
func (k *keeper) Start(ctx context.Context) error {
	k.register(ctx)
	for ctx.Err() == nil {
		published := k.inForce()
		err := k.renew(ctx, published)
		k.report(ctx, err)
		if informer.Sleep(ctx, publishPause) && err == nil {
			k.awaitMove(ctx, published)
		}
	}
	return nil
}

// inForce returns the annotation with what is in force on this replica, or "" if nothing is.
func (k *keeper) inForce() string {
	if !k.HasSynced() {
		return ""
	}
	annotation, err := formatInForce(k.Progress.InForce())
	if err != nil {
		return "" // four numbers and a map of them do not fail
	}
	return annotation
}

// awaitMove returns when more is in force than was published, or when it is time to renew the Lease.
func (k *keeper) awaitMove(ctx context.Context, published string) {
	ctx, cancel := context.WithTimeout(ctx, renewal-publishPause)
	defer cancel()
	for ctx.Err() == nil && k.inForce() == published {
		select {
		case <-k.Progress.Moved():
			informer.Sleep(ctx, comparePause)
		case <-ctx.Done():
		}
	}
}

// renew sets the time of the Lease and what is in force, and creates the Lease if there is none.
func (k *keeper) renew(ctx context.Context, inForce string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	l := k.lease()
	l.Annotations = map[string]string{InForceAnnotation: inForce}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": l.Annotations}, "spec": l.Spec})
	if err != nil {
		return err
	}
	err = k.client.Patch(ctx, l.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsNotFound(err) {
		err = k.client.Create(ctx, l)
	}
	return err
}

func (k *keeper) lease() *coordinationv1.Lease {
	seconds, now := int32(lifetime/time.Second), metav1.NewMicroTime(k.Now())
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: k.Namespace, Name: prefix + k.Pod}}
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &k.Pod, &seconds, &now
	if k.PodUID != "" {
		l.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Pod", Name: k.Pod, UID: k.PodUID,
		}}
	}
	return l
}

// report logs when renewals begin to fail and when they succeed again. Until then the other replicas
// write in the place of this one.
func (k *keeper) report(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !k.failed:
		log.FromContext(ctx).Error(err, "could not renew the Lease of this replica", "lease", prefix+k.Pod)
	case err == nil && k.failed:
		log.FromContext(ctx).Info("the Lease of this replica can be renewed again", "lease", prefix+k.Pod)
	}
	k.failed = err != nil
}

// Leave deletes the Lease of this replica, so that the others need not wait for its end. Call it when
// the manager has stopped and the last request was answered: until then the replica may answer from
// what it knows. It is not an error if that fails.
func (s *Set) Leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.keeper.client.Delete(ctx, s.keeper.lease()); err != nil && !apierrors.IsNotFound(err) {
		log.FromContext(ctx).Info("could not delete the Lease of this replica; it ends by itself", "lease", prefix+s.self, "error", err.Error())
	}
}
