// Package loginstate collects what happens to the logins of users and writes it, in batches and
// never on the request path, to where all replicas and the next process find it: the status of the
// User, or the state folder of a standalone service.
package loginstate

import "time"

// Forever is the end of a lock that only an administrator or a changed password can lift.
var Forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) //nolint:gochecknoglobals // Go has no constants of this type

// FailureLimit is the number of failed logins in a row that locks an account until Forever: as many
// as NIST SP 800-63B-4 (3.2.2) allows.
const FailureLimit = 100

// Update is what happened to the logins of one user. The zero Update changes nothing.
type Update struct {
	Failures    int       // failed logins since the last update
	Cleared     bool      // a login succeeded and cleared the failures before it; Failures came after it
	LockedUntil time.Time // the end of a lock that has begun; zero: no lock
	Urgent      bool      // other replicas should know within a second, as of every lock
	IssuedAt    time.Time // when a token was issued; zero: no token
}

// isUrgent reports whether the update must not wait for its batch.
func (u Update) isUrgent() bool { return u.Urgent || !u.LockedUntil.IsZero() }

// merge returns both updates as one. next is the later of the two.
func (u Update) merge(next Update) Update {
	if next.Cleared {
		u.Failures, u.Cleared = 0, true
	}
	u.Failures += next.Failures
	u.Urgent = u.Urgent || next.Urgent
	if !next.LockedUntil.IsZero() {
		u.LockedUntil = next.LockedUntil
	}
	if next.IssuedAt.After(u.IssuedAt) {
		u.IssuedAt = next.IssuedAt
	}
	return u
}

// State is what is stored about the logins of one user.
type State struct {
	FailedLogins      int       // failed logins in a row that replicas have reported
	LockedUntil       time.Time // zero: not locked
	LastTokenIssuedAt time.Time // zero: never
}

// Apply returns the state after an update. An update never shortens a lock. After FailureLimit
// failed logins in a row the lock lasts until Forever.
func (s State) Apply(u Update) State {
	if u.Cleared {
		s.FailedLogins = 0
	}
	s.FailedLogins += u.Failures
	if u.LockedUntil.After(s.LockedUntil) {
		s.LockedUntil = u.LockedUntil
	}
	if !u.LockedUntil.IsZero() && s.FailedLogins >= FailureLimit {
		s.LockedUntil = Forever
	}
	if u.IssuedAt.After(s.LastTokenIssuedAt) {
		s.LastTokenIssuedAt = u.IssuedAt
	}
	return s
}
