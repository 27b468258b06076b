package informer

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

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
		NewInformer:       NewRetryingInformer,
		ByObject: map[client.Object]cache.ByObject{
			&authv1alpha1.Token{}: {Transform: projection.SlimObject, UnsafeDisableDeepCopy: &shared},
			&corev1.Secret{}:      {Transform: projection.SlimSecret, UnsafeDisableDeepCopy: &shared, Field: exceptBulkySecrets()},
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

// slimUser also stores what many users say alike only once.
func slimUser(object any) (any, error) {
	u, ok := object.(*authv1alpha1.User)
	if !ok {
		return object, nil
	}
	u.Kind, u.APIVersion = projection.Intern(u.Kind), projection.Intern(u.APIVersion)
	for i, group := range u.Spec.Groups {
		u.Spec.Groups[i] = projection.Intern(group)
	}
	for _, p := range u.Spec.Passwords {
		if ref := p.Source(); ref != nil {
			ref.Key = projection.Intern(ref.Key)
		}
	}
	u.Status.State = projection.Intern(u.Status.State)
	for i := range u.Status.Conditions {
		c := &u.Status.Conditions[i]
		c.Type, c.Status, c.Reason = projection.Intern(c.Type), projection.Intern(c.Status), projection.Intern(c.Reason)
	}
	return projection.SlimObject(u)
}
