package system

import (
	"context"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/keystore"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

const (
	// KeysSecret is the name of the Secret in the service's own namespace that holds all keys, one to an entry.
	KeysSecret = "gatehouse-keys"
	// CurrentSigningKey is the annotation that names the entry of the key that signs now. Removing
	// that entry makes the next key sign at once and voids what the removed key has signed.
	CurrentSigningKey = authv1alpha1.Group + "/current-signing-key"
)

// KeysReconciler syncs the KeySet of this replica with the Secret that all replicas share. It watches
// the Secret, so a change needs no restart, and it runs on every replica.
type KeysReconciler struct {
	Namespace string // the service's own
	Keys      *token.KeySet
	Policy    token.Policy
	Now       func() time.Time
	// UseDecoySecret takes the secret that makes the decoys of all replicas alike.
	UseDecoySecret func(secret []byte)

	keeper *keystore.Keys
	secret *watchedSecret
}

// +kubebuilder:rbac:groups="",resources=secrets,verbs=create,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=secrets,resourceNames=gatehouse-keys,verbs=get;list;watch;patch,namespace=gatehouse-system
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch,namespace=gatehouse-system

// SetupWithManager makes the manager call Reconcile at start, for every change of the Secret, and
// about once a minute.
func (r *KeysReconciler) SetupWithManager(mgr ctrl.Manager) error {
	key := types.NamespacedName{Namespace: r.Namespace, Name: KeysSecret}
	return watchSystemSecret(mgr, key, func(secret *watchedSecret) reconcile.Reconciler {
		r.secret = secret
		entries := secret.SecretEntries
		entries.annotations = r.annotations
		r.keeper = &keystore.Keys{Entries: entries, Set: r.Keys, Policy: r.Policy, Now: r.Now, UseDecoySecret: r.UseDecoySecret, Report: r.report}
		return r
	})
}

// Reconcile puts the stored keys in force and stores what is due.
func (r *KeysReconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	return requeueSoon(), r.keeper.Sync(ctx)
}

// annotations returns those that the Secret has with these keys.
func (r *KeysReconciler) annotations(before map[string]string, entries map[string][]byte) map[string]string {
	keys, _ := token.ParseKeys(entries) // the keeper reports entries that cannot be read
	after := maps.Clone(before)
	if after == nil {
		after = map[string]string{}
	}
	if current, ok := keys.Current(token.Sign, r.Now()); ok {
		after[CurrentSigningKey] = current.EntryName()
	}
	return after
}

// report logs what is wrong with the keys and makes an Event of it. The reasons are in the log only:
// not everyone who may read Events may know what exactly is wrong with a key.
func (r *KeysReconciler) report(ctx context.Context, problem error) {
	if problem == nil {
		log.FromContext(ctx).Info("all keys can be read and written again")
		return
	}
	log.FromContext(ctx).Error(problem, "could not read or write some of the keys; they stay as they are, and the others are in use")
	r.secret.warn(ctx, "KeyUnreadable", "ReadKeys",
		"Some entries are not keys, or new keys could not be stored. The log of gatehouse names them. The other keys are in use.")
}

// NewKeysSecret returns the keys of a service in a cluster for a command outside of the service. The
// client must read from the API server itself.
func NewKeysSecret(c client.Client, namespace string) SecretEntries {
	return SecretEntries{Key: types.NamespacedName{Namespace: namespace, Name: KeysSecret}, reader: c, client: c}
}
