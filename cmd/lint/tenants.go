package lint

import (
	"strings"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/tenancy"
)

// examineTenants reports the Tenants that contradict each other, and returns what all Tenants in the
// manifests permit.
func (l *linter) examineTenants() *tenancy.Config {
	var all []authv1alpha1.Tenant
	for _, t := range l.tenants {
		all = append(all, *t.Tenant)
	}
	config := tenancy.New(tenancy.Settings{AdminGroups: l.AdminGroups}, all)
	for _, t := range l.tenants {
		if problems := config.Problems(t.Key.Name); len(problems) > 0 {
			l.report(t, "spec", RuleTenantConflict.error(strings.Join(problems, "; ")))
		}
	}
	return config
}

// examinePermission reports a User whom its Tenant does not permit. A User in a namespace that no
// Tenant in the manifests names may be in one of --namespaces, or its Tenant may be elsewhere.
func (l *linter) examinePermission(u located, tenants *tenancy.Config) {
	policy := tenants.Policy(u.Key.Namespace)
	if policy == nil {
		return
	}
	if fault := policy.Check(u.User); fault != "" {
		l.report(u, "spec", RuleNotPermitted.error(fault))
	}
}
