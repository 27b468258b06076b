// Package ledger gathers news about users' logins and writes them, in batches and never on the request path, to where all
// replicas and the next start find them: the status of the User, or a file when the service stands alone.
package loginstate

import "time"

// Forever is the end of a lock that only an administrator or a changed password lifts.
var Forever = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) //nolint:gochecknoglobals // Go has no constants of this type

// FailureLimit is how many failed logins in a row end in a lock without an end. NIST SP 800-63B-4 (3.2.2) allows at most
// 100; the rest is room for three replicas that each count up to a lock, 10 by default, before they hear of one another.
const FailureLimit = 70

// Update is news about one user. The zero Note says nothing.
type Update struct {
	Failures    int       // failed logins since the last note
	Cleared     bool      // a login succeeded, and the failures before it are forgotten; Failures came after it
	LockedUntil time.Time // a lock that has begun; zero: none
	IssuedAt    time.Time // a token was issued; zero: none
}

// merge returns both notes as one; next is the younger.
func (n Update) merge(next Update) Update {
	if next.Cleared {
		n.Failures, n.Cleared = 0, true
	}
	n.Failures += next.Failures
	if !next.LockedUntil.IsZero() {
		n.LockedUntil = next.LockedUntil
	}
	if next.IssuedAt.After(n.IssuedAt) {
		n.IssuedAt = next.IssuedAt
	}
	return n
}

// State is what is kept of a user's logins.
type State struct {
	FailedLogins      int       // failed logins in a row that were reported
	LockedUntil       time.Time // zero: not locked
	LastTokenIssuedAt time.Time // zero: never
}

// Apply returns the state after a note. A lock never gets shorter by a note, and becomes endless when too many logins have
// failed in a row.
func (s State) Apply(n Update) State {
	if n.Cleared {
		s.FailedLogins = 0
	}
	s.FailedLogins += n.Failures
	if n.LockedUntil.After(s.LockedUntil) {
		s.LockedUntil = n.LockedUntil
	}
	if !n.LockedUntil.IsZero() && s.FailedLogins >= FailureLimit {
		s.LockedUntil = Forever
	}
	if n.IssuedAt.After(s.LastTokenIssuedAt) {
		s.LastTokenIssuedAt = n.IssuedAt
	}
	return s
}
