package v1alpha1

// Identity is an identity that a client proves with a token of another issuer, in the place of a
// password.
//
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccount) != has(self.federated)",message="set exactly one of serviceAccount and federated"
type Identity struct {
	// serviceAccount is a ServiceAccount of the cluster that Gatehouse runs in. Its Pods log in with
	// a projected token for the audience of Gatehouse. The ServiceAccount need not exist.
	// +optional
	ServiceAccount *ServiceAccountIdentity `json:"serviceAccount,omitempty"`

	// federated is an identity at another issuer, such as a CI system. Its tokens log in while the
	// issuer is in the file of --trusted-issuers.
	// +optional
	Federated *FederatedIdentity `json:"federated,omitempty"`
}

// ServiceAccountIdentity is a ServiceAccount.
type ServiceAccountIdentity struct {
	// name is the name of the ServiceAccount.
	// Example: billing
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="must consist of lower-case letters, digits, '-' and '.', and begin and end with a letter or digit"
	Name string `json:"name"`

	// namespace is the namespace of the ServiceAccount.
	// Example: shop
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')`,message="must consist of lower-case letters, digits and '-', and begin and end with a letter or digit"
	Namespace string `json:"namespace"`
}

// FederatedIdentity is what the token of another issuer must say.
type FederatedIdentity struct {
	// issuer is the claim "iss" of the token, an https URL.
	// Example: https://token.actions.githubusercontent.com
	// +required
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^https://[^\s\x00-\x1f\x7f-\x9f]+$')`,message="must be an https URL"
	Issuer string `json:"issuer"`

	// subject is the claim "sub" of the token. It is compared byte for byte.
	// Example: repo:acme/shop:ref:refs/heads/main
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\x00-\x1f\x7f-\x9f]+$')`,message="must not contain control characters"
	Subject string `json:"subject"`

	// claims are further claims that the token must have, at most 8. Each is compared with a claim
	// that is a string, and all of them must be equal. Absent: none.
	// Example: {environment: production}
	// +optional
	// +kubebuilder:validation:MaxProperties=8
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) >= 1 && size(name) <= 253)",message="the name of a claim has 1 to 253 characters"
	Claims map[string]ClaimValue `json:"claims,omitempty"`
}

// ClaimValue is the value of a claim that is a string.
//
// +kubebuilder:validation:MaxLength=1024
type ClaimValue string
