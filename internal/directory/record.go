package directory

import "time"

// Record is what is stored about one issued token. Only tokens with a label, and tokens that were
// revoked one by one, have a record. It is an immutable value.
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
	Revoked     bool
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
