package controllers

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gatehouse-auth/gatehouse/internal/authority"
)

// AuthoritySecret is the name of the Secret with the service's own CA, and of the ConfigMaps in which its certificate is
// published under the key ca.crt.
const AuthoritySecret = "gatehouse-ca"

// publishTimeout is how long one ConfigMap may take.
const publishTimeout = 5 * time.Second

// AuthorityReconciler keeps the server certificate of this replica made from the CA that all replicas share, and the CA
// itself alive: made at first start, followed by the next one long before it ends, published for clients. It watches the
// Secret, so a change needs no restart, and it runs on every replica. What cannot be read is reported and left alone, and the
// CA before it stays in force.
type AuthorityReconciler struct {
	Namespace string   // the service's own
	Publish   []string // namespaces that get the certificate, beside the service's own
	Source    *authority.Source
	Now       func() time.Time

	secret   *systemSecret
	reader   client.Reader // not a cache: a look a minute is less than a watch in every namespace
	recorder events.EventRecorder
	reported string // the last complaint
}

// +kubebuilder:rbac:groups="",resources=secrets,verbs=create,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=secrets,resourceNames=gatehouse-ca,verbs=get;list;watch;patch,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=create,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=configmaps,resourceNames=gatehouse-ca,verbs=get;patch,namespace=gatehouse-system
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=create,namespace=gatehouse-users
// +kubebuilder:rbac:groups="",resources=configmaps,resourceNames=gatehouse-ca,verbs=get;patch,namespace=gatehouse-users
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch,namespace=gatehouse-system

// SetupWithManager lets the manager call Reconcile at start, for every change of the Secret, and about once a minute.
func (r *AuthorityReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.recorder, r.reader = mgr.GetEventRecorder(appName), mgr.GetAPIReader()
	key := types.NamespacedName{Namespace: r.Namespace, Name: AuthoritySecret}
	return watchSystemSecret(mgr, key, func(secret *systemSecret) reconcile.Reconciler {
		r.secret = secret
		return r
	})
}

// Reconcile puts the stored CA in force, writes what is due, and publishes the certificate.
func (r *AuthorityReconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	secret, err := r.secret.read(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	var stored authority.Authority
	if len(secret.Data) > 0 {
		if stored, err = authority.Parse(secret.Data); err != nil {
			r.report(ctx, secret, err)
			return requeueSoon(), nil
		}
		r.reported = ""
		if err := r.Source.Use(stored); err != nil {
			return ctrl.Result{}, err
		}
		r.publish(ctx, stored.Bundle())
	}
	next, err := stored.Advance(r.Now())
	if err != nil || (len(secret.Data) > 0 && next.Equal(stored)) {
		return requeueSoon(), err
	}
	entries, err := next.Encode()
	if err != nil {
		return ctrl.Result{}, err
	}
	data := maps.Clone(secret.Data)
	if data == nil {
		data = map[string][]byte{}
	}
	maps.Copy(data, entries)
	return requeueSoon(), r.secret.write(ctx, secret, data, secret.Annotations)
}

func (r *AuthorityReconciler) report(ctx context.Context, secret *corev1.Secret, err error) {
	if r.reported == err.Error() {
		return
	}
	r.reported = err.Error()
	log.FromContext(ctx).Error(err, "the CA cannot be read and is left alone; delete the secret to get a new one")
	r.recorder.Eventf(secret, nil, corev1.EventTypeWarning, "CAUnreadable", "ReadCA",
		"This is no CA with its key, and is left alone: put both back, or delete the Secret to get a new CA.")
}

// publish makes the ConfigMaps show the certificates to trust. Where that cannot be done, service goes on, and the next look
// tries again.
func (r *AuthorityReconciler) publish(ctx context.Context, bundle []byte) {
	for _, namespace := range append([]string{r.Namespace}, r.Publish...) {
		if err := r.publishIn(ctx, namespace, bundle); err != nil {
			log.FromContext(ctx).Info("the certificate of the CA is not published", "namespace", namespace, "reason", err.Error())
		}
	}
}

func (r *AuthorityReconciler) publishIn(ctx context.Context, namespace string, bundle []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	published := &corev1.ConfigMap{}
	err := r.reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: AuthoritySecret}, published)
	if apierrors.IsNotFound(err) {
		return r.firstIn(ctx, namespace, bundle)
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

func (r *AuthorityReconciler) firstIn(ctx context.Context, namespace string, bundle []byte) error {
	err := r.secret.client.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: AuthoritySecret, Labels: map[string]string{nameLabel: appName}},
		Data:       map[string]string{authority.CertificateEntry: string(bundle)},
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create configmap %s/%s: %w", namespace, AuthoritySecret, err)
	}
	return nil
}
