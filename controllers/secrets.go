package controllers

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
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

// secretsOf returns the Secrets that a User may reference: those of its namespace in the cache.
func secretsOf(namespaces *informer.Namespaces, u *authv1alpha1.User) projection.Secrets {
	return func(name string) *corev1.Secret {
		return namespaces.Secret(types.NamespacedName{Namespace: u.Namespace, Name: name})
	}
}
