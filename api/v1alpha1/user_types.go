package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// User is somebody who may log in and get tokens. Its metadata.uid is the identity that tokens carry: a User deleted and
// made anew is another user, and the tokens of the first stay dead.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories=gatehouse
// +kubebuilder:selectablefield:JSONPath=`.spec.login`
// +kubebuilder:printcolumn:name="Login",type=string,JSONPath=`.spec.login`,description="What a client types; empty where it is the name"
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Last token",type=date,priority=1,JSONPath=`.status.lastTokenIssuedAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type User struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the owner of the account wants. Gatehouse never writes it.
	// +required
	Spec UserSpec `json:"spec"`

	// status is what Gatehouse knows about the account.
	// +optional
	Status UserStatus `json:"status,omitzero"`

	// Unreadable says why the stored object could not be read as a whole, and is empty for every other. It is not stored.
	Unreadable string `json:"-"`
}

// UserSpec is what the owner of an account wants.
type UserSpec struct {
	// login is what a client types as its name. Absent: metadata.name. Logins compare byte for byte; when two Users have
	// the same one, the older keeps it. 1 to 255 characters without ':' and control characters.
	// Example: jeanjackson@example.com
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^:\x00-\x1f\x7f-\x9f]+$`
	Login string `json:"login,omitempty"`

	// displayName is the name that people read; tokens carry it as claim "name". Absent: no such claim.
	// Example: Jean Jackson
	// +optional
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\x00-\x1f\x7f-\x9f]*$`
	DisplayName string `json:"displayName,omitempty"`

	// email is a mail address; tokens carry it as claim "email". Absent: no such claim.
	// Example: jeanjackson@example.com
	// +optional
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:Pattern=`^[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s\x00-\x1f\x7f-\x9f]+$`
	Email string `json:"email,omitempty"`

	// groups are the groups the user is in; tokens carry them as claim "groups". Absent: none. A group has no comma,
	// because some services receive the groups as one list joined by commas.
	// Example: [operators]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:Pattern=`^[^,\x00-\x1f\x7f-\x9f]+$`
	Groups []string `json:"groups,omitempty"`

	// passwords are the user's passwords, at most 4. Any of them logs in, so that two can overlap while one is being
	// replaced. Absent or empty: the user exists and cannot log in.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4
	Passwords []Password `json:"passwords,omitempty"`

	// revoked true stops the account at once: no login, and every token it was ever given is void while it is revoked.
	// Absent: false.
	// +optional
	Revoked bool `json:"revoked,omitempty"`

	// expiresAt is when the account ends, to the second. Absent: never.
	// Example: "2028-01-01T00:00:00Z"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// tokensValidAfter makes every token void that was issued up to and including this second. Absent: no token is void
	// for this reason. While it lies in the future, the user can log in but every token is void.
	// Example: "2026-11-22T00:00:00Z"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	TokensValidAfter *metav1.Time `json:"tokensValidAfter,omitempty"`

	// tokenPolicy narrows the service's own limits on lifetimes for this user. Absent: the service's limits.
	// +optional
	TokenPolicy *TokenPolicy `json:"tokenPolicy,omitempty"`
}

// Password is one password of a user, as a hash or, for machines, in plain text.
//
// +kubebuilder:validation:XValidation:rule="has(self.hashFrom) != has(self.plaintextFrom)",message="set exactly one of hashFrom and plaintextFrom"
type Password struct {
	// hashFrom says where the hash of the password is: bcrypt ("$2b$...") or argon2id ("$argon2id$...") are the best
	// choices. One newline at its end is ignored.
	// +optional
	HashFrom *SecretSource `json:"hashFrom,omitempty"`

	// plaintextFrom says where the password itself is. It is meant for machines: the client mounts the same
	// kubernetes.io/basic-auth Secret. A newline at its end is part of the password.
	// +optional
	PlaintextFrom *SecretSource `json:"plaintextFrom,omitempty"`

	// expiresAt is when this password, not the account, ends, to the second. Absent: never.
	// Example: "2027-06-30T00:00:00Z"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// Source returns where the password is kept, whichever of the two ways was used, or nil if neither was.
func (p Password) Source() *SecretKeyRef {
	switch {
	case p.HashFrom != nil:
		return &p.HashFrom.SecretKeyRef
	case p.PlaintextFrom != nil:
		return &p.PlaintextFrom.SecretKeyRef
	default:
		return nil
	}
}

// SecretSource names the place of a value that must not stand in a User.
type SecretSource struct {
	// secretKeyRef is a key of a Secret in the User's own namespace.
	// +required
	SecretKeyRef SecretKeyRef `json:"secretKeyRef"`
}

// SecretKeyRef is a key of a Secret in the same namespace.
type SecretKeyRef struct {
	// name is the Secret's name. Example: jeanjackson-password
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`

	// key is the key within the Secret's data. Example: passwordHash
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key"`
}

// TokenPolicy narrows the lifetimes of one user's tokens. Lifetimes are Go durations of at least one second, like "90s",
// "1h" or "1h30m".
//
// +kubebuilder:validation:XValidation:rule="!has(self.defaultLifetime) || !has(self.maximumLifetime) || duration(self.defaultLifetime) <= duration(self.maximumLifetime)",message="defaultLifetime must not be longer than maximumLifetime"
type TokenPolicy struct {
	// defaultLifetime is the lifetime of an opaque token when the client asks for none. Absent: the service's default.
	// Example: 1h
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,10}(\.[0-9]{1,9})?(h|m|s|ms|us|ns))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="must be a Go duration of at least 1s, such as 90s, 1h or 1h30m"
	DefaultLifetime *metav1.Duration `json:"defaultLifetime,omitempty"`

	// maximumLifetime is the longest lifetime of any token; a longer one asked for is cut. Absent: the service's maximum.
	// Example: 24h
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]{1,10}(\.[0-9]{1,9})?(h|m|s|ms|us|ns))+$`
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="must be a Go duration of at least 1s, such as 90s, 1h or 1h30m"
	MaximumLifetime *metav1.Duration `json:"maximumLifetime,omitempty"`
}

// UserState sums up whether a user can log in.
//
// +kubebuilder:validation:Enum=Active;Revoked;Expired;PasswordExpired;Locked;Invalid
type UserState string

// The states of a user. When several hold, the first of this list is shown, but Active only when none does.
const (
	// UserActive: at least one password logs in.
	UserActive UserState = "Active"
	// UserRevoked: spec.revoked is true.
	UserRevoked UserState = "Revoked"
	// UserExpired: spec.expiresAt has come.
	UserExpired UserState = "Expired"
	// UserInvalid: another User holds the login, or no password is usable; the Ready condition says which.
	UserInvalid UserState = "Invalid"
	// UserPasswordExpired: every usable password has expired.
	UserPasswordExpired UserState = "PasswordExpired"
	// UserLocked: too many failed logins; status.lockedUntil says until when.
	UserLocked UserState = "Locked"
)

// UserStatus is what Gatehouse knows about an account. Setting lockedUntil to null lifts a lock; everything else is for
// reading.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.tokensRevokedAt) || (has(self.tokensRevokedAt) && self.tokensRevokedAt >= oldSelf.tokensRevokedAt)",message="tokensRevokedAt never moves back"
type UserStatus struct {
	// observedGeneration is the metadata.generation that state and conditions are about.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// state sums up whether the user can log in. Absent: not looked at yet.
	// +optional
	State UserState `json:"state,omitempty"`

	// lockedUntil is when a lock for too many failed logins ends. Absent or past: not locked. Setting it to null lifts
	// the lock on all replicas.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	LockedUntil *metav1.Time `json:"lockedUntil,omitempty"`

	// failedLogins is how many logins in a row have failed, as far as the replicas have reported. Absent: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	FailedLogins int32 `json:"failedLogins,omitempty"`

	// tokensRevokedAt makes every token void that was issued up to and including this second. It is set when somebody
	// revokes all tokens of the user through the API and never moves back. Absent: that never happened.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	TokensRevokedAt *metav1.Time `json:"tokensRevokedAt,omitempty"`

	// lastTokenIssuedAt is about when the user last got a token; it is written in batches and may lag. Absent: never.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	LastTokenIssuedAt *metav1.Time `json:"lastTokenIssuedAt,omitempty"`

	// conditions say in words how the user stands. Ready is always there; the others only while they are true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// UserList is a list of Users.
//
// +kubebuilder:object:root=true
type UserList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []User `json:"items"`
}

// EffectiveLogin returns what a client types as its name: spec.login or, without one, metadata.name.
func (u *User) EffectiveLogin() string {
	if u.Spec.Login != "" {
		return u.Spec.Login
	}
	return u.Name
}
