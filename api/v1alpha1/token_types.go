package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Token is the record of one issued token. Only tokens with a label, tokens that live longer than 24
// hours, and tokens that were revoked individually have a record, which Gatehouse deletes after the
// token has expired. The record does not contain the token and cannot be used to log in.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories=gatehouse,shortName=ght
// +kubebuilder:metadata:annotations={"helm.sh/resource-policy=keep","argocd.argoproj.io/sync-options=Prune=false,Delete=false","kustomize.toolkit.fluxcd.io/prune=disabled"}
// +kubebuilder:selectablefield:JSONPath=`.spec.userRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.userRef.uid`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.userRef.name`
// +kubebuilder:printcolumn:name="Label",type=string,JSONPath=`.spec.label`
// +kubebuilder:printcolumn:name="Issued",type=date,JSONPath=`.spec.issuedAt`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Revoked",type=boolean,JSONPath=`.spec.revoked`
// +kubebuilder:printcolumn:name="Enforced",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Enforced")].status`
// +kubebuilder:printcolumn:name="Kind",type=string,priority=1,JSONPath=`.spec.kind`
// +kubebuilder:printcolumn:name="Client",type=string,priority=1,JSONPath=`.spec.client`
type Token struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec describes the token. It can change only by revoking the token.
	// +required
	Spec TokenSpec `json:"spec"`

	// status says whether the revocation of the token is in force.
	// +optional
	Status TokenStatus `json:"status,omitzero"`
}

// TokenFinalizer is the finalizer of a revoked Token. It keeps the record until the token has ended, so
// that no one brings a revoked token back to life by deleting its record.
const TokenFinalizer = Group + "/revoked"

// UserUIDLabel is the label in a Token's metadata that selects all Tokens of a user.
const UserUIDLabel = Group + "/user-uid"

// TokenSpec describes one issued token. It is immutable, except that revoked can change from false
// to true. A revoked token may lose label, description and client, which Gatehouse then removes.
//
// +kubebuilder:validation:XValidation:rule="has(self.label) == has(oldSelf.label) || (!has(self.label) && self.?revoked.orValue(false))",message="only revoked can change"
// +kubebuilder:validation:XValidation:rule="has(self.description) == has(oldSelf.description) || (!has(self.description) && self.?revoked.orValue(false))",message="only revoked can change"
// +kubebuilder:validation:XValidation:rule="has(self.client) == has(oldSelf.client) || (!has(self.client) && self.?revoked.orValue(false))",message="only revoked can change"
// +kubebuilder:validation:XValidation:rule="has(self.authenticatedAt) == has(oldSelf.authenticatedAt) && has(self.final) == has(oldSelf.final)",message="only revoked can change"
// +kubebuilder:validation:XValidation:rule="!oldSelf.?revoked.orValue(false) || self.?revoked.orValue(false)",message="a revoked token stays revoked"
// +kubebuilder:validation:XValidation:rule="self.issuedAt < self.expiresAt",message="expiresAt must be later than issuedAt"
type TokenSpec struct {
	// userRef is the User that the token was issued to.
	// +required
	UserRef UserReference `json:"userRef"`

	// tokenID is the token's own id: the claim "jti" of a JWT, or the public first part of an
	// opaque token.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	TokenID string `json:"tokenID"`

	// kind is the form of the token.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	Kind TokenKind `json:"kind"`

	// label is the name that the user gave the token, unique among the user's live tokens. Absent:
	// none.
	// Example: four-hour token
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f-\x9f]+$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	Label string `json:"label,omitempty"`

	// description is free text from the client, at most 1024 bytes. Absent: none.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="bytes(self).size() <= 1024",message="must have at most 1024 bytes"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	Description string `json:"description,omitempty"`

	// client is the name that the client gave itself, as free text of at most 1024 bytes. Absent: none.
	// Example: PE console
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="bytes(self).size() <= 1024",message="must have at most 1024 bytes"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	Client string `json:"client,omitempty"`

	// issuedAt is the time when the token was issued, with exactly six fractional digits.
	// Example: "2026-11-22T08:00:00.123000Z"
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	IssuedAt metav1.MicroTime `json:"issuedAt"`

	// expiresAt is the time when the token expires, with exactly six fractional digits.
	// Example: "2026-11-22T12:00:00.123000Z"
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	ExpiresAt metav1.MicroTime `json:"expiresAt"`

	// authenticatedAt is the time when the user gave the password that the token stems from, if the
	// token was made from another token, with exactly six fractional digits. What is made from the
	// token ends at the latest when the longest token issued then would. Absent: issuedAt.
	// Example: "2026-11-22T08:00:00.123000Z"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	AuthenticatedAt *metav1.MicroTime `json:"authenticatedAt,omitempty"`

	// final means that nothing made from the token ends after it, because the token was made from a
	// JWT. Absent: false.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	Final bool `json:"final,omitempty"`

	// revoked makes the token void at once and permanently when set to true. Absent: false.
	// +optional
	Revoked bool `json:"revoked,omitempty"`
}

// TokenStatus says whether the revocation of a token is in force.
type TokenStatus struct {
	// conditions has Enforced, if the token is revoked: it is True when every replica refuses the
	// token.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TokenKind is the form of a token.
//
// +kubebuilder:validation:Enum=JWT;Opaque
type TokenKind string

// The forms of a token.
const (
	// TokenJWT is a signed token that anyone can verify with the published keys.
	TokenJWT TokenKind = "JWT"
	// TokenOpaque is a sealed token that only the service can read.
	TokenOpaque TokenKind = "Opaque"
)

// UserReference identifies one User, and not a later User of the same name.
type UserReference struct {
	// name is the User's metadata.name, in the Token's own namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	Name string `json:"name"`

	// uid is the User's metadata.uid.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	UID string `json:"uid"`
}

// TokenList is a list of Tokens.
//
// +kubebuilder:object:root=true
type TokenList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Token `json:"items"`
}
