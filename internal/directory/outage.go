package directory

import "strings"

// Outage is what is not known of some namespaces: their users may be missing or out of date. It is
// immutable.
type Outage struct {
	// Namespaces are those whose users cannot be read now.
	Namespaces map[string]bool
	// MayHave reports whether a user of one of them could have a login that the directory does not
	// know.
	MayHave func(login string) bool
	// Tenants are those whose users may be in these namespaces, sorted. An empty text stands for users
	// of no Tenant.
	Tenants []string
}

// SetOutage declares what is not known; nil: everything is known. What was missing must be in the
// directory before.
func (d *Directory) SetOutage(o *Outage) {
	d.outage.Store(o)
	if d.changes != nil {
		d.changes.wake()
	}
}

// Cut reports whether the user may be out of date, because its namespace cannot be read.
func (d *Directory) Cut(u *User) bool {
	o := d.outage.Load()
	return o != nil && o.Namespaces[u.Namespace()]
}

// MayBeCut reports whether a login that the directory does not know may be that of a user whose
// namespace cannot be read.
func (d *Directory) MayBeCut(login string) bool {
	o := d.outage.Load()
	return o != nil && o.MayHave(login)
}

// Incomplete reports whether users of some namespace may be missing.
func (d *Directory) Incomplete() bool { return d.outage.Load() != nil }

// Namespace returns the namespace of the user's object.
func (u *User) Namespace() string { return namespaceOf(u.Key) }

// namespaceOf returns the namespace of a key, or an empty text if the key has none.
func namespaceOf(key string) string {
	namespace, _, ok := strings.Cut(key, "/")
	if !ok {
		return ""
	}
	return namespace
}
