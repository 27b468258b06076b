package controllers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// secretsOf returns the Secrets that a User may reference: those of its namespace in the cache.
func secretsOf(namespaces *informer.Namespaces, u *authv1alpha1.User) projection.Secrets {
	return func(name string) *corev1.Secret {
		return namespaces.Secret(types.NamespacedName{Namespace: u.Namespace, Name: name})
	}
}
