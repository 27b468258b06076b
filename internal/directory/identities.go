package directory

import (
	"cmp"
	"slices"
)

// ClusterIssuer stands for the issuer of the cluster's ServiceAccounts, whose name a User does not
// give. No issuer has this name, because names of issuers are URLs.
const ClusterIssuer = "cluster"

// Identity is what a token of another issuer must say to speak for a user. It is immutable.
type Identity struct {
	Issuer  string // ClusterIssuer, or the iss claim
	Subject string
	Claims  map[string]string // further claims that the token must have
}

// name returns the key under which the index finds the identity.
func (i Identity) name() string { return identityName(i.Issuer, i.Subject) }

func identityName(issuer, subject string) string { return issuer + "\x00" + subject }

// matches reports whether a token with these claims has the identity, apart from its issuer and
// subject.
func (i Identity) matches(claim func(name string) (string, bool)) bool {
	for name, want := range i.Claims {
		if got, ok := claim(name); !ok || got != want {
			return false
		}
	}
	return true
}

// Overlaps reports whether one token can have both identities: they have the same issuer and
// subject, and no claim must have two values.
func (i Identity) Overlaps(other Identity) bool {
	if i.Issuer != other.Issuer || i.Subject != other.Subject {
		return false
	}
	for name, value := range i.Claims {
		if otherValue, ok := other.Claims[name]; ok && otherValue != value {
			return false
		}
	}
	return true
}

// claimant is a user who claims an identity.
type claimant struct {
	user     *User
	index    int // in user.Identities
	identity *Identity
	holder   *User // who holds the identity: user itself, or one before it with an overlapping identity
}

// IdentityConflict is an identity that another user holds.
type IdentityConflict struct {
	Index  int    // in User.Identities
	Holder string // Key of the other user
}

// ByIdentity returns the user who holds the identity that a token has. It takes the issuer and the
// subject of the token, and a function that returns its other claims.
func (d *Directory) ByIdentity(issuer, subject string, claim func(name string) (string, bool)) (*User, bool) {
	claimants, _ := d.identities.get(identityName(issuer, subject))
	for _, c := range claimants {
		if c.holder == c.user && c.identity.matches(claim) {
			return c.user, true
		}
	}
	return nil, false
}

// IdentityConflicts returns the identities of the user with this Key that other users hold.
func (d *Directory) IdentityConflicts(key string) []IdentityConflict {
	u, ok := d.ByKey(key)
	if !ok {
		return nil
	}
	var all []claimant
	for name := range identityNames(u) {
		claimants, _ := d.identities.get(name)
		all = append(all, claimants...)
	}
	return conflictsOf(key, all)
}

// IdentityConflictsAmong returns the identities of the user with this Key that other users hold, if
// these are all users who claim one of them.
func IdentityConflictsAmong(users []*User, key string) []IdentityConflict {
	byName := map[string][]claimant{}
	for _, u := range users {
		for i := range u.Identities {
			name := u.Identities[i].name()
			byName[name] = append(byName[name], claimant{user: u, index: i, identity: &u.Identities[i]})
		}
	}
	var all []claimant
	for _, claimants := range byName {
		settleIdentity(claimants)
		all = append(all, claimants...)
	}
	return conflictsOf(key, all)
}

func conflictsOf(key string, claimants []claimant) []IdentityConflict {
	var out []IdentityConflict
	for _, c := range claimants {
		if c.user.Key == key && c.holder != c.user {
			out = append(out, IdentityConflict{Index: c.index, Holder: c.holder.Key})
		}
	}
	slices.SortFunc(out, func(a, b IdentityConflict) int { return cmp.Compare(a.Index, b.Index) })
	return out
}

// replaceIdentities replaces the identities of an earlier version of a user. Either version may be
// nil. The caller holds mu.
func (d *Directory) replaceIdentities(old, next *User) {
	names := identityNames(old)
	for name := range identityNames(next) {
		names[name] = true
	}
	for name := range names {
		claimants, _ := d.identities.get(name)
		claimants = slices.DeleteFunc(slices.Clone(claimants), func(c claimant) bool { return old != nil && c.user.Key == old.Key })
		for i := range identitiesOf(next) {
			if identity := &next.Identities[i]; identity.name() == name {
				claimants = append(claimants, claimant{user: next, index: i, identity: identity})
			}
		}
		settleIdentity(claimants)
		setOrDelete(d.identities, name, claimants)
	}
}

// settleIdentity decides who of those who claim identities with the same issuer and subject holds
// them: as with logins, see User.Before. A user never loses an identity to one who does not hold it.
func settleIdentity(claimants []claimant) {
	slices.SortStableFunc(claimants, func(a, b claimant) int { return comparePrecedence(a.user, b.user) })
	for i := range claimants {
		c := &claimants[i]
		c.holder = c.user
		for _, earlier := range claimants[:i] {
			if earlier.holder == earlier.user && earlier.user.Key != c.user.Key && earlier.identity.Overlaps(*c.identity) {
				c.holder = earlier.user
				break
			}
		}
	}
}

// Before reports whether u takes precedence over other for what both claim, a login or an identity:
// one who is permitted before one who is not, then the lower rank, then the older, then the first by
// UID.
func (u *User) Before(other *User) bool { return comparePrecedence(u, other) < 0 }

// comparePrecedence returns a negative number if a takes precedence over b for what both claim.
func comparePrecedence(a, b *User) int {
	if a.NotPermitted != b.NotPermitted {
		if b.NotPermitted {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Rank, b.Rank), a.Created.Compare(b.Created), cmp.Compare(a.UID, b.UID))
}

func identityNames(u *User) map[string]bool {
	names := map[string]bool{}
	for _, identity := range identitiesOf(u) {
		names[identity.name()] = true
	}
	return names
}

func identitiesOf(u *User) []Identity {
	if u == nil {
		return nil
	}
	return u.Identities
}
