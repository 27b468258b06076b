package authn

import (
	"context"
	"errors"
	"slices"
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

	CacheTTL        time.Duration // how long a verified password that is not used costs no hash; 0: not at all
	HashConcurrency int           // password hashes that run at once; 0: automatic
	HashMemory      int64         // bytes that they may take; 0: any number
	LockAfter       int           // failed logins in a row that lock out a network; 0: never lock
	LockDuration    time.Duration // of the first lock; 0: until lifted
}

// Password checks logins and passwords. Create it with NewPassword. It is safe for concurrent use.
type Password struct {
	PasswordConfig
	digester *digester
	hasher   *hasher
	locks    directory.LockPolicy
}

// NewPassword returns an authenticator.
func NewPassword(c PasswordConfig) *Password {
	return &Password{
		PasswordConfig: c,
		digester:       newDigester(),
		hasher:         newHasher(c.HashConcurrency, c.HashMemory, c.Observer),
		locks:          lockPolicy(c.LockAfter, c.LockDuration),
	}
}

// Queued returns how many password hashes wait for a slot.
func (a *Password) Queued() int { return a.hasher.gate.queued() }

// Authenticate returns the user with this login if the password is one of the user's. The context
// carries the source of the request, as audit.WithRequest puts it there. The error is one of the
// sentinels of this package or of directory, a *BusyError, ErrUnavailable or the error of the
// context. A refusal takes the same time whatever its reason and whatever passwords the user has:
// Authenticate computes every hash of the user, and decoys up to the reference cost of the directory,
// before it decides. The order of verdicts is locked, wrong
// password, user revoked, account expired, password expired. A password in the password cache costs
// no hash. No lock refuses a plaintext, nor a password that has logged in lately, to a network from
// which the user has logged in lately.
func (a *Password) Authenticate(ctx context.Context, login, plaintext string) (Identity, error) {
	return a.AuthenticateAny(ctx, Credentials{login, plaintext})
}

// Credentials are a login and a password.
type Credentials struct{ Login, Password string }

// AuthenticateAny returns the user to whom one of several credentials belongs, as Authenticate does
// for one. They are what one text may mean: a header that clients write in two ways. However many
// they are, a refusal counts as one failure, of the first of them whose login a user has. Its time
// grows with their number, which the client chooses, and depends on nothing else.
func (a *Password) AuthenticateAny(ctx context.Context, readings ...Credentials) (Identity, error) {
	user, cached, err := a.check(ctx, readings)
	event := audit.Event{Name: audit.Login, Outcome: audit.Allowed, Login: truncateLogin(readings[0].Login), Cached: cached}
	if user != nil {
		event.Login, event.UID = user.Login, user.UID
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
func (a *Password) check(ctx context.Context, readings []Credentials) (user *directory.User, cached bool, err error) {
	if err := undecided(a.Directory, a.Now()); err != nil {
		return nil, false, err
	}
	if !a.Directory.HasDecoySecret() {
		return nil, false, ErrUnavailable
	}
	for range attempts {
		user, cached, err = a.checkOnce(ctx, readings)
		if err != errCredentialsChanged { //nolint:errorlint // never wrapped
			return user, cached, err
		}
	}
	return user, false, ErrWrongPassword
}

// checkOnce checks a login against the credentials that its user has at the start, and against no
// others.
func (a *Password) checkOnce(ctx context.Context, readings []Credentials) (user *directory.User, cached bool, err error) {
	var attempts []attempt // none if the password cache answers, as it mostly does
	for _, c := range readings {
		t := a.attempt(ctx, c)
		if t.user != nil && a.passesByCache(&t) {
			return t.user, true, nil
		}
		attempts = append(attempts, t)
	}
	user, err = a.decide(ctx, attempts)
	if IsRefusal(err) && slices.ContainsFunc(attempts, func(t attempt) bool { return t.cut }) {
		err = ErrCut // whether or not a user has the login elsewhere, and after the same work
	}
	return user, false, err
}

// decide returns the user of the first attempt that succeeds. Unless one does, it computes the hashes
// of all of them before it refuses, so that the time does not tell which of them is right.
func (a *Password) decide(ctx context.Context, attempts []attempt) (*directory.User, error) {
	var refused *attempt // the first whose password is right
	var reason error
	for i := range attempts {
		t := &attempts[i]
		match, err := a.match(ctx, t)
		if err != nil {
			return t.user, err
		}
		if match < 0 {
			continue
		}
		err = a.verdict(t, match)
		if err == nil || err == errCredentialsChanged { //nolint:errorlint // never wrapped
			return t.user, err
		}
		if refused == nil {
			refused, reason = t, err
		}
	}
	if refused != nil {
		return refused.user, reason
	}
	known := slices.IndexFunc(attempts, func(t attempt) bool { return t.user != nil })
	if known < 0 {
		return nil, ErrUnknownLogin
	}
	return attempts[known].user, a.verdict(&attempts[known], -1)
}

// attempt returns an attempt to log in with c.
func (a *Password) attempt(ctx context.Context, c Credentials) attempt {
	user, known := a.Directory.ByLogin(c.Login)
	switch {
	case !known:
		return attempt{login: c.Login, plaintext: c.Password, cut: a.Directory.MayBeCut(c.Login)}
	case a.Directory.Cut(user):
		return attempt{login: c.Login, plaintext: c.Password, cut: true}
	}
	return attempt{
		user: user, login: user.Login, plaintext: c.Password, digest: a.digester.digest(user.UID, c.Password),
		network: directory.NetworkOf(audit.RequestFrom(ctx).Source), cut: a.Directory.MayBeCut(c.Login),
	}
}

// attempt is one attempt to log in with one password.
type attempt struct {
	user      *directory.User // as it was at the start; nil if no user who can be read has the login
	login     string
	plaintext string
	digest    [32]byte
	network   directory.Network
	cut       bool // a user whose namespace cannot be read has the login, or may have it
}

// passesByCache reports whether the login succeeds because the password cache has the password. A
// cached password that is not good any more goes through the hasher, so that its refusal costs what
// every refusal costs.
func (a *Password) passesByCache(t *attempt) bool {
	now, user := a.Now(), t.user
	v := user.Credentials.Cache.Recall(&t.digest, now)
	if v == nil || !v.Fresh(now, a.CacheTTL) || user.Check(now) != nil || user.Credentials.Passwords[v.Password].Expired(now) {
		return false
	}
	if a.isLocked(user, t, now) && !a.passesLock(user, v.Password, t, now) {
		return false
	}
	v.Use(now)
	a.succeeded(user, t.network, now)
	return true
}

// isLocked reports whether the account or the network of the attempt is locked.
func (a *Password) isLocked(user *directory.User, t *attempt, now time.Time) bool {
	return now.Before(user.LockedUntil) || user.Credentials.Failures.Locks(t.network, now)
}

// passesLock reports whether a lock does not concern the password at an index, which the attempt
// matches: it is a plaintext, or it has logged in lately and the attempt comes from a network from
// which the user has logged in lately.
func (a *Password) passesLock(user *directory.User, match int, t *attempt, now time.Time) bool {
	c := user.Credentials
	return c.Passwords[match].Hash.Free() || c.Cache.Recall(&t.digest, now) != nil && c.Failures.SucceededFrom(t.network, now)
}

// match returns the index of the password that matches, or -1. It skips hashes only where the login
// succeeds. For a login that no user has, it takes the time of one that a user has.
func (a *Password) match(ctx context.Context, t *attempt) (int, error) {
	if t.user == nil {
		return -1, a.payForRefusal(ctx, t.login, t.plaintext)
	}
	user, passwords := t.user, t.user.Credentials.Passwords
	hashes := make([]*password.Hash, len(passwords))
	for i := range passwords {
		hashes[i] = passwords[i].Hash
	}
	q := a.question(ctx, user.Login, t.plaintext)
	q.hashes, q.decoys = hashes, a.Directory.TopUp(user.Login, hashes)
	now := a.Now()
	q.claim.lately = user.Credentials.Failures.SucceededFrom(t.network, now)
	good, locked := user.Check(now) == nil, a.isLocked(user, t, now)
	q.stop = func(i int) bool {
		return good && !passwords[i].Expired(now) && (!locked || a.passesLock(user, i, t, now))
	}
	return a.compute(ctx, flightKey{user.Credentials, t.digest}, q)
}

// payForRefusal takes the time that the refusal of a password takes, without looking at any user.
func (a *Password) payForRefusal(ctx context.Context, login, secret string) error {
	q := a.question(ctx, login, secret)
	q.decoys = a.Directory.Decoys(login)
	_, err := a.compute(ctx, flightKey{digest: a.digester.digest("", login, secret)}, q)
	return err
}

func (a *Password) question(ctx context.Context, login, plaintext string) question {
	return question{
		claim:    claim{source: sourceNetworks(audit.RequestFrom(ctx).Source), login: login},
		password: []byte(plaintext),
		stop:     func(int) bool { return false },
	}
}

// compute answers a question at once where no hash costs anything or where one that costs nothing
// settles it. Otherwise it asks the hasher.
func (a *Password) compute(ctx context.Context, key flightKey, q question) (int, error) {
	for i, h := range q.hashes {
		if h.Free() && q.stop(i) && h.Verify(q.password) {
			return i, nil
		}
	}
	isCostly := func(h *password.Hash) bool { return !h.Free() }
	if !slices.ContainsFunc(q.hashes, isCostly) && !slices.ContainsFunc(q.decoys, isCostly) {
		return firstMatch(q), nil
	}
	return a.hasher.match(ctx, key, q)
}

// verdict decides after the hash, on the user as it is now, because the user may have changed while
// the hash waited. If the credentials of the attempt are not the user's any more, it returns
// errCredentialsChanged and counts nothing.
func (a *Password) verdict(t *attempt, match int) error {
	now := a.Now()
	user, ok := a.Directory.ByLogin(t.user.Login)
	if !ok || user.Credentials != t.user.Credentials {
		return errCredentialsChanged
	}
	if match < 0 {
		return a.failed(user, t.network, now)
	}
	if a.isLocked(user, t, now) && !a.passesLock(user, match, t, now) {
		return ErrLocked
	}
	if err := user.Check(now); err != nil {
		return err
	}
	if user.Credentials.Passwords[match].Expired(now) {
		return ErrPasswordExpired
	}
	user.Credentials.Cache.Remember(&t.digest, match, now)
	a.succeeded(user, t.network, now)
	return nil
}
