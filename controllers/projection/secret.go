package projection

import (
	"maps"
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// maximumValue is the longest value of a Secret that is kept, in bytes. The longest password and the longest hash are well
// below it.
const maximumValue = 4096

// OversizedKeys is an annotation that exists in the cache only: the keys whose values were too long to keep, one a line.
const OversizedKeys = authv1alpha1.Group + "/oversized-keys"

// Secrets returns a Secret by its name in the user's namespace, or nil if there is none. Nobody may change what it returns.
type Secrets func(name string) *corev1.Secret

// SlimSecret also drops values that are too long for a password or a hash, and keeps their keys in an annotation, so that a
// condition can say so. A Secret that was slimmed before stays as it is.
func SlimSecret(object any) (any, error) {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return object, nil
	}
	keys := oversizedIn(secret)
	if _, err := SlimObject(secret); err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		if len(secret.Data[key]) > maximumValue {
			delete(secret.Data, key)
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		secret.Annotations = map[string]string{OversizedKeys: strings.Join(keys, "\n")}
	}
	return secret, nil
}

// oversized says whether a key of a cached Secret has a value that was too long to keep, or has one that is.
func oversized(secret *corev1.Secret, key string) bool {
	value, kept := secret.Data[key]
	return len(value) > maximumValue || (!kept && slices.Contains(oversizedIn(secret), key))
}

func oversizedIn(secret *corev1.Secret) []string {
	if keys, ok := secret.Annotations[OversizedKeys]; ok {
		return strings.Split(keys, "\n")
	}
	return nil
}

// Intern returns the one copy of a string that the process keeps.
func Intern[S ~string](s S) S { return unique.Make(s).Value() }

// SecretNames are the Secrets that a User's passwords are in; one may be named several times.
func SecretNames(u *authv1alpha1.User) []string {
	var names []string
	for _, p := range u.Spec.Passwords {
		if ref := p.Source(); ref != nil {
			names = append(names, ref.Name)
		}
	}
	return names
}

// SlimObject drops the metadata that nobody here reads; last-applied annotations and managed fields are often larger than
// the object.
func SlimObject(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(nil)
		o.SetAnnotations(nil)
		o.SetLabels(nil)
		o.SetOwnerReferences(nil)
		o.SetNamespace(Intern(o.GetNamespace()))
	}
	return object, nil
}
