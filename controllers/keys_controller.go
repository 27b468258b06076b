package controllers

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// The Secret with the keys and its annotations.
const (
	// KeysSecret is the name of the Secret in the service's own namespace that holds all keys, one to an entry.
	KeysSecret = "gatehouse-keys"
	// CurrentSigningKey is the annotation that names the entry of the key that signs now. Whoever removes that entry makes
	// the next key sign at once, and what the removed one has signed is void.
	CurrentSigningKey = authv1alpha1.Group + "/current-signing-key"
)

// KeysReconciler keeps the KeySet of this replica equal to the Secret that all replicas share, and the Secret as the policy
// wants it: made at first start, rotated by age or when somebody asks, and at once when the current key is gone. It watches
// the Secret, so a change needs no restart, and it runs on every replica.
//
// Only what the Secret holds is ever put in force, and only when there is a key to issue with in it: until some replica has
// written that, the keys before it stay.
type KeysReconciler struct {
	Namespace string // the service's own
	Keys      *token.KeySet
	Policy    token.Policy
	Now       func() time.Time

	secret   *systemSecret
	recorder events.EventRecorder
	reported string // the last complaint about unreadable entries
}

// +kubebuilder:rbac:groups="",resources=secrets,verbs=create,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=secrets,resourceNames=gatehouse-keys,verbs=get;list;watch;patch,namespace=gatehouse-system
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch,namespace=gatehouse-system

// SetupWithManager lets the manager call Reconcile at start, for every change of the Secret, and about once a minute.
func (r *KeysReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.recorder = mgr.GetEventRecorder(appName)
	key := types.NamespacedName{Namespace: r.Namespace, Name: KeysSecret}
	return watchSystemSecret(mgr, key, func(secret *systemSecret) reconcile.Reconciler {
		r.secret = secret
		return r
	})
}

// Reconcile puts the stored keys in force and writes what is due. Every replica computes the same, but for keys that are made
// anew: of these the first written are right.
func (r *KeysReconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	secret, err := r.secret.read(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	keys, unreadable := token.ParseKeys(secret.Data)
	r.report(ctx, secret, unreadable)
	now := r.Now()
	if keys.CanIssue(now) {
		r.Keys.Use(keys)
	}
	next, err := keys.Advance(now, r.Policy)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("advance the keys: %w", err)
	}
	data, err := next.Encode()
	if err != nil {
		return ctrl.Result{}, err
	}
	if next.Equal(keys) {
		data = secret.Data // however it is spelled there
	}
	return requeueSoon(), r.secret.write(ctx, secret, data, annotations(secret, next, now))
}

// annotations returns those of the Secret as they should be with these keys.
func annotations(secret *corev1.Secret, keys token.Keys, now time.Time) map[string]string {
	out := maps.Clone(secret.Annotations)
	if out == nil {
		out = map[string]string{}
	}
	if current, ok := keys.Current(token.Sign, now); ok {
		out[CurrentSigningKey] = current.EntryName()
	}
	return out
}

// report tells of entries that cannot be read, once for each set of them. They stay as they are, and the other keys are used.
// The reasons are for the log only: what exactly is wrong with a key is not for everybody who may read Events.
func (r *KeysReconciler) report(ctx context.Context, secret *corev1.Secret, unreadable error) {
	complaint := ""
	if unreadable != nil {
		complaint = unreadable.Error()
	}
	if complaint == r.reported {
		return
	}
	r.reported = complaint
	if unreadable == nil {
		log.FromContext(ctx).Info("every entry of the keys can be read again")
		return
	}
	log.FromContext(ctx).Error(unreadable, "entries of the keys cannot be read and are left alone")
	r.recorder.Eventf(secret, nil, corev1.EventTypeWarning, "KeyUnreadable", "ReadKeys",
		"Some entries are no keys and are left alone; the log of gatehouse names them. The other keys are in use.")
}
