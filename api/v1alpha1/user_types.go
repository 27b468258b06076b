package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// User is a person or a machine that may log in and get tokens. Tokens carry its metadata.uid as
// the identity: a User that is deleted and created again is another user, and the tokens of the
// first one stay void.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories=gatehouse,shortName=ghu
// +kubebuilder:metadata:annotations={"helm.sh/resource-policy=keep","argocd.argoproj.io/sync-options=Prune=false,Delete=false","kustomize.toolkit.fluxcd.io/prune=disabled"}
// +kubebuilder:selectablefield:JSONPath=`.spec.login`
// +kubebuilder:printcolumn:name="Login",type=string,JSONPath=`.status.login`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.state`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Login allowed",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="LoginAllowed")].status`
// +kubebuilder:printcolumn:name="Service accounts",type=string,priority=1,JSONPath=`.spec.identities[*].serviceAccount.name`
// +kubebuilder:printcolumn:name="Issuers",type=string,priority=1,JSONPath=`.spec.identities[*].federated.issuer`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Last token",type=date,priority=1,JSONPath=`.status.lastTokenIssuedAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.tokensRevokedAt) || (has(self.status) && has(self.status.tokensRevokedAt))",message="status.tokensRevokedAt cannot be removed"
type User struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired account. Gatehouse never writes it.
	// +required
	Spec UserSpec `json:"spec"`

	// status is the observed state of the account.
	// +optional
	// +kubebuilder:default={conditions: {{type: "Ready", status: "Unknown", reason: "Pending", message: "Gatehouse has not processed the User yet", lastTransitionTime: "1970-01-01T00:00:00Z"}}}
	Status UserStatus `json:"status,omitzero"`
}

// UserSpec is the desired account.
type UserSpec struct {
	// login is the name that the user logs in with. Absent: metadata.name. Logins compare byte for
	// byte. If two Users of a namespace have the same login, the older User keeps it; if they are in
	// two namespaces, the configuration of the service says whose it is. 1 to 255 characters without
	// ':', control characters and invisible format characters, and without spaces at either end.
	// Example: jeanjackson@example.com
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^:\s\p{Z}\x00-\x1f\x7f-\x9f\p{Cf}]([^:\x00-\x1f\x7f-\x9f\p{Cf}]*[^:\s\p{Z}\x00-\x1f\x7f-\x9f\p{Cf}])?$')`,message="must not contain ':', control characters or invisible format characters, nor begin or end with a space"
	Login string `json:"login,omitempty"`

	// displayName is the user's name for people to read; tokens carry it as the claim "name".
	// Absent: no such claim.
	// Example: Jean Jackson
	// +optional
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\x00-\x1f\x7f-\x9f]*$')`,message="must not contain control characters"
	DisplayName string `json:"displayName,omitempty"`

	// email is the user's email address; tokens carry it as the claim "email". Absent: no such
	// claim.
	// Example: jeanjackson@example.com
	// +optional
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s\x00-\x1f\x7f-\x9f]+$')`,message="must be an email address, such as jeanjackson@example.com"
	Email string `json:"email,omitempty"`

	// groups are the groups that the user is a member of; tokens carry them as the claim "groups".
	// Absent: none. A group cannot contain a comma, because some services receive the groups as one
	// list joined by commas, nor control characters and invisible format characters. It cannot begin
	// with "system:", which is reserved for Kubernetes: an API server that trusts Gatehouse would take
	// such a group for one of its own. All groups have at most 4096 bytes, so that they fit in a token.
	// Example: [operators]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.map(group, bytes(group).size()).sum() <= 4096",message="the groups have more than 4096 bytes in all, too many for a token"
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^[^,\x00-\x1f\x7f-\x9f\p{Cf}]+$')`,message="a group must not contain commas, control characters or invisible format characters"
	// +kubebuilder:validation:items:XValidation:rule="!self.startsWith('system:')",message="groups that begin with system: are reserved for Kubernetes"
	Groups []string `json:"groups,omitempty"`

	// audiences are what else, beside the service's own audience, this user may get JWTs for. A client
	// asks for one of them with the parameter "resource" or "audience" of /oauth2/token; without one,
	// a token is for the service's own audience. A service that verifies tokens offline, or a
	// Kubernetes API server, accepts only tokens of its own audience. Absent: none.
	// Example: [https://kubernetes.example.com]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^[^\s\p{Z}\x00-\x1f\x7f-\x9f\p{Cf}]+$')`,message="an audience must not contain white space, control characters or invisible format characters"
	Audiences []string `json:"audiences,omitempty"`

	// passwords are the user's passwords, at most 4, each with a name of its own. The user can log
	// in with any of them, so that two can overlap while one is being replaced. Absent or empty: the
	// user exists but cannot log in.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=4
	Passwords []Password `json:"passwords,omitempty"`

	// identities are tokens of other issuers that log this user in, in the place of a password, at
	// most 16. An identity belongs to one User; if several claim it, it is decided as with logins who
	// keeps it. Absent or empty: the user needs a password.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Identities []Identity `json:"identities,omitempty"`

	// revoked disables the account at once when set to true: the user cannot log in, and every
	// token of the user is void for good. Setting it back to false lets the user log in again and
	// revives no token. In an emergency create a Revocation instead, which a tool that applies this
	// User cannot undo. Absent: false.
	// +optional
	Revoked bool `json:"revoked,omitempty"`

	// expiresAt is the time when the account expires, to the second. Absent: never.
	// Example: "2028-01-01T00:00:00Z"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// tokensValidAfter makes void every token issued up to and including this second. Absent: no
	// token is void for this reason. While the time is in the future, the user can log in, but
	// every token is void.
	// Example: "2026-11-22T00:00:00Z"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	TokensValidAfter *metav1.Time `json:"tokensValidAfter,omitempty"`

	// tokenPolicy narrows the service's limits on token lifetimes for this user. Absent: the
	// service's limits apply.
	// +optional
	TokenPolicy *TokenPolicy `json:"tokenPolicy,omitempty"`
}

// Password is one password of a user, given as a hash or, for machines, in plain text.
//
// +kubebuilder:validation:XValidation:rule="has(self.hashFrom) != has(self.plaintextFrom)",message="set exactly one of hashFrom and plaintextFrom"
type Password struct {
	// name identifies the password among those of the user, so that a tool can own a single one.
	// Absent: "default".
	// Example: laptop
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')`,message="must consist of lower-case letters, digits and '-', and begin and end with a letter or digit"
	Name string `json:"name,omitempty"`

	// hashFrom is the source of the password's hash. bcrypt ("$2b$...") and argon2id
	// ("$argon2id$...") are the best choices. One newline at the end is ignored.
	// +optional
	HashFrom *SecretSource `json:"hashFrom,omitempty"`

	// plaintextFrom is the source of the password itself. It is meant for machines: the client
	// mounts the same kubernetes.io/basic-auth Secret. A newline at the end is part of the
	// password.
	// +optional
	PlaintextFrom *SecretSource `json:"plaintextFrom,omitempty"`

	// expiresAt is the time when this password, not the account, expires, to the second. Absent:
	// never.
	// Example: "2027-06-30T00:00:00Z"
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// Source returns the reference to the Secret that holds the hash or the plaintext, or nil if
// neither is set.
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

// SecretSource is the source of a value that must not appear in a User.
type SecretSource struct {
	// secretKeyRef selects a key of a Secret in the User's own namespace.
	// +required
	SecretKeyRef SecretKeyRef `json:"secretKeyRef"`
}

// SecretKeyRef selects a key of a Secret in the same namespace.
type SecretKeyRef struct {
	// name is the name of the Secret.
	// Example: jeanjackson-password
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="must consist of lower-case letters, digits, '-' and '.', and begin and end with a letter or digit"
	Name string `json:"name"`

	// key is the key in the data of the Secret.
	// Example: passwordHash
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[-._a-zA-Z0-9]+$')`,message="must consist of letters, digits, '-', '_' and '.'"
	Key string `json:"key"`
}

// TokenPolicy narrows the lifetimes of one user's tokens.
//
// +kubebuilder:validation:XValidation:rule="!has(self.defaultLifetime) || !has(self.maximumLifetime) || [self.defaultLifetime, self.maximumLifetime].exists(l, !l.matches(r'^([1-9][0-9]{0,4}d|([0-9]{1,10}(\\.[0-9]{1,9})?(h|m|s|ms|us|ns))+)$')) || (self.defaultLifetime.endsWith('d') || self.maximumLifetime.endsWith('d') ? (self.defaultLifetime.endsWith('d') ? int(self.defaultLifetime.substring(0, self.defaultLifetime.size() - 1)) * 86400 : duration(self.defaultLifetime).getSeconds()) <= (self.maximumLifetime.endsWith('d') ? int(self.maximumLifetime.substring(0, self.maximumLifetime.size() - 1)) * 86400 : duration(self.maximumLifetime).getSeconds()) : duration(self.defaultLifetime) <= duration(self.maximumLifetime))",message="defaultLifetime must not be longer than maximumLifetime"
type TokenPolicy struct {
	// defaultLifetime is the lifetime of an opaque token if the client does not request one.
	// Absent: the service's default.
	// Example: 1h
	// +optional
	DefaultLifetime *Lifetime `json:"defaultLifetime,omitempty"`

	// maximumLifetime is the longest lifetime of any token; a longer requested lifetime is
	// shortened to it. Absent: the service's maximum.
	// Example: 30d
	// +optional
	MaximumLifetime *Lifetime `json:"maximumLifetime,omitempty"`
}

// UserState summarizes whether a user can log in.
//
// +kubebuilder:validation:Enum=Active;Revoked;Expired;PasswordExpired;Locked;Invalid
type UserState string

// The states of a user. If several apply, the status shows the first one that does in the order
// Invalid (unreadable object, not permitted), Revoked, Expired, Invalid (other causes),
// PasswordExpired, Locked.
const (
	// UserActive means that the user can log in with at least one password.
	UserActive UserState = "Active"
	// UserRevoked means that spec.revoked is true or that a Revocation is in force.
	UserRevoked UserState = "Revoked"
	// UserExpired means that spec.expiresAt has passed.
	UserExpired UserState = "Expired"
	// UserInvalid means that the stored object is unreadable, the Tenant does not permit the User,
	// another User holds the login, or no password is usable. The Ready condition says which.
	UserInvalid UserState = "Invalid"
	// UserPasswordExpired means that every usable password has expired.
	UserPasswordExpired UserState = "PasswordExpired"
	// UserLocked means that too many logins in a row have failed, from many networks. The lock ends
	// at status.lockedUntil.
	UserLocked UserState = "Locked"
)

// UserStatus is the observed state of an account. Set lockedUntil to null to lift a lock; all other
// fields are read-only.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.tokensRevokedAt) || !has(self.tokensRevokedAt) || self.tokensRevokedAt >= oldSelf.tokensRevokedAt || (has(self.tokensRevokedAtCorrected) && self.tokensRevokedAt == self.tokensRevokedAtCorrected && oldSelf.tokensRevokedAt > self.tokensRevokedAt + duration('1m') && (!has(oldSelf.tokensRevokedAtCorrected) || self.tokensRevokedAtCorrected > oldSelf.tokensRevokedAtCorrected))",message="tokensRevokedAt never moves back"
type UserStatus struct {
	// login is the name that the user logs in with: spec.login or, if that is absent, metadata.name.
	// +optional
	Login string `json:"login,omitempty"`

	// observedGeneration is the metadata.generation that state and conditions were computed from.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// state summarizes whether the user can log in. Absent: Gatehouse has not processed the User
	// yet.
	// +optional
	State UserState `json:"state,omitempty"`

	// lockedUntil is the time when a lock after too many failed logins ends. Absent or in the past:
	// the account is not locked. Setting it to null lifts the lock on all replicas.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	LockedUntil *metav1.Time `json:"lockedUntil,omitempty"`

	// failedLogins is the number of consecutive failed logins that the replicas have reported.
	// Absent: 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2147483647
	FailedLogins int32 `json:"failedLogins,omitempty"`

	// tokensRevokedAt makes void every token issued up to and including this second. Gatehouse sets
	// it when spec.revoked or a Revocation takes effect, and when a client revokes all tokens of the
	// user through the API. It cannot be removed and never moves back. Absent: nothing of this kind
	// has happened.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	TokensRevokedAt *metav1.Time `json:"tokensRevokedAt,omitempty"`

	// tokensRevokedAtCorrected is when Gatehouse last pulled back a tokensRevokedAt that someone had
	// set to more than a minute in the future. Absent: never.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	TokensRevokedAtCorrected *metav1.Time `json:"tokensRevokedAtCorrected,omitempty"`

	// lastTokenIssuedAt is approximately when the user last got a token; it is written in batches
	// and may lag. Absent: never.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	LastTokenIssuedAt *metav1.Time `json:"lastTokenIssuedAt,omitempty"`

	// conditions explain the state of the user. Ready and LoginAllowed are always present; the
	// others are present only while they are True.
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

// EffectiveLogin returns the name that the user logs in with: spec.login or, if that is empty,
// metadata.name.
func (u *User) EffectiveLogin() string {
	if u.Spec.Login != "" {
		return u.Spec.Login
	}
	return u.Name
}
