package controllers

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/tenancy"
)

// tenantOf returns a Tenant with some namespaces.
func tenantOf(name string, generation int64, namespaces ...string) *authv1alpha1.Tenant {
	return &authv1alpha1.Tenant{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: generation, ResourceVersion: fmt.Sprint(10 * generation)},
		Spec:       authv1alpha1.TenantSpec{Namespaces: namespaces},
	}
}

// A namespace that two Tenants name may have users of either.
func TestTenantsWhoseUsersMayBeInNamespaces(t *testing.T) {
	t.Parallel()
	all := newTenants(tenancy.Settings{Namespaces: []string{"gatehouse-users"}, System: "gatehouse-system"})
	all.set([]*authv1alpha1.Tenant{tenantOf("a", 1, "a-users", "shared"), tenantOf("b", 1, "shared")})
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

func TestStatusOfATenantChangesNothingButTheVersion(t *testing.T) {
	t.Parallel()
	all := newTenants(tenancy.Settings{System: "gatehouse-system"})
	var told [][]string
	all.onChange(func(namespaces []string) { told = append(told, namespaces) })
	status, replaced := tenantOf("a", 1, "a-users"), tenantOf("a", 2, "a-users", "c-users")
	status.ResourceVersion, replaced.UID = "15", "another"
	for i, c := range []struct {
		all     []*authv1alpha1.Tenant
		changed bool
		version uint64
		told    []string
	}{
		{[]*authv1alpha1.Tenant{tenantOf("a", 1, "a-users")}, true, 10, []string{"a-users"}},
		{[]*authv1alpha1.Tenant{status}, false, 15, nil},
		{[]*authv1alpha1.Tenant{tenantOf("a", 2, "a-users", "b-users")}, true, 20, []string{"b-users"}},
		{[]*authv1alpha1.Tenant{replaced}, true, 20, []string{"b-users", "c-users"}},
		{nil, true, 0, []string{"a-users", "c-users"}},
		{nil, false, 0, nil},
	} {
		told = nil
		changed := all.set(c.all)
		if got := slices.Sorted(slices.Values(slices.Concat(told...))); changed != c.changed || all.version("a-users") != c.version || !slices.Equal(got, c.told) {
			t.Errorf("step %d: changed %t at version %d, told of %q; want %t, %d, %q", i, changed, all.version("a-users"), got, c.changed, c.version, c.told)
		}
	}
}
