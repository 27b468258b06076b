package lint

import (
	"fmt"

	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// claims are the entries of spec.identities that no earlier User claims, by issuer and subject.
type claims map[string][]claim

// claim is an entry of spec.identities.
type claim struct {
	user  located
	index int
}

// examineIdentities reports identities that an earlier User claims. Identities of different
// namespaces count too, because one service may serve them all.
func (l *linter) examineIdentities(u located, earlier claims) {
	identities := projection.Identities(u.User)
	for i, name := range projection.IdentityNames(u.User) {
		first, taken := earlier.overlapping(claim{u, i}, name)
		if !taken {
			earlier[name] = append(earlier[name], claim{u, i})
			continue
		}
		l.report(u, fmt.Sprintf("spec.identities[%d]", i), RuleDuplicateID.error(fmt.Sprintf(
			"User %s (%s:%d) claims the identity %s as well; only the older of the two logs in with it",
			first.user.Key.DirectoryKey(), first.user.source.path, first.user.Line, projection.DescribeIdentity(identities[i]))))
	}
}

// overlapping returns the first claim of another User that one token can have together with the claim
// c, whose issuer and subject are name.
func (earlier claims) overlapping(c claim, name string) (claim, bool) {
	for _, first := range earlier[name] {
		identity := projection.Identities(first.user.User)[first.index]
		if first.user.Key != c.user.Key && identity.Overlaps(projection.Identities(c.user.User)[c.index]) {
			return first, true
		}
	}
	return claim{}, false
}
