package controllers

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// secretDataChanged returns a predicate that passes the update of a Secret only if its values
// differ, because tools that sync Secrets change the metadata often. It drops the Secrets that
// exist at start: no User is reconciled before they are in the cache, and then every User is.
func secretDataChanged() predicate.Predicate {
	return predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList }, UpdateFunc: func(e event.UpdateEvent) bool {
		before, wasSecret := e.ObjectOld.(*corev1.Secret)
		after, isSecret := e.ObjectNew.(*corev1.Secret)
		return !wasSecret || !isSecret || before.UID != after.UID ||
			!maps.EqualFunc(before.Data, after.Data, func(a, b []byte) bool { return string(a) == string(b) }) ||
			before.Annotations[projection.OversizedKeys] != after.Annotations[projection.OversizedKeys]
	}}
}

// secretsOf reads the Secrets that a User references from the cache, each one once.
func secretsOf(ctx context.Context, reader client.Reader, u *authv1alpha1.User) (projection.Secrets, error) {
	found := map[string]*corev1.Secret{}
	for _, name := range projection.SecretNames(u) {
		if _, known := found[name]; known {
			continue
		}
		secret := &corev1.Secret{}
		err := reader.Get(ctx, types.NamespacedName{Namespace: u.Namespace, Name: name}, secret)
		switch {
		case apierrors.IsNotFound(err):
			found[name] = nil
		case err != nil:
			return nil, fmt.Errorf("read Secret %s/%s: %w", u.Namespace, name, err)
		default:
			found[name] = secret
		}
	}
	return func(name string) *corev1.Secret { return found[name] }, nil
}
