package controllers

import (
	"context"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/record"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// collectorDelay is how long after its owner was restored the garbage collector may delete a Token,
// because it looked at the Token before that.
const collectorDelay = time.Minute

// repairRetry is how often a Token whose User is not known is looked at again.
const repairRetry = time.Minute

// TokenRepairReconciler restores what hands have changed on Tokens. A Token without the right owner
// would be deleted by the garbage collector, and its revocation with it: it gets its owner and its
// label back, and is created again if the garbage collector was faster. A revoked Token loses its
// texts, and is held until its token has ended. The reconciler runs on every replica, without a delay: the first one writes.
type TokenRepairReconciler struct {
	namespaces *informer.Namespaces
	client     client.Client // writes
	reader     client.Reader // reads from the API server
	directory  *directory.Directory
	now        func() time.Time

	mu       sync.Mutex
	misowned map[types.NamespacedName]time.Time           // when a Token was last seen without the right owner
	lost     map[types.NamespacedName]*authv1alpha1.Token // Tokens that the garbage collector may have deleted
}

// +kubebuilder:rbac:groups=auth.gatehouse.dev,resources=tokens,verbs=get;list;watch;create;patch,namespace=gatehouse-users

// SetupWithManager makes the manager call Reconcile for every Token that needs a repair.
func (r *TokenRepairReconciler) SetupWithManager(mgr ctrl.Manager) error {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	add := func(o client.Object, q queue) {
		if t, ok := o.(*authv1alpha1.Token); ok && needsRepair(t) {
			r.see(t)
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(t)})
		}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("token-repair").
		WatchesRawSource(r.namespaces.Source(informer.Token, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { add(e.Object, q) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { add(e.ObjectNew, q) },
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
				if t, ok := e.Object.(*authv1alpha1.Token); ok && r.remember(t) {
					q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(t)})
				}
			},
		})).
		WithOptions(informer.AllReplicas()).
		Complete(r)
}

// needsRepair reports whether a Token of the cache differs from what the service writes.
func needsRepair(t *authv1alpha1.Token) bool {
	texts := t.Spec.Label != "" || t.Spec.Description != "" || t.Spec.Client != ""
	return stored.Fault(t) == "" && t.DeletionTimestamp == nil &&
		(stored.Misowned(t) || (t.Spec.Revoked && (texts || !record.Held(t))))
}

// see notes that a Token does not have the right owner.
func (r *TokenRepairReconciler) see(t *authv1alpha1.Token) {
	if !stored.Misowned(t) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.misowned[client.ObjectKeyFromObject(t)] = r.now()
}

// remember keeps a deleted Token if the garbage collector may have deleted it for want of its owner,
// and reports whether it did.
func (r *TokenRepairReconciler) remember(t *authv1alpha1.Token) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := client.ObjectKeyFromObject(t)
	seen, ok := r.misowned[key]
	delete(r.misowned, key)
	recently := ok && r.now().Sub(seen) < collectorDelay
	if stored.Fault(t) != "" || (!stored.Misowned(t) && !recently) {
		return false
	}
	r.lost[key] = t
	return true
}

// forget forgets the Token that was remembered under key, if it has this UID.
func (r *TokenRepairReconciler) forget(key types.NamespacedName, uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.lost[key]; t != nil && t.UID == uid {
		delete(r.lost, key)
	}
}

func (r *TokenRepairReconciler) lostToken(key types.NamespacedName) *authv1alpha1.Token {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost[key]
}

// Reconcile repairs one Token, or creates one again that was deleted for want of its owner.
func (r *TokenRepairReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	t := &authv1alpha1.Token{}
	err := r.reader.Get(ctx, req.NamespacedName, t)
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, r.restore(ctx, req.NamespacedName)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	// A Token with the UID of the lost one was read just before it was deleted.
	if lost := r.lostToken(req.NamespacedName); lost != nil && lost.UID != t.UID {
		r.forget(req.NamespacedName, lost.UID)
	}
	if stored.Fault(t) != "" || t.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	return r.repair(ctx, t)
}

func (r *TokenRepairReconciler) repair(ctx context.Context, t *authv1alpha1.Token) (ctrl.Result, error) {
	before, result := t.DeepCopy(), ctrl.Result{}
	if t.Spec.Revoked {
		record.Revoke(t)
	}
	if owner, ok := r.ownerOf(t); ok {
		t.OwnerReferences = owner
		metav1.SetMetaDataLabel(&t.ObjectMeta, authv1alpha1.UserUIDLabel, t.Spec.UserRef.UID)
	} else if left := t.Spec.ExpiresAt.Sub(r.now()); left > 0 {
		result.RequeueAfter = repairRetry
	}
	if equality.Semantic.DeepEqual(before, t) {
		return result, nil
	}
	err := r.client.Patch(ctx, t, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: time.Millisecond}, nil // someone else was faster
	}
	return result, err
}

// restore creates a deleted Token again, if it was deleted for want of its owner, it is still
// needed and its User exists.
func (r *TokenRepairReconciler) restore(ctx context.Context, key types.NamespacedName) error {
	lost := r.lostToken(key)
	if lost == nil {
		return nil
	}
	owner, ok := r.ownerOf(lost)
	if ok && r.now().Before(lost.Spec.ExpiresAt.Time) {
		t := &authv1alpha1.Token{Spec: lost.Spec}
		t.Namespace, t.Name, t.OwnerReferences = key.Namespace, key.Name, owner
		t.Labels = map[string]string{authv1alpha1.UserUIDLabel: lost.Spec.UserRef.UID}
		if t.Spec.Revoked {
			record.Revoke(t)
		}
		if err := r.client.Create(ctx, t); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
		r.directory.PutRecord(record.FromToken(t))
	}
	r.forget(key, lost.UID)
	return nil
}

// ownerOf returns the owner that a Token must have, and reports whether its User is known.
func (r *TokenRepairReconciler) ownerOf(t *authv1alpha1.Token) ([]metav1.OwnerReference, bool) {
	u, ok := r.directory.ByUID(t.Spec.UserRef.UID)
	if !ok {
		return nil, false
	}
	namespace, name, _ := strings.Cut(u.Key, "/")
	return record.Owner(name, u.UID), namespace == t.Namespace
}
