package projection

import (
	"maps"
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
)

// maximumValue is the length of the longest value of a Secret that the cache keeps, in bytes. The
// longest password and the longest hash are well below it.
const maximumValue = 4096

// OversizedKeys is an annotation that exists only in the cache: the keys whose values were too long
// to keep, one per line.
const OversizedKeys = authv1alpha1.Group + "/oversized-keys"

// Secrets returns the Secret with a name in the user's namespace, or nil if it does not exist.
// Callers must not change the Secret.
type Secrets func(name string) *corev1.Secret

// SlimSecret drops unused metadata of a Secret for a cache, and every value that is too long
// for a password or a hash. It keeps the keys of those values in an annotation, so that a condition
// can name them. It leaves a Secret that is already slim unchanged.
func SlimSecret(secret *corev1.Secret) {
	keys := oversizedKeys(secret)
	SlimObject(secret)
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		if len(secret.Data[key]) > maximumValue {
			delete(secret.Data, key)
			keys = append(keys, key)
		}
	}
	if len(keys) > 0 {
		secret.Annotations = map[string]string{OversizedKeys: strings.Join(keys, "\n")}
	}
}

// isOversized reports whether the value of a key in a Secret is too long, whether or not SlimSecret
// has already dropped it.
func isOversized(secret *corev1.Secret, key string) bool {
	value, kept := secret.Data[key]
	return len(value) > maximumValue || (!kept && slices.Contains(oversizedKeys(secret), key))
}

// oversizedKeys returns the keys whose values SlimSecret has dropped.
func oversizedKeys(secret *corev1.Secret) []string {
	if keys, ok := secret.Annotations[OversizedKeys]; ok {
		return strings.Split(keys, "\n")
	}
	return nil
}

// Intern returns the copy of a string that the whole process shares.
func Intern[S ~string](s S) S { return unique.Make(s).Value() }

// SecretNames returns the names of the Secrets that hold a User's passwords, with duplicates if
// several passwords are in one Secret.
func SecretNames(u *authv1alpha1.User) []string {
	var names []string
	for _, p := range u.Spec.Passwords {
		if ref := p.Source(); ref != nil {
			names = append(names, ref.Name)
		}
	}
	return names
}

// SlimObject drops metadata of an object for a cache that Gatehouse does not read.
// Last-applied annotations and managed fields are often larger than the rest of the object.
func SlimObject(o metav1.Object) {
	o.SetManagedFields(nil)
	o.SetAnnotations(nil)
	o.SetLabels(nil)
	o.SetOwnerReferences(nil)
	o.SetNamespace(Intern(o.GetNamespace()))
}

// SlimStored is SlimObject for a User or a Token that package stored has read. It keeps the notes.
func SlimStored(o metav1.Object) {
	notes := stored.Notes(o)
	SlimObject(o)
	o.SetAnnotations(notes)
}

// SlimToken drops unused metadata of a Token for a cache, and stores strings that many Tokens share only
// once.
func SlimToken(t *authv1alpha1.Token) {
	for i := range t.Status.Conditions {
		SlimCondition(&t.Status.Conditions[i])
	}
	SlimStored(t)
}

// SlimCondition stores strings that many objects share only once.
func SlimCondition(c *metav1.Condition) {
	c.Type, c.Status, c.Reason = Intern(c.Type), Intern(c.Status), Intern(c.Reason)
}
