package informer

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// CacheOptions returns options that restrict the manager's cache to the namespaces of the users and
// to the parts of their objects that Gatehouse needs, and to the Leases in the service's own
// namespace. At least one namespace is required. The options do not cover Users, which have their
// own cache. progress learns what the cache receives. The API server itself leaves out bulky Secrets, because an object that a transform
// drops has already been received and decoded.
//
// Readers of this cache share its objects and must not change them. The parts that are dropped here
// still exist on the API server, so write with a patch, never with an update.
func CacheOptions(namespaces []string, own string, progress *Progress) cache.Options {
	watched := make(map[string]cache.Config, len(namespaces))
	for _, ns := range namespaces {
		watched[ns] = cache.Config{}
	}
	shared := true
	return cache.Options{
		DefaultNamespaces: watched,
		NewInformer:       progress.NewInformer,
		ByObject: map[client.Object]cache.ByObject{
			&authv1alpha1.Token{}:   {Transform: projection.SlimToken, UnsafeDisableDeepCopy: &shared},
			&coordinationv1.Lease{}: {Namespaces: map[string]cache.Config{own: {}}},
			&corev1.Secret{}:        {Transform: projection.SlimSecret, UnsafeDisableDeepCopy: &shared, Field: exceptBulkySecrets()},
		},
	}
}

// ClientOptions returns options that keep the manager's client from filling a second cache with
// Users.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&authv1alpha1.User{}}}}
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

// slimUser is a transform for the cache of Users that drops unused metadata and stores strings that
// many users share only once.
func slimUser(object any) (any, error) {
	u, ok := object.(*authv1alpha1.User)
	if !ok {
		return object, nil
	}
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
	return projection.SlimObject(u)
}
