package directory

import (
	"slices"
	"time"
)

// Record is what is stored about one issued token. Only tokens that have a label or a long life, and
// tokens that were revoked one by one, have a record. It is an immutable value.
type Record struct {
	ID          string // token id
	UserKey     string // namespace/name of the user's object
	UserUID     string
	Kind        string // token.KindJWT or token.KindOpaque
	Label       string
	Description string
	Client      string
	IssuedAt    time.Time
	ExpiresAt   time.Time
	// AuthTime and Final are those of the token's claims. They are needed to seal it again. AuthTime
	// is zero if it equals IssuedAt.
	AuthTime time.Time
	Final    bool
	Revoked  bool
	// RevokedUntil is the end of the stored record that keeps the token revoked for longest, or zero
	// if there is none. It differs from ExpiresAt if a token has several records, because someone
	// has made one by hand.
	RevokedUntil time.Time
}

// Namespace returns the namespace of the user's object, or an empty text if the record counts in every
// namespace.
func (r Record) Namespace() string { return namespaceOf(r.UserKey) }

// AsRevoked returns the record as it is once the revocation of its token is stored: a revoked record
// keeps nothing that is only there to be read.
func (r Record) AsRevoked() Record {
	r.Revoked, r.RevokedUntil = true, r.ExpiresAt
	r.Label, r.Description, r.Client = "", "", ""
	return r
}

// Live reports whether the record does not revoke its token and the token has not expired. It does
// not consider the token's user: see User.Check and User.CheckToken.
func (r Record) Live(now time.Time) bool { return !r.Revoked && now.Before(r.ExpiresAt) }

// with returns the record as it is together with another one of the same token: a revocation is
// permanent, and the longest counts.
func (r Record) with(other Record) Record {
	r.Revoked = r.Revoked || other.Revoked
	r.RevokedUntil = later(r.RevokedUntil, other.RevokedUntil)
	r.ExpiresAt = later(r.ExpiresAt, other.ExpiresAt)
	return r
}

// PutRecord adds the record of a user's token or replaces it. A revocation is permanent: a revoked
// record stays revoked, whatever the version in r says, and no version makes a record end earlier.
// A record with the same id and another user, or in another namespace, is a record of its own and
// leaves this one unchanged, because records can be made by hand.
func (d *Directory) PutRecord(r Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.changes.token(r.UserUID, r.ID)
	records, _ := d.records.get(r.ID)
	records = slices.Clone(records)
	namespace := d.namespaceOf(r)
	if i := slices.IndexFunc(records, d.isOf(namespace, r.UserUID)); i >= 0 {
		records[i] = r.with(records[i])
		d.records.set(r.ID, records)
		return
	}
	d.records.set(r.ID, append(records, r))
	owner := namespace + "/" + r.UserUID
	ids, _ := d.tokens.get(owner)
	index, _ := slices.BinarySearch(ids, r.ID)
	d.tokens.set(owner, slices.Insert(slices.Clone(ids), index, r.ID))
}

// DeleteRecord removes the record of a user's token in a namespace, if there is one.
func (d *Directory) DeleteRecord(namespace, uid, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.oneNamespace {
		namespace = ""
	}
	isThis := d.isOf(namespace, uid)
	records, _ := d.records.get(id)
	if !slices.ContainsFunc(records, isThis) {
		return
	}
	defer d.changes.token(uid, id)
	setOrDelete(d.records, id, slices.DeleteFunc(slices.Clone(records), isThis))
	owner := namespace + "/" + uid
	ids, _ := d.tokens.get(owner)
	setOrDelete(d.tokens, owner, slices.DeleteFunc(slices.Clone(ids), func(other string) bool { return other == id }))
}

// Record returns the record of a user's token by the token's id. A record in another namespace than
// that of the user does not count, so that those who write in one namespace decide nothing about the
// tokens of another.
func (d *Directory) Record(uid, id string) (Record, bool) {
	records, _ := d.records.get(id)
	var out Record
	found := false
	for _, r := range records {
		switch {
		case r.UserUID != uid || !d.counts(r):
		case found:
			out = out.with(r)
		default:
			out, found = r, true
		}
	}
	return out, found
}

// counts reports whether a record is in the namespace of its user, or may be, because its user is not
// known.
func (d *Directory) counts(r Record) bool {
	u, known := d.byUID.get(r.UserUID)
	namespace := d.namespaceOf(r)
	return !known || namespace == "" || namespace == u.Namespace()
}

// namespaceOf returns the namespace of a record's object, or an empty text if the record counts in
// every namespace.
func (d *Directory) namespaceOf(r Record) string {
	if d.oneNamespace {
		return ""
	}
	return r.Namespace()
}

// isOf returns a function that reports whether a record is the one of a user in a namespace.
func (d *Directory) isOf(namespace, uid string) func(Record) bool {
	return func(r Record) bool { return r.UserUID == uid && d.namespaceOf(r) == namespace }
}

// IgnoreNamespaces makes every record count for its user, wherever it is. Call it before the first
// record is put.
func (d *Directory) IgnoreNamespaces() { d.oneNamespace = true }

// RecordsByID returns the records of a token's id, whichever users they name: at most one, unless
// someone makes records by hand. Callers must not change the slice.
func (d *Directory) RecordsByID(id string) []Record {
	records, _ := d.records.get(id)
	if !slices.ContainsFunc(records, func(r Record) bool { return !d.counts(r) }) {
		return records
	}
	return slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return !d.counts(r) })
}

// RecordsOf returns the records of a user's tokens, ordered by token id.
func (d *Directory) RecordsOf(uid string) []Record {
	ids := d.tokensOf(uid)
	out := make([]Record, 0, len(ids))
	for _, id := range ids {
		if r, ok := d.Record(uid, id); ok {
			out = append(out, r)
		}
	}
	return out
}

// CountRecords returns the number of a user's records.
func (d *Directory) CountRecords(uid string) int { return len(d.tokensOf(uid)) }

// tokensOf returns the ids of the tokens that have a record in the namespace of their user, or one
// that counts in every namespace, sorted. The caller must not change the slice.
func (d *Directory) tokensOf(uid string) []string {
	anywhere, _ := d.tokens.get("/" + uid)
	u, ok := d.byUID.get(uid)
	if !ok || u.Namespace() == "" {
		return anywhere
	}
	ids, _ := d.tokens.get(u.Namespace() + "/" + uid)
	if len(anywhere) == 0 {
		return ids
	}
	all := slices.Concat(ids, anywhere)
	slices.Sort(all)
	return slices.Compact(all)
}
