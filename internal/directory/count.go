package directory

import "time"

// The states of users, as metrics and status name them.
const (
	StateActive          = "Active"
	StateRevoked         = "Revoked"
	StateExpired         = "Expired"
	StatePasswordExpired = "PasswordExpired"
	StateLocked          = "Locked"
	StateInvalid         = "Invalid"
)

// State names how the user stands: the first that holds of Revoked, Expired, Invalid (there is no password that could log
// in), PasswordExpired (every password has ended), Locked, Active.
func (u *User) State(now time.Time) string {
	switch {
	case u.Revoked:
		return StateRevoked
	case ended(u.ExpiresAt, now):
		return StateExpired
	case len(u.Credentials.Passwords) == 0:
		return StateInvalid
	case u.PasswordsExpired(now):
		return StatePasswordExpired
	case u.Locked(now):
		return StateLocked
	}
	return StateActive
}

// CountByState returns how many users stand how.
func (d *Directory) CountByState(now time.Time) map[string]int {
	count := map[string]int{}
	for _, state := range []string{StateActive, StateRevoked, StateExpired, StatePasswordExpired, StateLocked, StateInvalid} {
		count[state] = 0
	}
	d.Each(func(u *User) bool {
		count[u.State(now)]++
		return true
	})
	return count
}

// RecordCount returns how many token records the directory holds.
func (d *Directory) RecordCount() int { return d.records.len() }
