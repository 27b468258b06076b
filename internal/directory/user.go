package directory

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// The verdicts on a user and on the user's tokens. They appear in logs and metrics; an API tells
// its client only as much as its specification allows.
var (
	ErrRevoked   = errors.New("user revoked")
	ErrExpired   = errors.New("account expired")
	ErrTokenVoid = errors.New("token issued before the user's tokens were revoked")
)

// User is one user as the directory knows it. After Put it is immutable, except for the password
// cache and the failure count in its Credentials.
type User struct {
	Key         string // namespace/name of the object
	UID         string // metadata.uid, the identity in tokens
	Login       string
	DisplayName string
	Email       string
	Groups      []string
	Audiences   []string  // beside the service's own, what JWTs may be for
	Created     time.Time // of two users of one rank with the same login, the older keeps it
	Tenant      string    // whose user it is; empty: nobody's
	Rank        int       // of several users with the same login, the one with the lowest rank has it

	Unreadable       bool // the stored object breaks the schema; it counts as revoked
	NotPermitted     bool // it is outside of what its tenant allows; it counts as revoked, but gets everything back
	Revoked          bool
	ExpiresAt        time.Time // zero: never
	TokensValidAfter time.Time // spec: tokens issued up to and including this second are void
	TokensRevokedAt  time.Time // status: the same, set by a revocation through an API; never moves back
	DefaultLifetime  time.Duration
	MaximumLifetime  time.Duration // zero: the server's own limits

	// Revocations are those of the user in the directory, which sets them.
	Revocations []Revocation
	// RecordedRevocation is the TokensRevokedAt of a status that already shows the user as revoked, in Unix
	// seconds, so that a restart does not move that time; 0: it does not show it. SupersededRevocation is one
	// that was lifted before the user was revoked again, and is not the time of that in the status.
	RecordedRevocation, SupersededRevocation int64
	// AsOf is when this version was made. If it is zero, no revocation moves TokensRevokedAt.
	AsOf time.Time

	LockedUntil       time.Time // status: end of the lock that all replicas know; zero: none
	FailedLogins      int       // status: consecutive failures that replicas have reported
	LastTokenIssuedAt time.Time // status: approximate

	Identities []Identity // tokens of other issuers that speak for the user

	Credentials *Credentials
}

// Password is one password of a user.
type Password struct {
	Hash      *password.Hash
	ExpiresAt time.Time // zero: never
}

// Expired reports whether the password, not the account, has expired.
func (p Password) Expired(now time.Time) bool { return ended(p.ExpiresAt, now) }

// Credentials are a user's passwords with what this process has learned about them. The next
// version of a user inherits them only if Revision is the same, so that a change of the object, of
// a hash or of a Secret clears the password cache and the failure count.
type Credentials struct {
	// Revision identifies everything that the passwords were made from: the generation of the
	// object and the content of its Secrets.
	Revision  string
	Passwords []Password

	Cache    PasswordCache
	Failures Failures

	reported atomic.Int64 // UNIX time in seconds of the last issue for which ReportIssue returned true
}

// ReportIssue reports whether the issue of a token at now is worth reporting: nothing was reported
// in the last while, neither by this process nor, according to lastKnown, by another one. Of
// concurrent calls only one returns true.
func (c *Credentials) ReportIssue(lastKnown, now time.Time, while time.Duration) bool {
	before := c.reported.Load()
	if now.Sub(later(lastKnown, time.Unix(before, 0))) < while {
		return false
	}
	return c.reported.CompareAndSwap(before, now.Unix())
}

// Check returns the verdict on the user at now: nil, ErrRevoked or ErrExpired. No other code
// decides whether a user is revoked or expired. The end of an account is exact.
func (u *User) Check(now time.Time) error {
	if u.RevokedAt(now) {
		return ErrRevoked
	}
	if ended(u.ExpiresAt, now) {
		return ErrExpired
	}
	return nil
}

// CheckToken returns the verdict on a token of this user by its time of issue: nil or ErrTokenVoid.
// Times are compared in whole seconds, so that a token issued in the same second as a revocation is
// void.
func (u *User) CheckToken(issuedAt time.Time) error {
	for _, after := range [...]time.Time{u.TokensValidAfter, u.TokensRevokedAt} {
		if !after.IsZero() && issuedAt.Unix() <= after.Unix() {
			return ErrTokenVoid
		}
	}
	for _, r := range u.Revocations { // voids what was issued until its end
		if !r.Until.IsZero() && issuedAt.Unix() <= r.Until.Unix() {
			return ErrTokenVoid
		}
	}
	return nil
}

// TokensValidFrom returns the time from which tokens issued to this user are not void, or the zero
// time if all are valid. See CheckToken.
func (u *User) TokensValidFrom() time.Time {
	void := later(u.TokensValidAfter, u.TokensRevokedAt)
	if void.IsZero() {
		return void
	}
	return time.Unix(void.Unix()+1, 0)
}

// Locked reports whether the account is locked: to all but plaintexts, and passwords that have logged
// in lately.
func (u *User) Locked(now time.Time) bool {
	return now.Before(u.LockedUntil) || u.Credentials.Failures.locked(now)
}

// Lockable reports whether failed logins may lock the account: it has a password that is a hash. A
// plaintext is the secret of a machine, too long to guess, and a lock would do no more than keep that
// machine out.
func (u *User) Lockable() bool {
	return slices.ContainsFunc(u.Credentials.Passwords, func(p Password) bool { return !p.Hash.Free() })
}

// PasswordsExpired reports whether the user has passwords, all of them have expired, and the user
// cannot log in without one.
func (u *User) PasswordsExpired(now time.Time) bool {
	passwords := u.Credentials.Passwords
	return len(u.Identities) == 0 && len(passwords) > 0 && !slices.ContainsFunc(passwords, func(p Password) bool { return !p.Expired(now) })
}

// succeed makes u the next version of old, with everything that must outlive a change of the
// object.
func (u *User) succeed(old *User) {
	u.TokensRevokedAt = later(u.TokensRevokedAt, old.TokensRevokedAt)
	u.LastTokenIssuedAt = later(u.LastTokenIssuedAt, old.LastTokenIssuedAt)
	u.SupersededRevocation = old.SupersededRevocation
	if u.Credentials.Revision != old.Credentials.Revision {
		return
	}
	u.Credentials = old.Credentials
	if u.FailedLogins != old.FailedLogins {
		u.Credentials.Failures.followCount(old.FailedLogins, u.FailedLogins)
	}
	if !u.LockedUntil.Equal(old.LockedUntil) {
		u.Credentials.Failures.followLock(old.LockedUntil, u.LockedUntil, u.FailedLogins)
	}
}

func ended(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
