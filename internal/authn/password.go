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

// PasswordConfig is what a Password authenticator needs.
type PasswordConfig struct {
	Directory *directory.Directory
	Audit     audit.Sink
	Observer  Observer
	// Noted is told of failures, locks and successes after failures, so that status, other replicas and the next start
	// learn of them. It must not block.
	LoginUpdated func(*directory.User, loginstate.Update)
	Now          func() time.Time

	CacheTTL        time.Duration // how long a verified password is remembered; 0: not at all
	HashConcurrency int           // password hashes at once; 0: automatic
	LockAfter       int           // failed logins in a row; 0: never
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

// Authenticate says whether a password is one of the login's. The source of the request is taken from the context.
//
// The error is one of the sentinels of this package or of directory, a *BusyError, ErrUnavailable or the context's error.
// Refusals cost the same time whatever their reason: every hash of the user is computed, or those of a decoy, and the
// verdict comes after. The order of verdicts is locked, wrong password, user revoked, account expired, password expired.
// A password that was verified a short while ago costs no hash, and no lock keeps it out.
func (a *Password) Authenticate(ctx context.Context, login, plain string) (Identity, error) {
	user, memo, err := a.check(ctx, login, plain)
	event := audit.Event{Name: audit.Login, Outcome: audit.Allowed, Login: clipped(login), Cached: memo}
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

// errOvertaken says that the user got other credentials while its hash was computed: a verdict would be about the old ones.
var errOvertaken = errors.New("the credentials changed meanwhile")

// attempts is how often a login is judged anew because the user changed meanwhile. A hash takes longer than a change takes
// effect, so a second attempt succeeds unless somebody changes the user all the time.
const attempts = 3

// maximumLogin is the longest login in characters that a User may have.
const maximumLogin = 255

// clipped is a login as far as it may go into a log. A longer one is nobody's, and could fill the log with a body's worth of
// text for each refusal.
func clipped(login string) string {
	if len(login) <= maximumLogin || utf8.RuneCountInString(login) <= maximumLogin {
		return login
	}
	runes := 0
	return strings.Clone(login[:strings.IndexFunc(login, func(rune) bool { runes++; return runes > maximumLogin })]) + "..."
}

func (a *Password) check(ctx context.Context, login, plain string) (user *directory.User, memo bool, err error) {
	if !a.Directory.HasSynced() {
		return nil, false, ErrUnavailable
	}
	for range attempts {
		user, memo, err = a.judge(ctx, login, plain)
		if err != errOvertaken { //nolint:errorlint // never wrapped
			return user, memo, err
		}
	}
	return user, false, ErrWrongPassword
}

// judge checks against the credentials that the user has at the start, and against no others.
func (a *Password) judge(ctx context.Context, login, plain string) (user *directory.User, memo bool, err error) {
	user, known := a.Directory.ByLogin(login)
	if !known {
		return nil, false, a.refuseUnknown(ctx, login, plain)
	}
	digest := a.digester.digest(user.UID, plain)
	if a.remembered(user, &digest) {
		a.succeeded(user)
		return user, true, nil
	}
	match, err := a.match(ctx, user, plain, digest)
	if err != nil {
		return user, false, err
	}
	return user, false, a.verdict(user, match, &digest)
}

// remembered says whether the password was verified before and would be good now. If it was verified and is not good now,
// the refusal must cost what every refusal costs, so it takes the long way.
func (a *Password) remembered(user *directory.User, digest *[32]byte) bool {
	now := a.Now()
	i, ok := user.Credentials.Cache.Recall(digest, now)
	return ok && a.CacheTTL > 0 && user.Check(now) == nil && !user.Credentials.Passwords[i].Expired(now)
}

// refuseUnknown makes a login that nobody has cost what a login of somebody's costs.
func (a *Password) refuseUnknown(ctx context.Context, login, plain string) error {
	key := flightKey{digest: a.digester.digest("", login, plain)}
	if _, err := a.compute(ctx, key, a.question(ctx, login, plain, a.Directory.Decoys(login))); err != nil {
		return err
	}
	return ErrUnknownLogin
}

// match returns the index of the password that matches, or -1. Hashes are spared only where the login succeeds.
func (a *Password) match(ctx context.Context, user *directory.User, plain string, digest [32]byte) (int, error) {
	passwords := user.Credentials.Passwords
	hashes := make([]*password.Hash, len(passwords))
	for i := range passwords {
		hashes[i] = passwords[i].Hash
	}
	q := a.question(ctx, user.Login, plain, hashes)
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

func (a *Password) question(ctx context.Context, login, plain string, hashes []*password.Hash) question {
	return question{
		source:   sourceName(audit.RequestFrom(ctx).Source),
		login:    login,
		password: []byte(plain),
		hashes:   hashes,
		stop:     func(int) bool { return false },
	}
}

// compute answers a question at once where no hash costs anything, or where one that costs nothing settles it, and
// otherwise through the hasher.
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

// verdict decides after the hash, on the user as it is now: it may have changed while the hash waited. What was found out
// about credentials that are no longer the user's is errOvertaken, and is not counted.
func (a *Password) verdict(asked *directory.User, match int, digest *[32]byte) error {
	now := a.Now()
	user, ok := a.Directory.ByLogin(asked.Login)
	if !ok || user.Credentials != asked.Credentials {
		return errOvertaken
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

// failed counts a wrong password and begins a lock when it was one too many: for this replica, or for all of them since the
// last success, as far as status tells. The second also counts what replicas saw that have been restarted since.
func (a *Password) failed(user *directory.User, now time.Time) {
	until := loginstate.Forever
	if a.LockDuration > 0 {
		until = now.Add(a.LockDuration)
	}
	note := loginstate.Update{Failures: 1}
	threshold := min(a.LockAfter, max(1, loginstate.FailureLimit-user.FailedLogins))
	if user.Credentials.Failures.Fail(threshold, until) {
		note.LockedUntil = until
	}
	a.LoginUpdated(user, note)
}

// succeeded forgets failures, here and in the record that all replicas share.
func (a *Password) succeeded(user *directory.User) {
	if user.Credentials.Failures.Succeed() || user.FailedLogins > 0 {
		a.LoginUpdated(user, loginstate.Update{Cleared: true})
	}
}
