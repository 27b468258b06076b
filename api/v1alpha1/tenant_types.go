package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Tenant is a team that declares its own Users in namespaces of its own, within limits. It stands in
// the namespace of the service: whoever may write Tenants runs the service, and a team needs no right
// on its own Tenant. A User in a namespace of a Tenant that is outside of what the Tenant allows does
// not log in.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories=gatehouse,shortName=ghtn
// +kubebuilder:metadata:annotations={"helm.sh/resource-policy=keep","argocd.argoproj.io/sync-options=Prune=false,Delete=false","kustomize.toolkit.fluxcd.io/prune=disabled"}
// +kubebuilder:printcolumn:name="Namespaces",type=string,JSONPath=`.spec.namespaces`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Watching",type=string,JSONPath=`.status.conditions[?(@.type=="Watching")].status`
// +kubebuilder:printcolumn:name="Logins",type=string,priority=1,JSONPath=`.spec.logins.suffixes`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Tenant struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where the Users of the Tenant are, and what they may be.
	// +required
	Spec TenantSpec `json:"spec"`

	// status is the observed state of the Tenant.
	// +optional
	// +kubebuilder:default={conditions: {{type: "Ready", status: "Unknown", reason: "Pending", message: "Gatehouse has not processed the Tenant yet", lastTransitionTime: "1970-01-01T00:00:00Z"}}}
	Status TenantStatus `json:"status,omitzero"`
}

// TenantSpec says where the Users of a Tenant are, and what they may be.
type TenantSpec struct {
	// namespaces are those of the Tenant's Users and their Secrets. A namespace belongs to one Tenant
	// and is not among those of --namespaces; the service needs the Role and the RoleBinding of
	// docs/rights.md in it. If Users in two of them claim the same login, the User in the
	// namespace that comes first has it.
	// Example: [team-a-users]
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^([a-z0-9][-a-z0-9]*)?[a-z0-9]$')`,message="must consist of lower-case letters, digits and '-', and begin and end with a letter or digit"
	Namespaces []string `json:"namespaces"`

	// logins are what the Users may be called.
	// +required
	Logins TenantLogins `json:"logins"`

	// groups are the groups that the Users may be members of. Absent: none.
	// +optional
	Groups TenantGroups `json:"groups,omitzero"`

	// identities are the identities that the Users may log in with. Absent: none.
	// +optional
	Identities TenantIdentities `json:"identities,omitzero"`

	// maximumLifetime is the longest lifetime of any token of the Tenant's Users; a longer one is
	// shortened to it. Absent: the limits of the User and of the service apply.
	// Example: 24h
	// +optional
	MaximumLifetime *Lifetime `json:"maximumLifetime,omitempty"`
}

// TenantLogins are the logins that the Users of a Tenant may have. Two Tenants must not both allow
// the same login.
//
// +kubebuilder:validation:XValidation:rule="(has(self.suffixes) && self.suffixes.size() > 0) || (has(self.exact) && self.exact.size() > 0)",message="set at least one of suffixes and exact"
type TenantLogins struct {
	// suffixes are the ends of logins that are allowed. Something must come before the suffix. A login
	// that mixes letters of several scripts, such as Latin and Cyrillic ones, is not allowed by a
	// suffix, because it looks like another login.
	// Example: ["@team-a.example.com"]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=254
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^[^:\x00-\x1f\x7f-\x9f\p{Cf}]+$')`,message="must not contain ':', control characters or invisible format characters"
	Suffixes []string `json:"suffixes,omitempty"`

	// exact are further logins that are allowed, byte for byte.
	// Example: [team-a-deploy]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^[^:\x00-\x1f\x7f-\x9f\p{Cf}]+$')`,message="must not contain ':', control characters or invisible format characters"
	Exact []string `json:"exact,omitempty"`
}

// TenantGroups are the groups that the Users of a Tenant may be members of. Several Tenants may allow
// the same group.
type TenantGroups struct {
	// prefixes are the beginnings of groups that are allowed. Something must come after the prefix.
	// A group of --admin-groups, one that looks like it, or one that mixes letters of several scripts
	// is not allowed by a prefix.
	// Example: ["team-a:"]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=254
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^[^,\x00-\x1f\x7f-\x9f\p{Cf}]+$')`,message="must not contain commas, control characters or invisible format characters"
	Prefixes []string `json:"prefixes,omitempty"`

	// exact are further groups that are allowed, byte for byte, including groups of --admin-groups.
	// Example: [developers]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^[^,\x00-\x1f\x7f-\x9f\p{Cf}]+$')`,message="must not contain commas, control characters or invisible format characters"
	Exact []string `json:"exact,omitempty"`
}

// TenantIdentities are the identities that the Users of a Tenant may log in with. Two Tenants must
// not both allow the same identity.
type TenantIdentities struct {
	// serviceAccountNamespaces are the namespaces of ServiceAccounts that are allowed.
	// Example: [team-a]
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule=`self.matches(r'^([a-z0-9][-a-z0-9]*)?[a-z0-9]$')`,message="must consist of lower-case letters, digits and '-', and begin and end with a letter or digit"
	ServiceAccountNamespaces []string `json:"serviceAccountNamespaces,omitempty"`

	// federated are the identities at other issuers that are allowed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Federated []TenantFederated `json:"federated,omitempty"`
}

// TenantFederated are the identities at an issuer whose subjects begin with a prefix.
type TenantFederated struct {
	// issuer is the claim "iss", an https URL.
	// Example: https://token.actions.githubusercontent.com
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^https://[^\s\x00-\x1f\x7f-\x9f]+$')`,message="must be an https URL"
	Issuer string `json:"issuer"`

	// subjectPrefix is the beginning of the claim "sub". End it with a separator: the prefix
	// "repo:acme/team-a" also allows "repo:acme/team-ax".
	// Example: "repo:acme/team-a-"
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\x00-\x1f\x7f-\x9f]+$')`,message="must not contain control characters"
	SubjectPrefix string `json:"subjectPrefix"`
}

// TenantStatus is the observed state of a Tenant. All fields are read-only.
type TenantStatus struct {
	// observedGeneration is the metadata.generation that the conditions were computed from.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions explain the state of the Tenant: Ready, Watching and, while it is True, Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TenantList is a list of Tenants.
//
// +kubebuilder:object:root=true
type TenantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Tenant `json:"items"`
}

// The types of a Tenant's conditions. Ready is True while the Tenant contradicts nothing and all of
// its namespaces are watched. Stalled is True while only an edit of this Tenant, of another one or of
// --namespaces can make it ready.
const (
	// ConditionWatching is True while every namespace of the Tenant is watched, and False while one
	// cannot be read. Users of that namespace are then refused until it can be read.
	ConditionWatching = "Watching"
)

// The reasons of a Tenant's conditions.
const (
	// ReasonWatching means that every namespace is watched.
	ReasonWatching = "Watching"
	// ReasonLoading means that the objects of a namespace are being read for the first time.
	ReasonLoading = "Loading"
	// ReasonNotReadable means that the API server refuses to let the service read a namespace.
	ReasonNotReadable = "NotReadable"
	// ReasonConflict means that the Tenant and another one claim the same namespace, login or
	// identity, or that a namespace is not the Tenant's to have.
	ReasonConflict = "Conflict"
	// ReasonIgnored means that the Tenant is not in the namespace of the service.
	ReasonIgnored = "Ignored"
)
