package directory

import "time"

// ExpiryNotice is how long before its end the expiry of a password or an account is announced.
const ExpiryNotice = 7 * 24 * time.Hour

// NextExpiry returns the earliest time within ExpiryNotice at which the account or a password of a
// user who can log in now expires, or the zero time if there is none.
func (d *Directory) NextExpiry(now time.Time) time.Time {
	var next time.Time
	consider := func(end time.Time) {
		if end.After(now) && !end.After(now.Add(ExpiryNotice)) && (next.IsZero() || end.Before(next)) {
			next = end
		}
	}
	d.Each(func(u *User) bool {
		if u.Check(now) != nil {
			return true
		}
		consider(u.ExpiresAt)
		for _, p := range u.Credentials.Passwords {
			consider(p.ExpiresAt)
		}
		return true
	})
	return next
}
