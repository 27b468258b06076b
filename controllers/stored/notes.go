package stored

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// faultNote is the name of the note that holds the fault.
const faultNote = authv1alpha1.Group + "/unreadable"

// Fault returns why a User or a Token could not be read completely, or "" if it could.
func Fault(o metav1.Object) string { return o.GetAnnotations()[faultNote] }

// Notes returns the notes of an object, or nil if it has none.
func Notes(o metav1.Object) map[string]string {
	if fault := Fault(o); fault != "" {
		return map[string]string{faultNote: fault}
	}
	return nil
}

// DropNotes removes the notes of an object, which are for no one outside the process.
func DropNotes(o metav1.Object) { delete(o.GetAnnotations(), faultNote) }
