// Package tenancy says what the Users of each namespace may be: those of a namespace of --namespaces
// anything, and those of a namespace of a Tenant what the Tenant allows. It also finds the Tenants
// that contradict each other. It is pure.
package tenancy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// Settings are what an operator of the service decides besides the Tenants.
type Settings struct {
	Namespaces  []string // those of users that belong to no Tenant, in the order of their precedence
	System      string   // the namespace of the service
	AdminGroups []string // groups whose members act for other users
}

// Config is the policy of every namespace that follows from the settings and from all Tenants. It is
// immutable. The zero Config has no namespaces.
type Config struct {
	policies map[string]*Policy
	problems map[string][]string // by the name of a Tenant
	namers   map[string][]string // the names of the Tenants that name each namespace, sorted
}

// Policy is what the Users of one namespace may be. It is immutable.
type Policy struct {
	Tenant string // empty: the namespace belongs to no Tenant, and its Users may be anything
	// Rank orders namespaces whose Users claim the same login: the lowest has it.
	Rank int

	blocked         string // why the Users may be nothing; empty if they may be something
	logins          authv1alpha1.TenantLogins
	groups          authv1alpha1.TenantGroups
	identities      authv1alpha1.TenantIdentities
	adminGroups     []string
	maximumLifetime time.Duration // 0: no limit
	conflicts       []conflict
}

// New returns the Config of some settings and Tenants.
func New(s Settings, tenants []authv1alpha1.Tenant) *Config {
	c := &Config{policies: map[string]*Policy{}, problems: map[string][]string{}, namers: namers(tenants)}
	for i, ns := range s.Namespaces {
		if c.policies[ns] == nil {
			c.policies[ns] = &Policy{Rank: i}
		}
	}
	conflicts := findConflicts(tenants)
	for i := range tenants {
		t := &tenants[i]
		for _, f := range conflicts[t.Name] {
			c.addProblem(t.Name, f.String())
		}
		for rank, ns := range t.Spec.Namespaces {
			c.addNamespace(s, t, ns, &Policy{
				Tenant: t.Name, Rank: len(s.Namespaces) + rank, blocked: blocked(ns, c.namers[ns]),
				logins: t.Spec.Logins, groups: t.Spec.Groups, identities: t.Spec.Identities,
				adminGroups: s.AdminGroups, maximumLifetime: lifetimeOf(t.Spec.MaximumLifetime), conflicts: conflicts[t.Name],
			})
		}
	}
	return c
}

// addNamespace adds the policy of a namespace of a Tenant.
func (c *Config) addNamespace(s Settings, t *authv1alpha1.Tenant, ns string, p *Policy) {
	switch {
	case ns == s.System:
		c.addProblem(t.Name, fmt.Sprintf("namespace %q is that of the service, with its keys; move the Users to another one", ns))
	case slices.Contains(s.Namespaces, ns):
		c.addProblem(t.Name, fmt.Sprintf("namespace %q is one of --namespaces, whose Users no Tenant bounds; remove it from one of the two", ns))
	case p.blocked != "":
		c.addProblem(t.Name, p.blocked+"; remove it from all but one")
		c.policies[ns] = &Policy{blocked: p.blocked} // nobody's: neither the order nor the age of the Tenants decides
	default:
		c.policies[ns] = p
	}
}

// namers returns the names of the Tenants that name each namespace, sorted.
func namers(tenants []authv1alpha1.Tenant) map[string][]string {
	out := map[string][]string{}
	for i := range tenants {
		for _, ns := range tenants[i].Spec.Namespaces {
			out[ns] = append(out[ns], tenants[i].Name)
		}
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out
}

// blocked returns why a namespace that these Tenants name may have no users, or an empty text.
func blocked(namespace string, tenants []string) string {
	if len(tenants) < 2 {
		return ""
	}
	return fmt.Sprintf("several Tenants name the namespace %q: %s", namespace, strings.Join(tenants, ", "))
}

func (c *Config) addProblem(tenant, problem string) {
	if !slices.Contains(c.problems[tenant], problem) {
		c.problems[tenant] = append(c.problems[tenant], problem)
	}
}

// Policy returns the policy of a namespace, or nil if the namespace has no users.
func (c *Config) Policy(namespace string) *Policy { return c.policies[namespace] }

// Namers returns the names of the Tenants that name a namespace, sorted. The caller must not change the
// slice.
func (c *Config) Namers(namespace string) []string { return c.namers[namespace] }

// Problems returns what is wrong with the configuration of a Tenant, one message for each problem.
func (c *Config) Problems(tenant string) []string { return c.problems[tenant] }

// Namespaces returns the namespaces that have users, sorted.
func (c *Config) Namespaces() []string { return slices.Sorted(maps.Keys(c.policies)) }

// Changed returns the namespaces whose policies differ between two Configs, sorted.
func Changed(before, after *Config) []string {
	var out []string
	for ns := range union(before.policies, after.policies) {
		if !reflect.DeepEqual(before.policies[ns], after.policies[ns]) {
			out = append(out, ns)
		}
	}
	slices.Sort(out)
	return out
}

func union(a, b map[string]*Policy) map[string]*Policy {
	out := maps.Clone(b)
	if out == nil {
		out = map[string]*Policy{}
	}
	maps.Copy(out, a)
	return out
}

// lifetimeOf returns the length of a lifetime, or 0 if there is none. The schema accepts no lifetime
// that cannot be parsed.
func lifetimeOf(l *authv1alpha1.Lifetime) time.Duration {
	if l == nil {
		return 0
	}
	d, err := l.Duration()
	if err != nil {
		return 0
	}
	return d
}

// conflict is something that a Tenant and another one both allow.
type conflict struct {
	what    string // kind of what both allow
	pattern string // the narrower of the two patterns
	issuer  string // of a federated identity
	exact   bool   // the pattern is a whole login or namespace
	other   string // the other Tenant
}

// The kinds of what two Tenants may not both allow.
const (
	login           = "login"
	serviceAccounts = "ServiceAccounts"
	subject         = "subject"
)

// String says what the conflict is, for people.
func (f conflict) String() string {
	var what string
	switch {
	case f.what == serviceAccounts:
		what = fmt.Sprintf("ServiceAccounts of namespace %q", f.pattern)
	case f.what == subject:
		what = fmt.Sprintf("subjects of %s that begin with %q", f.issuer, f.pattern)
	case f.exact:
		what = fmt.Sprintf("the login %q", f.pattern)
	default:
		what = fmt.Sprintf("logins that end with %q", f.pattern)
	}
	return fmt.Sprintf("Tenant %q also allows %s; change one of the two. Until then neither has them", f.other, what)
}

// concernsLogin reports whether the conflict is about a login.
func (f conflict) concernsLogin(name string) bool {
	return f.what == login && (f.exact && name == f.pattern || !f.exact && hasSuffix(name, f.pattern))
}

// hasSuffix reports whether a login ends with a suffix that is not all of it.
func hasSuffix(name, suffix string) bool {
	return len(name) > len(suffix) && strings.HasSuffix(name, suffix)
}

// hasPrefix reports whether a group begins with a prefix that is not all of it.
func hasPrefix(name, prefix string) bool {
	return len(name) > len(prefix) && strings.HasPrefix(name, prefix)
}
