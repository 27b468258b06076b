package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of all resources of Gatehouse.
const Group = "auth.gatehouse.dev"

// GroupVersion is the group and version of this package.
var GroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

// SchemeGroupVersion is GroupVersion under the name that generated clients expect.
var SchemeGroupVersion = GroupVersion

// AddToScheme registers the types of this package with a scheme, so that clients can read and write
// them. It returns an error only if the scheme already has other types with the same names.
func AddToScheme(s *runtime.Scheme) error {
	builder := runtime.NewSchemeBuilder(func(s *runtime.Scheme) error {
		s.AddKnownTypes(GroupVersion, &User{}, &UserList{}, &Token{}, &TokenList{}, &Revocation{}, &RevocationList{}, &Tenant{}, &TenantList{})
		metav1.AddToGroupVersion(s, GroupVersion)
		return nil
	})
	return builder.AddToScheme(s)
}
