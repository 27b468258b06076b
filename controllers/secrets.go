package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

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
