package authn

import (
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
)

// The failures in a row that lock a whole account, and the networks that they must have come from.
// One network can lock out no one but itself.
const (
	accountFailures = 50
	accountNetworks = 5
)

// longestNetworkLock ends the growth of the locks of one network, unless the first one is longer.
const longestNetworkLock = 24 * time.Hour

func lockPolicy(after int, duration time.Duration) directory.LockPolicy {
	return directory.LockPolicy{
		NetworkAfter: after, NetworkFor: duration, NetworkLongest: max(duration, longestNetworkLock),
		AccountAfter: accountFailures, AccountNetworks: accountNetworks, AccountFor: duration,
		AccountForEver: loginstate.FailureLimit, Forever: loginstate.Forever,
	}
}

// failed counts a wrong password from a network, and returns why the login is refused. It locks out
// the network, or the account, when there were too many. The status counts what other replicas have
// seen, and this one before it restarted.
func (a *Password) failed(user *directory.User, network directory.Network, now time.Time) error {
	if user.Locked(now) {
		return ErrLocked
	}
	locks := a.locks
	if !user.Lockable() {
		locks = directory.LockPolicy{}
	}
	failure := user.Credentials.Failures.Fail(network, user.FailedLogins, now, locks)
	if failure.Locked {
		return ErrLocked
	}
	a.LoginUpdated(user, loginstate.Update{Failures: 1, LockedUntil: failure.Until, Urgent: failure.Urgent})
	return ErrWrongPassword
}

// succeeded ends the failures in a row, on this replica and in the status that all replicas share.
func (a *Password) succeeded(user *directory.User, network directory.Network, now time.Time) {
	if user.Credentials.Failures.Succeed(network, user.FailedLogins, now) {
		a.LoginUpdated(user, loginstate.Update{Cleared: true})
	}
}
