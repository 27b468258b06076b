package replica

import (
	"context"
	"encoding/json"
	"fmt"
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

	"github.com/gatehouse-auth/gatehouse/controllers/informer"
)

// callTimeout is how long one renewal may take.
const callTimeout = 5 * time.Second

// Config describes a replica.
type Config struct {
	Namespace string    // of the service
	Pod       string    // the name of the replica's Pod
	PodUID    types.UID // the Pod becomes the owner of the Lease; empty: it has none
	Now       func() time.Time
}

// Setup makes a manager keep the Lease of a replica and watch those of the others, and returns the
// set of replicas. The cache of the manager must have the Leases of the service's namespace.
func Setup(mgr ctrl.Manager, c Config) (*Set, error) {
	s := NewSet(c.Pod, c.Now)
	if err := mgr.Add(&keeper{Config: c, client: mgr.GetClient()}); err != nil {
		return nil, fmt.Errorf("keep the Lease of this replica: %w", err)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("replica").
		Watches(&coordinationv1.Lease{}, &handler.EnqueueRequestForObject{}).
		WithEventFilter(predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetNamespace() == c.Namespace })).
		WithOptions(informer.AllReplicas()).
		Complete(&reconciler{reader: mgr.GetClient(), set: s})
	if err != nil {
		return nil, fmt.Errorf("watch the Leases of the replicas: %w", err)
	}
	return s, nil
}

// reconciler keeps a Set up to date with the Leases.
type reconciler struct {
	reader client.Reader
	set    *Set
}

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=list;watch,namespace=gatehouse-system

// Reconcile records whether a Lease exists and whether it was renewed.
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

// keeper renews the Lease of this replica, and deletes it when the manager stops.
type keeper struct {
	Config
	client client.Client
	failed bool // the last renewal failed
}

// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=create;patch;delete,namespace=gatehouse-system

// NeedLeaderElection reports that every replica keeps its Lease.
func (k *keeper) NeedLeaderElection() bool { return false }

// Start renews the Lease until ctx ends.
func (k *keeper) Start(ctx context.Context) error {
	ticker := time.NewTicker(renewal)
	defer ticker.Stop()
	for {
		k.report(ctx, k.renew(ctx))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return k.release(context.WithoutCancel(ctx))
		}
	}
}

// renew sets the time of the Lease, and creates the Lease if there is none.
func (k *keeper) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	l := k.lease()
	patch, err := json.Marshal(map[string]any{"spec": l.Spec})
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

// release deletes the Lease, so that the other replicas need not wait for its end. It is not an error
// if that fails.
func (k *keeper) release(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := k.client.Delete(ctx, k.lease()); err != nil && !apierrors.IsNotFound(err) {
		log.FromContext(ctx).Info("could not delete the Lease of this replica; it ends by itself", "lease", prefix+k.Pod, "error", err.Error())
	}
	return nil
}
