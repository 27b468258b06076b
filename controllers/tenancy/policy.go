package tenancy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// Check returns why the policy does not permit a User, or an empty text if it does. A User of no
// namespace, for whom p is nil, is not permitted.
func (p *Policy) Check(u *authv1alpha1.User) string {
	if p == nil {
		return "the namespace belongs to no Tenant and is not one of --namespaces"
	}
	if p.blocked != "" {
		return p.blocked
	}
	if p.Tenant == "" {
		return ""
	}
	faults := p.loginFaults(u.EffectiveLogin())
	for _, group := range u.Spec.Groups {
		if !p.allowsGroup(group) {
			faults = append(faults, fmt.Sprintf("group %q", group))
		}
	}
	for i := range u.Spec.Identities {
		if fault := p.identityFault(&u.Spec.Identities[i]); fault != "" {
			faults = append(faults, fmt.Sprintf("identities[%d] (%s)", i, fault))
		}
	}
	if len(faults) == 0 {
		return ""
	}
	return fmt.Sprintf("Tenant %q does not permit %s", p.Tenant, strings.Join(faults, ", "))
}

func (p *Policy) loginFaults(name string) []string {
	if !p.allowsLogin(name) {
		return []string{fmt.Sprintf("the login %q", name)}
	}
	var faults []string
	for _, f := range p.conflicts {
		if f.concernsLogin(name) {
			faults = append(faults, fmt.Sprintf("the login %q, which Tenant %q allows too", name, f.other))
		}
	}
	return faults
}

func (p *Policy) allowsLogin(name string) bool {
	return slices.Contains(p.logins.Exact, name) || !mixesScripts(name) &&
		slices.ContainsFunc(p.logins.Suffixes, func(suffix string) bool { return hasSuffix(name, suffix) })
}

func (p *Policy) allowsGroup(name string) bool {
	return slices.Contains(p.groups.Exact, name) || !mixesScripts(name) && !p.looksLikeAdmin(name) &&
		slices.ContainsFunc(p.groups.Prefixes, func(prefix string) bool { return hasPrefix(name, prefix) })
}

func (p *Policy) looksLikeAdmin(group string) bool {
	return slices.ContainsFunc(p.adminGroups, func(admin string) bool { return skeleton(group) == skeleton(admin) })
}

// identityFault returns what is not allowed about an identity, or an empty text.
func (p *Policy) identityFault(i *authv1alpha1.Identity) string {
	switch {
	case i.ServiceAccount != nil:
		ns := i.ServiceAccount.Namespace
		return p.unlessAllowed(fmt.Sprintf("ServiceAccounts of namespace %q", ns), slices.Contains(p.identities.ServiceAccountNamespaces, ns),
			func(f conflict) bool { return f.what == serviceAccounts && f.pattern == ns })
	case i.Federated != nil:
		return p.unlessAllowed(fmt.Sprintf("%q of %s", i.Federated.Subject, i.Federated.Issuer), p.allowsFederated(i.Federated),
			func(f conflict) bool {
				return f.what == subject && f.issuer == i.Federated.Issuer && strings.HasPrefix(i.Federated.Subject, f.pattern)
			})
	}
	return ""
}

// unlessAllowed returns what, and why it is not allowed, or an empty text if it is.
func (p *Policy) unlessAllowed(what string, allowed bool, concerns func(conflict) bool) string {
	if !allowed {
		return what
	}
	if at := slices.IndexFunc(p.conflicts, concerns); at >= 0 {
		return fmt.Sprintf("%s, which Tenant %q allows too", what, p.conflicts[at].other)
	}
	return ""
}

func (p *Policy) allowsFederated(f *authv1alpha1.FederatedIdentity) bool {
	return slices.ContainsFunc(p.identities.Federated, func(allowed authv1alpha1.TenantFederated) bool {
		return allowed.Issuer == f.Issuer && strings.HasPrefix(f.Subject, allowed.SubjectPrefix)
	})
}

// MayHave reports whether a User of the namespace could have a login.
func (p *Policy) MayHave(login string) bool {
	return p.blocked == "" && (p.Tenant == "" || p.allowsLogin(login))
}

// LimitLifetime returns the maximum lifetime of the tokens of a User whose own maximum is given; 0 is
// no limit.
func (p *Policy) LimitLifetime(own time.Duration) time.Duration {
	if p == nil || p.maximumLifetime == 0 {
		return own
	}
	return min(cmp.Or(own, p.maximumLifetime), p.maximumLifetime)
}
