package authn

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// PasswordConfig configures a Password authenticator.
type PasswordConfig struct {
	Directory *directory.Directory
	Audit     audit.Sink
	Observer  Observer
	// LoginUpdated receives failures, locks and successes after failures, so that the status, other
	// replicas and the next process learn of them. It must not block.
	LoginUpdated func(*directory.User, loginstate.Update)
	Now          func() time.Time

	CacheTTL        time.Duration // how long to remember a verified password; 0: not at all
	HashConcurrency int           // password hashes that run at once; 0: automatic
	LockAfter       int           // failed logins in a row that lock an account; 0: never lock
	LockDuration    time.Duration // 0: until lifted
}

// Password checks logins and passwords. Create it with NewPassword. It is safe for concurrent use.
type Password struct {
	PasswordConfig
	digester *digester
	hasher   *hasher
}

// NewPassword returns an authenticator.
func NewPassword(c PasswordConfig) *Password {
	return &Password{
		PasswordConfig: c,
		digester:       newDigester(),
		hasher:         newHasher(c.HashConcurrency, c.Observer),
	}
}

// Queued returns how many password hashes wait for a slot.
func (a *Password) Queued() int { return a.hasher.gate.queued() }

// Authenticate returns the user with this login if the password is one of the user's. The context
// carries the source of the request, as audit.WithRequest puts it there. The error is one of the
// sentinels of this package or of directory, a *BusyError, ErrUnavailable or the error of the
// context. A refusal takes the same time whatever its reason: Authenticate computes every hash of
// the user, or those of a decoy, before it decides. The order of verdicts is locked, wrong
// password, user revoked, account expired, password expired. A password in the password cache costs
// no hash and is accepted despite a lock.
func (a *Password) Authenticate(ctx context.Context, login, plaintext string) (Identity, error) {
	user, cached, err := a.check(ctx, login, plaintext)
	event := audit.Event{Name: audit.Login, Outcome: audit.Allowed, Login: truncateLogin(login), Cached: cached}
	if user != nil {
		event.UID = user.UID
	}
	if err == nil {
		a.Audit(ctx, event)
		return Identity{User: user}, nil
	}
	event.Outcome, event.Reason = audit.Refused, Reason(err)
	if !IsRefusal(err) {
		event.Outcome = audit.Failed
	}
	a.Audit(ctx, event)
	return Identity{}, err
}

// errCredentialsChanged means that the user got other credentials while the hash was computed, so
// that a verdict would be about the old ones.
var errCredentialsChanged = errors.New("the credentials of the user have changed")

// attempts is how often a login is checked when its user changes meanwhile. A hash takes longer
// than a change takes to arrive, so the second attempt succeeds unless the user changes all the
// time.
const attempts = 3

// maximumLogin is the longest login, in characters, that a User may have.
const maximumLogin = 255

// truncateLogin returns a login in the form in which it may enter a log. A login above maximumLogin
// belongs to no user, and each refusal of one could fill the log with a whole request body.
func truncateLogin(login string) string {
	if len(login) <= maximumLogin || utf8.RuneCountInString(login) <= maximumLogin {
		return login
	}
	runes := 0
	return strings.Clone(login[:strings.IndexFunc(login, func(rune) bool { runes++; return runes > maximumLogin })]) + "..."
}

// check checks a login again while its user changes.
func (a *Password) check(ctx context.Context, login, plaintext string) (user *directory.User, cached bool, err error) {
	if !a.Directory.HasSynced() {
		return nil, false, ErrUnavailable
	}
	for range attempts {
		user, cached, err = a.checkOnce(ctx, login, plaintext)
		if err != errCredentialsChanged { //nolint:errorlint // never wrapped
			return user, cached, err
		}
	}
	return user, false, ErrWrongPassword
}

// checkOnce checks a login against the credentials that its user has at the start, and against no
// others.
func (a *Password) checkOnce(ctx context.Context, login, plaintext string) (user *directory.User, cached bool, err error) {
	user, known := a.Directory.ByLogin(login)
	if !known {
		return nil, false, a.refuseUnknown(ctx, login, plaintext)
	}
	digest := a.digester.digest(user.UID, plaintext)
	if a.isCached(user, &digest) {
		a.succeeded(user)
		return user, true, nil
	}
	match, err := a.match(ctx, user, plaintext, digest)
	if err != nil {
		return user, false, err
	}
	return user, false, a.verdict(user, match, &digest)
}

// isCached reports whether the password cache has the password and it is still good. A cached
// password that is not good any more goes through the hasher, so that its refusal costs what every
// refusal costs.
func (a *Password) isCached(user *directory.User, digest *[32]byte) bool {
	now := a.Now()
	i, ok := user.Credentials.Cache.Recall(digest, now)
	return ok && a.CacheTTL > 0 && user.Check(now) == nil && !user.Credentials.Passwords[i].Expired(now)
}

// refuseUnknown refuses a login that no user has, at the cost of a login that a user has.
func (a *Password) refuseUnknown(ctx context.Context, login, plaintext string) error {
	key := flightKey{digest: a.digester.digest("", login, plaintext)}
	if _, err := a.compute(ctx, key, a.question(ctx, login, plaintext, a.Directory.Decoys(login))); err != nil {
		return err
	}
	return ErrUnknownLogin
}

// match returns the index of the password that matches, or -1. It skips hashes only where the login
// succeeds.
func (a *Password) match(ctx context.Context, user *directory.User, plaintext string, digest [32]byte) (int, error) {
	passwords := user.Credentials.Passwords
	hashes := make([]*password.Hash, len(passwords))
	for i := range passwords {
		hashes[i] = passwords[i].Hash
	}
	q := a.question(ctx, user.Login, plaintext, hashes)
	if len(hashes) == 0 {
		q.hashes = a.Directory.Decoys(user.Login)
		_, err := a.compute(ctx, flightKey{user.Credentials, digest}, q)
		return -1, err
	}
	now := a.Now()
	open := !user.Locked(now) && user.Check(now) == nil
	q.stop = func(i int) bool { return open && !passwords[i].Expired(now) }
	return a.compute(ctx, flightKey{user.Credentials, digest}, q)
}

func (a *Password) question(ctx context.Context, login, plaintext string, hashes []*password.Hash) question {
	return question{
		source:   sourceName(audit.RequestFrom(ctx).Source),
		login:    login,
		password: []byte(plaintext),
		hashes:   hashes,
		stop:     func(int) bool { return false },
	}
}

// compute answers a question at once where no hash costs anything or where one that costs nothing
// settles it. Otherwise it asks the hasher.
func (a *Password) compute(ctx context.Context, key flightKey, q question) (int, error) {
	costly := false
	for i, h := range q.hashes {
		if !h.Free() {
			costly = true
		} else if q.stop(i) && h.Verify(q.password) {
			return i, nil
		}
	}
	if !costly {
		return firstMatch(q), nil
	}
	return a.hasher.match(ctx, key, q)
}

// verdict decides after the hash, on the user as it is now, because the user may have changed while
// the hash waited. If the credentials of asked are not the user's any more, it returns
// errCredentialsChanged and counts nothing.
func (a *Password) verdict(asked *directory.User, match int, digest *[32]byte) error {
	now := a.Now()
	user, ok := a.Directory.ByLogin(asked.Login)
	if !ok || user.Credentials != asked.Credentials {
		return errCredentialsChanged
	}
	if user.Locked(now) {
		return ErrLocked
	}
	if match < 0 {
		a.failed(user, now)
		return ErrWrongPassword
	}
	if err := user.Check(now); err != nil {
		return err
	}
	if user.Credentials.Passwords[match].Expired(now) {
		return ErrPasswordExpired
	}
	if a.CacheTTL > 0 {
		user.Credentials.Cache.Remember(digest, match, now.Add(a.CacheTTL))
	}
	a.succeeded(user)
	return nil
}

// failed counts a wrong password and starts a lock when there were too many: on this replica, or on
// all replicas since the last success as far as the status shows. The status also counts what
// replicas saw before they restarted.
func (a *Password) failed(user *directory.User, now time.Time) {
	until := loginstate.Forever
	if a.LockDuration > 0 {
		until = now.Add(a.LockDuration)
	}
	update := loginstate.Update{Failures: 1}
	threshold := min(a.LockAfter, max(1, loginstate.FailureLimit-user.FailedLogins))
	if user.Credentials.Failures.Fail(threshold, until) {
		update.LockedUntil = until
	}
	a.LoginUpdated(user, update)
}

// succeeded clears the failures, on this replica and in the status that all replicas share.
func (a *Password) succeeded(user *directory.User) {
	if user.Credentials.Failures.Succeed() || user.FailedLogins > 0 {
		a.LoginUpdated(user, loginstate.Update{Cleared: true})
	}
}
