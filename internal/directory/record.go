package directory

import "time"

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

// indexOfUser returns the index of the record that names a user among the records of one token id,
// or -1.
func indexOfUser(records []Record, uid string) int {
	for i := range records {
		if records[i].UserUID == uid {
			return i
		}
	}
	return -1
}
