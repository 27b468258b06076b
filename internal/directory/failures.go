package directory

import (
	"slices"
	"sync"
	"time"
)

// SuccessRetention is for how long a success protects its source from locks that others cause.
const SuccessRetention = 24 * time.Hour

// The bounds of what is remembered about one user. An account with failures from more networks than
// LockPolicy.AccountNetworks is locked before they matter, unless its user keeps logging in.
const (
	maximumNetworks  = 32
	maximumSuccesses = 32
)

// LockPolicy says when failed logins lock out a network or a whole account. The zero LockPolicy
// never locks.
type LockPolicy struct {
	NetworkAfter   int           // failures in a row of one network that lock it out; 0: no lock at all
	NetworkFor     time.Duration // of the first lock; each further one lasts twice as long; 0: for ever
	NetworkLongest time.Duration

	AccountAfter    int // failures in a row, and since the last lock, that lock the account
	AccountNetworks int // networks that they must have come from
	AccountFor      time.Duration
	AccountForEver  int // failures in a row that lock the account for ever, wherever they come from
	Forever         time.Time
}

// Failure is what became of one failed login.
type Failure struct {
	// Locked means that a lock was in force already, so that the login does not count.
	Locked bool
	// Until is the end of a lock of the whole account that begins with this failure; zero: none.
	Until time.Time
	// Urgent means that other replicas should learn of the failures soon.
	Urgent bool
}

// Failures is what this replica knows of the failed logins of one user: how many in a row, and which
// networks are locked out because of theirs. It also remembers the networks from which the user has
// logged in lately. It is bounded and safe for concurrent use. The zero value has no failures.
type Failures struct {
	mu          sync.Mutex
	row         int       // failures in a row on this replica
	unreported  int       // those that the status does not show yet
	ignored     int       // failures in the status that a success here has ended
	lockedAt    int       // failures in a row when the account was last locked
	rowNetworks []Network // of the failures in a row, at most LockPolicy.AccountNetworks
	lockedUntil time.Time // a lock of the account that began here, until the status shows it
	networks    []failingNetwork
	successes   []success
}

// failingNetwork is a network from which logins of the user have failed.
type failingNetwork struct {
	network Network
	until   int64 // end of its lock, in milliseconds
	last    int64 // its last failure, in milliseconds
	row     uint16
	locks   uint8 // so far
}

type success struct {
	network Network
	at      int64 // milliseconds
}

// Fail judges a failed login from a network. shown is how many failures in a row the status shows.
func (f *Failures) Fail(network Network, shown int, now time.Time, p LockPolicy) Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Before(f.lockedUntil) || f.networkLocked(network, now) {
		return Failure{Locked: true}
	}
	f.row++
	f.unreported++
	if p.NetworkAfter <= 0 {
		return Failure{}
	}
	if len(f.rowNetworks) < p.AccountNetworks && !slices.Contains(f.rowNetworks, network) {
		f.rowNetworks = append(f.rowNetworks, network)
	}
	locksNetwork := f.failing(network, now).fail(now, p)
	total := f.total(shown)
	out := Failure{Until: f.lockAccount(total, now, p)}
	out.Urgent = locksNetwork || !out.Until.IsZero() || total > p.AccountForEver-p.AccountAfter/2
	return out
}

// lockAccount locks the account if there were too many failures, and returns the end of the lock.
// The caller holds mu.
func (f *Failures) lockAccount(total int, now time.Time, p LockPolicy) (until time.Time) {
	switch {
	case total >= p.AccountForEver:
		until = p.Forever
	case total-f.lockedAt < p.AccountAfter, len(f.rowNetworks) < p.AccountNetworks:
		return time.Time{}
	case p.AccountFor == 0:
		until = p.Forever
	default:
		until = now.Add(p.AccountFor)
	}
	f.lockedAt, f.lockedUntil = total, until
	return until
}

// total returns the failures in a row on all replicas, as far as this one knows. The caller holds mu.
func (f *Failures) total(shown int) int { return max(f.row, shown-min(f.ignored, shown)+f.unreported) }

// fail counts a failure and reports whether it locks the network out.
func (n *failingNetwork) fail(now time.Time, p LockPolicy) bool {
	n.last = now.UnixMilli()
	if n.row++; int(n.row) < p.NetworkAfter && n.row < 1<<15 {
		return false
	}
	until := p.Forever
	if p.NetworkFor > 0 {
		wait := p.NetworkFor
		for range n.locks {
			if wait >= p.NetworkLongest {
				break
			}
			wait = min(2*wait, p.NetworkLongest)
		}
		until = now.Add(wait)
	}
	n.row, n.until = 0, until.UnixMilli()
	n.locks = min(n.locks+1, 63)
	return true
}

// failing returns the entry of a network. A new one takes the place of one whose failures are over,
// or, when all places are taken, of the one whose lock ends first. The caller holds mu.
func (f *Failures) failing(network Network, now time.Time) *failingNetwork {
	f.networks = slices.DeleteFunc(f.networks, func(n failingNetwork) bool {
		return now.Sub(time.UnixMilli(max(n.until, n.last))) > SuccessRetention
	})
	for i := range f.networks {
		if f.networks[i].network == network {
			return &f.networks[i]
		}
	}
	if len(f.networks) < maximumNetworks {
		f.networks = append(f.networks, failingNetwork{network: network})
		return &f.networks[len(f.networks)-1]
	}
	first := 0
	for i, n := range f.networks {
		if max(n.until, n.last) < max(f.networks[first].until, f.networks[first].last) {
			first = i
		}
	}
	f.networks[first] = failingNetwork{network: network}
	return &f.networks[first]
}

// networkLocked reports whether a network is locked out. The caller holds mu.
func (f *Failures) networkLocked(network Network, now time.Time) bool {
	for i := range f.networks {
		if f.networks[i].network == network {
			return now.Before(time.UnixMilli(f.networks[i].until))
		}
	}
	return false
}

// Locks reports whether this replica has locked out a network, or the account, because of failures.
func (f *Failures) Locks(network Network, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Before(f.lockedUntil) || f.networkLocked(network, now)
}

// Succeed ends the failures in a row, forgets those of the network, and remembers the success. It
// reports whether there were any on this replica or, with shown, in the status.
func (f *Failures) Succeed(network Network, shown int, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	had := f.row > 0 || shown > f.ignored
	f.restart(shown)
	if len(f.networks) > 0 {
		f.networks = slices.DeleteFunc(f.networks, func(n failingNetwork) bool { return n.network == network })
	}
	f.remember(network, now)
	return had
}

// restart begins a new row of failures. The caller holds mu.
func (f *Failures) restart(ignored int) {
	f.row, f.unreported, f.lockedAt, f.ignored = 0, 0, 0, ignored
	f.rowNetworks = f.rowNetworks[:0]
}

// remember notes a success from a network. The caller holds mu.
func (f *Failures) remember(network Network, now time.Time) {
	oldest := 0
	for i := range f.successes {
		if f.successes[i].network == network {
			f.successes[i].at = now.UnixMilli()
			return
		}
		if f.successes[i].at < f.successes[oldest].at {
			oldest = i
		}
	}
	s := success{network, now.UnixMilli()}
	if len(f.successes) < maximumSuccesses {
		f.successes = append(f.successes, s)
		return
	}
	f.successes[oldest] = s
}

// SucceededFrom reports whether the user has logged in from a network lately.
func (f *Failures) SucceededFrom(network Network, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.successes, func(s success) bool {
		return s.network == network && now.Sub(time.UnixMilli(s.at)) < SuccessRetention
	})
}

// locked reports whether a lock of the account that this replica has started lasts at now.
func (f *Failures) locked(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return now.Before(f.lockedUntil)
}

// followLock applies a change of the lock in the status, from before to after. A lock that appears
// there replaces this replica's own. A lock that disappears lifts this replica's own too, and those
// of networks, unless its own lasts longer than the one that disappeared: then the status has only
// lost an old lock and does not show the new one yet.
func (f *Failures) followLock(before, after time.Time, shown int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if after.IsZero() && f.lockedUntil.After(before) {
		return
	}
	f.lockedUntil = time.Time{}
	if after.IsZero() {
		f.restart(0)
		f.networks = nil
		return
	}
	f.lockedAt = max(f.lockedAt, shown)
}

// followCount applies a change of the failures in a row that the status shows. Fewer than before
// mean that the user has logged in at some replica, or that a lock was lifted.
func (f *Failures) followCount(before, after int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case after >= before:
		f.unreported = max(0, f.unreported-(after-before))
	case f.ignored > 0: // the success was here, and the failures in the row came after it
		f.ignored, f.unreported = 0, max(0, f.unreported-after)
	default:
		f.restart(0)
	}
}
