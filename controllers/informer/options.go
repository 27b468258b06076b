package informer

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// CacheOptions returns options that restrict the manager's cache to the service's own namespace, with
// its Leases. The objects of users and Tenants have caches of their own: see Namespaces and Tenants.
func CacheOptions(own string) cache.Options {
	return cache.Options{DefaultNamespaces: map[string]cache.Config{own: {}}, NewInformer: NewRetryingInformer}
}

// ClientOptions returns options that keep the manager's client from filling a second cache with the
// objects of users.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{
		&authv1alpha1.User{}, &authv1alpha1.Token{}, &authv1alpha1.Revocation{}, &authv1alpha1.Tenant{}, &corev1.Secret{},
	}}}
}

// exceptBulkySecrets selects all Secrets except those of well-known types that do not hold
// passwords.
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

// slimUser drops unused metadata of a User for a cache, and stores strings that many users share only once.
func slimUser(u *authv1alpha1.User) {
	u.Kind, u.APIVersion = projection.Intern(u.Kind), projection.Intern(u.APIVersion)
	for i, group := range u.Spec.Groups {
		u.Spec.Groups[i] = projection.Intern(group)
	}
	for i, audience := range u.Spec.Audiences {
		u.Spec.Audiences[i] = projection.Intern(audience)
	}
	for _, p := range u.Spec.Passwords {
		if ref := p.Source(); ref != nil {
			ref.Key = projection.Intern(ref.Key)
		}
	}
	u.Status.State = projection.Intern(u.Status.State)
	for i := range u.Status.Conditions {
		projection.SlimCondition(&u.Status.Conditions[i])
	}
	projection.SlimStored(u)
}
