package controllers

import (
	"maps"
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// maximumValue is the longest value of a Secret that is kept, in bytes. The longest password and the longest hash are well
// below it.
const maximumValue = 4096

// oversizedKeys is an annotation that exists in the cache only: the keys whose values were too long to keep, one a line.
const oversizedKeys = authv1alpha1.Group + "/oversized-keys"

// CacheOptions narrows the manager's cache to the namespaces of the users and to what of their objects is needed. At least
// one namespace must be given. It is not for Users, which have a cache of their own. Bulky Secrets are left out by the API
// server itself, because what is dropped here has been received and decoded before.
//
// Readers of this cache share its objects and must not change them. What was dropped here is still there on the API server,
// so write with a patch, never with an update.
func CacheOptions(namespaces []string) cache.Options {
	watched := make(map[string]cache.Config, len(namespaces))
	for _, ns := range namespaces {
		watched[ns] = cache.Config{}
	}
	shared := true
	return cache.Options{
		DefaultNamespaces: watched,
		NewInformer:       newInformer,
		ByObject: map[client.Object]cache.ByObject{
			&authv1alpha1.Token{}: {Transform: slimObject, UnsafeDisableDeepCopy: &shared},
			&corev1.Secret{}:      {Transform: slimSecret, UnsafeDisableDeepCopy: &shared, Field: exceptBulkySecrets()},
		},
	}
}

// ClientOptions keeps the manager's client from filling a second cache with Users.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&authv1alpha1.User{}}}}
}

// exceptBulkySecrets selects every Secret but those of well-known types that hold no password.
func exceptBulkySecrets() fields.Selector {
	var terms []fields.Selector
	for _, bulky := range []corev1.SecretType{
		"helm.sh/release.v1",
		corev1.SecretTypeServiceAccountToken,
		corev1.SecretTypeTLS,
		corev1.SecretTypeDockerConfigJson,
		corev1.SecretTypeDockercfg,
	} {
		terms = append(terms, fields.OneTermNotEqualSelector("type", string(bulky)))
	}
	return fields.AndSelectors(terms...)
}

// slimObject drops the metadata that nobody here reads; last-applied annotations and managed fields are often larger than
// the object.
func slimObject(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(nil)
		o.SetAnnotations(nil)
		o.SetLabels(nil)
		o.SetOwnerReferences(nil)
		o.SetNamespace(once(o.GetNamespace()))
	}
	return object, nil
}

// slimUser also stores what many users say alike only once.
func slimUser(object any) (any, error) {
	u, ok := object.(*authv1alpha1.User)
	if !ok {
		return object, nil
	}
	u.Kind, u.APIVersion = once(u.Kind), once(u.APIVersion)
	for i, group := range u.Spec.Groups {
		u.Spec.Groups[i] = once(group)
	}
	for _, p := range u.Spec.Passwords {
		if ref := p.Source(); ref != nil {
			ref.Key = once(ref.Key)
		}
	}
	u.Status.State = once(u.Status.State)
	for i := range u.Status.Conditions {
		c := &u.Status.Conditions[i]
		c.Type, c.Status, c.Reason = once(c.Type), once(c.Status), once(c.Reason)
	}
	return slimObject(u)
}

// once returns the one copy of a string that the process keeps.
func once[S ~string](s S) S { return unique.Make(s).Value() }

// slimSecret also drops values that are too long for a password or a hash, and keeps their keys in an annotation, so that a
// condition can say so. A Secret that was slimmed before stays as it is.
func slimSecret(object any) (any, error) {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return object, nil
	}
	keys := oversizedIn(secret)
	if _, err := slimObject(secret); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		if len(secret.Data[key]) > maximumValue {
			delete(secret.Data, key)
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		secret.Annotations = map[string]string{oversizedKeys: strings.Join(keys, "\n")}
	}
	return secret, nil
}

// oversized says whether a key of a cached Secret has a value that was too long to keep, or has one that is.
func oversized(secret *corev1.Secret, key string) bool {
	value, kept := secret.Data[key]
	return len(value) > maximumValue || (!kept && slices.Contains(oversizedIn(secret), key))
}

func oversizedIn(secret *corev1.Secret) []string {
	if keys, ok := secret.Annotations[oversizedKeys]; ok {
		return strings.Split(keys, "\n")
	}
	return nil
}
