package stored

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// The names of the notes.
const (
	faultNote    = authv1alpha1.Group + "/unreadable"
	misownedNote = authv1alpha1.Group + "/misowned"
)

// Fault returns why a User or a Token could not be read completely, or "" if it could.
func Fault(o metav1.Object) string { return o.GetAnnotations()[faultNote] }

// Misowned reports whether a Token lacks the owner or the label that Gatehouse gives it, or has another
// owner besides.
func Misowned(t *authv1alpha1.Token) bool {
	_, noted := t.Annotations[misownedNote]
	return noted
}

// Notes returns the notes of an object, or nil if it has none.
func Notes(o metav1.Object) map[string]string {
	var notes map[string]string
	for _, name := range [...]string{faultNote, misownedNote} {
		if text, ok := o.GetAnnotations()[name]; ok {
			if notes == nil {
				notes = map[string]string{}
			}
			notes[name] = text
		}
	}
	return notes
}

// DropNotes removes the notes of an object, which are for no one outside the process.
func DropNotes(o metav1.Object) {
	delete(o.GetAnnotations(), faultNote)
	delete(o.GetAnnotations(), misownedNote)
}

// hasOwner reports whether a Token is owned by its User and by nothing else, and has the label of its
// User.
func hasOwner(t *authv1alpha1.Token) bool {
	if len(t.OwnerReferences) != 1 || t.Labels[authv1alpha1.UserUIDLabel] != t.Spec.UserRef.UID {
		return false
	}
	o, ref := t.OwnerReferences[0], t.Spec.UserRef
	return o.APIVersion == authv1alpha1.GroupVersion.String() && o.Kind == "User" && o.Name == ref.Name && string(o.UID) == ref.UID
}
