package tenancy

import (
	"cmp"
	"slices"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// patterns finds the Tenants that allow the same thing. Its cost grows with the length of the
// patterns, not with the number of pairs of Tenants.
type patterns struct {
	byText    map[patternKey][]string // the names of Tenants
	conflicts map[string][]conflict
}

type patternKey struct {
	what, issuer, text string
	exact              bool
}

// findConflicts returns what each Tenant allows that another one allows too, sorted.
func findConflicts(tenants []authv1alpha1.Tenant) map[string][]conflict {
	p := patterns{byText: map[patternKey][]string{}, conflicts: map[string][]conflict{}}
	for i := range tenants {
		for key := range keysOf(&tenants[i]) {
			p.byText[key] = append(p.byText[key], tenants[i].Name)
		}
	}
	for i := range tenants {
		for key := range keysOf(&tenants[i]) {
			p.compare(tenants[i].Name, key)
		}
	}
	for name := range p.conflicts {
		slices.SortFunc(p.conflicts[name], compareConflicts)
		p.conflicts[name] = slices.Compact(p.conflicts[name])
	}
	return p.conflicts
}

// keysOf returns what a Tenant allows that no other may allow.
func keysOf(t *authv1alpha1.Tenant) map[patternKey]bool {
	keys := map[patternKey]bool{}
	for _, text := range t.Spec.Logins.Suffixes {
		keys[patternKey{what: login, text: text}] = true
	}
	for _, text := range t.Spec.Logins.Exact {
		keys[patternKey{what: login, text: text, exact: true}] = true
	}
	for _, text := range t.Spec.Identities.ServiceAccountNamespaces {
		keys[patternKey{what: serviceAccounts, text: text, exact: true}] = true
	}
	for _, f := range t.Spec.Identities.Federated {
		keys[patternKey{what: subject, issuer: f.Issuer, text: f.SubjectPrefix}] = true
	}
	return keys
}

// compare finds the Tenants whose patterns include one of the patterns of a Tenant.
func (p patterns) compare(name string, key patternKey) {
	for _, other := range p.byText[key] {
		p.add(name, key, other)
	}
	for i := range key.text {
		if i == 0 && key.what != subject {
			continue // a pattern does not include itself as a suffix of itself
		}
		wider := patternKey{what: key.what, issuer: key.issuer, text: key.text[i:]}
		if key.what == subject {
			wider.text = key.text[:i]
		}
		for _, other := range p.byText[wider] {
			p.add(name, key, other)
		}
	}
}

// add records that another Tenant includes a pattern of this one. The narrower pattern is what both
// allow.
func (p patterns) add(name string, key patternKey, other string) {
	if other == name {
		return
	}
	f := conflict{what: key.what, pattern: key.text, issuer: key.issuer, exact: key.exact, other: other}
	p.conflicts[name] = append(p.conflicts[name], f)
	f.other = name
	p.conflicts[other] = append(p.conflicts[other], f)
}

func compareConflicts(a, b conflict) int {
	return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.issuer, b.issuer), cmp.Compare(a.pattern, b.pattern),
		cmp.Compare(a.other, b.other), compareBool(a.exact, b.exact))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}
