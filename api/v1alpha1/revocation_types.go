package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Revocation revokes a User for as long as it exists, as spec.revoked of the User does. It is the
// emergency switch beside a User that a GitOps tool applies: the tool undoes a change of the User
// and leaves a Revocation alone. Deleting the Revocation lets the user log in again and revives no
// token. Anyone who may create Revocations needs no right on Users.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=gatehouse,shortName=ghr
// +kubebuilder:metadata:annotations={"helm.sh/resource-policy=keep","argocd.argoproj.io/sync-options=Prune=false,Delete=false","kustomize.toolkit.fluxcd.io/prune=disabled"}
// +kubebuilder:selectablefield:JSONPath=`.spec.userRef.name`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.userRef.name`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Revocation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says who is revoked, why and until when. It is immutable: delete the Revocation and
	// create another one.
	// +required
	Spec RevocationSpec `json:"spec"`
}

// RevocationSpec says who is revoked, why and until when.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable"
type RevocationSpec struct {
	// userRef is the User that is revoked. It need not exist yet.
	// +required
	UserRef UserNameReference `json:"userRef"`

	// reason says why, for people to read.
	// Example: laptop stolen, ticket 4711
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\x00-\x1f\x7f-\x9f]+$')`,message="must not contain control characters"
	Reason string `json:"reason"`

	// expiresAt is the time from which the user may log in again. Absent: when the Revocation is
	// deleted.
	// Example: "2028-01-01T00:00:00Z"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// UserNameReference names a User in the same namespace, including a later User of the same name.
type UserNameReference struct {
	// name is the User's metadata.name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="must consist of lower-case letters, digits, '-' and '.', and begin and end with a letter or digit"
	Name string `json:"name"`
}

// RevocationList is a list of Revocations.
//
// +kubebuilder:object:root=true
type RevocationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Revocation `json:"items"`
}
