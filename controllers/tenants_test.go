package controllers

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/tenancy"
)

// A namespace that two Tenants name may have users of either.
func TestTenantsWhoseUsersMayBeInNamespaces(t *testing.T) {
	t.Parallel()
	all := newTenants(tenancy.Settings{Namespaces: []string{"gatehouse-users"}, System: "gatehouse-system"})
	named := func(name string, namespaces ...string) authv1alpha1.Tenant {
		return authv1alpha1.Tenant{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: authv1alpha1.TenantSpec{Namespaces: namespaces}}
	}
	all.set([]authv1alpha1.Tenant{named("a", "a-users", "shared"), named("b", "shared")})
	for _, c := range []struct{ namespaces, want []string }{
		{[]string{"a-users"}, []string{"a"}},
		{[]string{"a-users", "shared"}, []string{"a", "b"}},
		{[]string{"gatehouse-users", "a-users"}, []string{"", "a"}},
		{[]string{"nobody's"}, nil},
	} {
		if got := all.of(c.namespaces); !slices.Equal(got, c.want) {
			t.Errorf("in %q may be users of %q, want %q", c.namespaces, got, c.want)
		}
	}
}
