package directory

import "time"

// Record is what is kept of one issued token: only tokens with a label, and tokens that were revoked one by one, have
// one. It is an immutable value.
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

// Live says whether the record's token has neither been revoked by record nor ended. Whether its user stands is the
// user's verdict.
func (r Record) Live(now time.Time) bool { return !r.Revoked && now.Before(r.ExpiresAt) }

// FromToken returns the index of the record that names a user among those of one token, or -1.
func recordOf(records []Record, uid string) int {
	for i := range records {
		if records[i].UserUID == uid {
			return i
		}
	}
	return -1
}
