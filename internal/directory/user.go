package directory

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// The verdicts on a user and on what was issued to it. They reach logs and metrics; a door tells its client no more than
// its dialect allows.
var (
	ErrRevoked   = errors.New("user revoked")
	ErrExpired   = errors.New("account expired")
	ErrTokenVoid = errors.New("token issued before the user's tokens were revoked")
)

// User is one user as the directory knows it. It is immutable once it was Put, but for the memo and the failure count that
// its Credentials hold.
type User struct {
	Key         string // namespace/name of the object
	UID         string // metadata.uid, the identity on the wire
	Login       string
	DisplayName string
	Email       string
	Groups      []string
	Created     time.Time // the older of two users keeps a login that both claim

	Unreadable       bool // the stored object breaks the schema; it counts as revoked
	Revoked          bool
	ExpiresAt        time.Time // zero: never
	TokensValidAfter time.Time // spec: tokens issued up to and including this second are void
	TokensRevokedAt  time.Time // status: the same, set by a revocation by name; never moves back
	DefaultLifetime  time.Duration
	MaximumLifetime  time.Duration // zero: the server's own limits

	LockedUntil       time.Time // status: the lock that all replicas know; zero: none
	FailedLogins      int       // status: failures in a row that replicas have reported
	LastTokenIssuedAt time.Time // status: coarse

	Credentials *Credentials
}

// Password is one password of a user.
type Password struct {
	Hash      *password.Hash
	ExpiresAt time.Time // zero: never
}

// Expired says whether the password, not the account, has ended.
func (p Password) Expired(now time.Time) bool { return ended(p.ExpiresAt, now) }

// Credentials are a user's passwords with what this process has learned about them. They are carried over from one version
// of a user to the next only while Revision stays the same, so that a change of the object, of a hash or of a Secret forgets
// memo and failure count by itself.
type Credentials struct {
	// Revision stands for everything the passwords were made of: the object's generation and the content of its Secrets.
	Revision  string
	Passwords []Password

	Cache    PasswordCache
	Failures Failures

	reported atomic.Int64 // UNIX seconds of the last issue that ReportIssue said yes to
}

// ReportIssue says whether the issue of a token at a time is worth reporting: nothing was reported for at least a while,
// neither by this process nor in lastKnown. It says so once to all who ask at the same time.
func (c *Credentials) ReportIssue(lastKnown, now time.Time, while time.Duration) bool {
	before := c.reported.Load()
	if now.Sub(later(lastKnown, time.Unix(before, 0))) < while {
		return false
	}
	return c.reported.CompareAndSwap(before, now.Unix())
}

// Check is the verdict on the user: nil, ErrRevoked or ErrExpired. It is the only place where a User's standing is
// decided, and time is an input. The end of an account is exact.
func (u *User) Check(now time.Time) error {
	if u.Revoked {
		return ErrRevoked
	}
	if ended(u.ExpiresAt, now) {
		return ErrExpired
	}
	return nil
}

// CheckToken is the verdict on a token of this user by its time of issue: nil or ErrTokenVoid. Times compare in whole
// seconds, so a token issued in the very second of a revocation is void.
func (u *User) CheckToken(issuedAt time.Time) error {
	for _, after := range [...]time.Time{u.TokensValidAfter, u.TokensRevokedAt} {
		if !after.IsZero() && issuedAt.Unix() <= after.Unix() {
			return ErrTokenVoid
		}
	}
	return nil
}

// Locked says whether the account is locked to credentials that are not in the memo.
func (u *User) Locked(now time.Time) bool {
	return now.Before(u.LockedUntil) || u.Credentials.Failures.locked(now)
}

// PasswordsExpired says whether the user has passwords and every one of them has expired.
func (u *User) PasswordsExpired(now time.Time) bool {
	passwords := u.Credentials.Passwords
	return len(passwords) > 0 && !slices.ContainsFunc(passwords, func(p Password) bool { return !p.Expired(now) })
}

// succeed makes u the next version of old: what must outlive a change of the object is carried over.
func (u *User) succeed(old *User) {
	u.TokensRevokedAt = later(u.TokensRevokedAt, old.TokensRevokedAt)
	u.LastTokenIssuedAt = later(u.LastTokenIssuedAt, old.LastTokenIssuedAt)
	if u.Credentials.Revision != old.Credentials.Revision {
		return
	}
	u.Credentials = old.Credentials
	if !u.LockedUntil.Equal(old.LockedUntil) {
		u.Credentials.Failures.follow(old.LockedUntil, u.LockedUntil)
	}
}

func ended(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
