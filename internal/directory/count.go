package directory

import "time"

// The states of a user, as metrics and the status of a User name them.
const (
	StateActive          = "Active"
	StateRevoked         = "Revoked"
	StateExpired         = "Expired"
	StatePasswordExpired = "PasswordExpired"
	StateLocked          = "Locked"
	StateInvalid         = "Invalid"
)

// State returns how the user stands at now: the first that holds of Invalid (the stored object is
// unreadable, or the tenant does not permit it), Revoked, Expired, Invalid (another user holds the login, or there is neither a usable
// password nor an identity), PasswordExpired (every password has expired, and there is no identity),
// Locked and Active. The caller reports whether u holds its login, because only the directory as a
// whole knows the other users who claim it.
func (u *User) State(now time.Time, holdsLogin bool) string {
	switch {
	case u.Unreadable, u.NotPermitted:
		return StateInvalid
	case u.RevokedAt(now):
		return StateRevoked
	case ended(u.ExpiresAt, now):
		return StateExpired
	case !holdsLogin, len(u.Credentials.Passwords)+len(u.Identities) == 0:
		return StateInvalid
	case u.PasswordsExpired(now):
		return StatePasswordExpired
	case u.Locked(now):
		return StateLocked
	}
	return StateActive
}

// CountByState returns the number of users in each state at now. Every state has an entry.
func (d *Directory) CountByState(now time.Time) map[string]int {
	count := map[string]int{}
	for _, state := range []string{StateActive, StateRevoked, StateExpired, StatePasswordExpired, StateLocked, StateInvalid} {
		count[state] = 0
	}
	d.Each(func(u *User) bool {
		count[u.State(now, d.holdsLogin(u))]++
		return true
	})
	return count
}

// holdsLogin reports whether u, not one of its rivals, holds its login. The caller holds mu.
func (d *Directory) holdsLogin(u *User) bool {
	rivals := d.rivals[u.Login] // empty for a login that one user claims
	return len(rivals) == 0 || rivals[0].Key == u.Key
}

// RecordCount returns the number of token records in the directory.
func (d *Directory) RecordCount() int { return d.records.len() }
