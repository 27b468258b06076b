package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Token is the record of one issued token. Only tokens with a label and tokens that were revoked
// individually have a record, which Gatehouse deletes after the token has expired. The record does
// not contain the token and cannot be used to log in.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=gatehouse
// +kubebuilder:selectablefield:JSONPath=`.spec.userRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.userRef.uid`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.userRef.name`
// +kubebuilder:printcolumn:name="Label",type=string,JSONPath=`.spec.label`
// +kubebuilder:printcolumn:name="Issued",type=date,JSONPath=`.spec.issuedAt`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Revoked",type=boolean,JSONPath=`.spec.revoked`
// +kubebuilder:printcolumn:name="Kind",type=string,priority=1,JSONPath=`.spec.kind`
// +kubebuilder:printcolumn:name="Client",type=string,priority=1,JSONPath=`.spec.client`
type Token struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec describes the token. Only revoked can change.
	// +required
	Spec TokenSpec `json:"spec"`

	// Unreadable says why the stored object could not be read completely, and is empty if it could.
	// It is not stored.
	Unreadable string `json:"-"`
}

// TokenSpec describes one issued token. It is immutable, except that revoked can change from false
// to true.
//
// +kubebuilder:validation:XValidation:rule="has(self.label) == has(oldSelf.label) && has(self.description) == has(oldSelf.description) && has(self.client) == has(oldSelf.client)",message="only revoked can change"
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

	// description is free text from the client. Absent: none.
	// +optional
	// +kubebuilder:validation:MaxLength=65536
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="only revoked can change"
	Description string `json:"description,omitempty"`

	// client is the name that the client gave itself, as free text. Absent: none.
	// Example: PE console
	// +optional
	// +kubebuilder:validation:MaxLength=65536
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

	// revoked makes the token void at once and permanently when set to true. Absent: false.
	// +optional
	Revoked bool `json:"revoked,omitempty"`
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
