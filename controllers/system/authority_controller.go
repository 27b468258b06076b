package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
	"github.com/gatehouse-auth/gatehouse/internal/keystore"
)

// AuthoritySecret is the name of the Secret with the service's own CA, and of the ConfigMaps that
// publish its certificate under the key ca.crt.
const AuthoritySecret = "gatehouse-ca"

// publishTimeout is how long one ConfigMap may take.
const publishTimeout = 5 * time.Second

// AuthorityReconciler syncs the server certificate of this replica with the CA in the Secret that all
// replicas share, and publishes the CA's certificate for clients. It watches the Secret, so a change
// needs no restart, and it runs on every replica.
type AuthorityReconciler struct {
	Namespace string   // the service's own
	Publish   []string // namespaces that get the certificate, beside the service's own
	// PublishAlso returns further namespaces that get it, which may be many; nil: there are none.
	PublishAlso func() []string
	Source      *authority.Source
	Now         func() time.Time

	keeper    *keystore.CA
	secret    *watchedSecret
	reader    client.Reader          // not a cache: one read a minute is less than a watch in every namespace
	published map[string]publication // in the namespaces of PublishAlso
}

// republish is how long the certificate counts as published in a namespace of PublishAlso.
const republish = 10 * time.Minute

type publication struct {
	bundle string
	at     time.Time
}

// +kubebuilder:rbac:groups="",resources=secrets,verbs=create,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=secrets,resourceNames=gatehouse-ca,verbs=get;list;watch;patch,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=create,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=configmaps,resourceNames=gatehouse-ca,verbs=get;patch,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=create,namespace=gatehouse-users
// +kubebuilder:rbac:groups="",resources=configmaps,resourceNames=gatehouse-ca,verbs=get;patch,namespace=gatehouse-users
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch,namespace=gatehouse-system

// SetupWithManager makes the manager call Reconcile at start, for every change of the Secret, and
// about once a minute.
func (r *AuthorityReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.reader = mgr.GetAPIReader()
	key := types.NamespacedName{Namespace: r.Namespace, Name: AuthoritySecret}
	return watchSystemSecret(mgr, key, func(secret *watchedSecret) reconcile.Reconciler {
		r.secret = secret
		r.keeper = &keystore.CA{
			Entries: secret.SecretEntries, Source: r.Source, Now: r.Now, Publish: r.publish, Report: r.report,
		}
		return r
	})
}

// Reconcile puts the stored CA in force, stores what is due, and publishes the certificate.
func (r *AuthorityReconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	err := r.keeper.Sync(ctx)
	if errors.Is(err, keystore.ErrUnreadableCA) {
		err = nil // report asks for help, and a retry before the Secret changes helps no one
	}
	return requeueSoon(), err
}

func (r *AuthorityReconciler) report(ctx context.Context, problem error) {
	switch {
	case problem == nil:
		log.FromContext(ctx).Info("the CA can be read and written again")
	case errors.Is(problem, keystore.ErrUnreadableCA):
		log.FromContext(ctx).Error(problem, "could not read the CA; the previous one stays in force. Repair the Secret, or delete it to get a new CA")
		r.secret.warn(ctx, "CAUnreadable", "ReadCA",
			"The Secret does not hold a CA with its key, and stays as it is. Restore both, or delete the Secret to get a new CA.")
	default:
		log.FromContext(ctx).Error(problem, "could not sync the CA; will retry")
	}
}

// publish makes the ConfigMaps show the certificates to trust. Where that fails the service goes on,
// and the next sync tries again.
func (r *AuthorityReconciler) publish(ctx context.Context, bundle []byte) error {
	for _, namespace := range append([]string{r.Namespace}, r.Publish...) {
		if err := r.publishIn(ctx, namespace, bundle); err != nil {
			log.FromContext(ctx).Info("could not publish the certificate of the CA; will retry", "namespace", namespace, "error", err.Error())
		}
	}
	if r.PublishAlso != nil {
		r.publishAlso(ctx, bundle)
	}
	return nil
}

// publishAlso publishes in the namespaces that are due. A team may take away the right to do so, which
// is its own loss and not worth a line in the log every minute.
func (r *AuthorityReconciler) publishAlso(ctx context.Context, bundle []byte) {
	next := map[string]publication{}
	for _, namespace := range r.PublishAlso() {
		done := r.published[namespace]
		if done.bundle != string(bundle) || r.Now().Sub(done.at) >= republish {
			done = publication{string(bundle), r.Now()}
			if err := r.publishIn(ctx, namespace, bundle); err != nil {
				log.FromContext(ctx).V(1).Info("could not publish the certificate of the CA", "namespace", namespace, "error", err.Error())
				done = publication{}
			}
		}
		next[namespace] = done
	}
	r.published = next
}

func (r *AuthorityReconciler) publishIn(ctx context.Context, namespace string, bundle []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	published := &corev1.ConfigMap{}
	err := r.reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: AuthoritySecret}, published)
	if apierrors.IsNotFound(err) {
		return r.createIn(ctx, namespace, bundle)
	}
	if err != nil {
		return fmt.Errorf("read configmap %s/%s: %w", namespace, AuthoritySecret, err)
	}
	if bytes.Equal([]byte(published.Data[authority.CertificateEntry]), bundle) {
		return nil
	}
	patch := client.MergeFromWithOptions(published.DeepCopy(), client.MergeFromWithOptimisticLock{})
	if published.Data == nil {
		published.Data = map[string]string{}
	}
	published.Data[authority.CertificateEntry] = string(bundle)
	if err := r.secret.client.Patch(ctx, published, patch); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("write configmap %s/%s: %w", namespace, AuthoritySecret, err)
	}
	return nil
}

func (r *AuthorityReconciler) createIn(ctx context.Context, namespace string, bundle []byte) error {
	err := r.secret.client.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: AuthoritySecret, Labels: map[string]string{nameLabel: appName}},
		Data:       map[string]string{authority.CertificateEntry: string(bundle)},
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create configmap %s/%s: %w", namespace, AuthoritySecret, err)
	}
	return nil
}
