// Package authn decides whether a password is good and whether a token is good. It knows nothing of
// HTTP: each API turns its errors into what its clients may learn.
package authn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/assertion"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// The reasons to refuse credentials or a token, besides directory.ErrRevoked, directory.ErrExpired,
// directory.ErrTokenVoid, token.ErrInvalid and token.ErrExpired. Every refusal is one of these
// sentinels.
var (
	ErrUnknownLogin    = errors.New("unknown login")
	ErrWrongPassword   = errors.New("wrong password")
	ErrLocked          = errors.New("account locked")
	ErrPasswordExpired = errors.New("password expired")
	ErrNoPassword      = errors.New("user has no password and no identity")
	ErrTokenRevoked    = errors.New("token revoked")
	ErrUserGone        = errors.New("user of the token is gone")
)

// ErrUnavailable means that there is no verdict because the directory is not complete, or stale. Clients
// may try again.
var ErrUnavailable = errors.New("users are not loaded or may be out of date; try again soon")

// ErrStale is ErrUnavailable because the directory may be too old: it has had no sign of life of its
// source for longer than the operator allows.
var ErrStale = fmt.Errorf("no sign of life of the API server for too long: %w", ErrUnavailable)

// ErrCut is ErrUnavailable because the namespace of the user cannot be read.
var ErrCut = fmt.Errorf("the namespace of the user cannot be read: %w", ErrUnavailable)

// undecided returns nil if a directory can be the ground of a verdict at now, or else why not. Every
// verdict asks it first.
func undecided(d *directory.Directory, now time.Time) error {
	switch {
	case !d.HasSynced():
		return ErrUnavailable
	case d.Stale(now):
		return ErrStale
	}
	return nil
}

// BusyError means that there is no verdict because more passwords wait to be hashed than the
// service can hash in good time.
type BusyError struct {
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return "too many passwords are waiting to be hashed; try again soon"
}

// RetryAfter returns the number of seconds, rounded up, after which a client may ask again when err
// is not a verdict.
func RetryAfter(err error) int {
	wait := retryAfter
	if busy, ok := errors.AsType[*BusyError](err); ok {
		wait = busy.RetryAfter
	}
	return int(math.Ceil(wait.Seconds()))
}

// Identity is a user whose credentials or token have just been found good.
type Identity struct {
	User *directory.User
	// Claims are those of the token. They are zero after a login.
	Claims token.Claims
	// Record is the record of the token, or nil if it has none.
	Record *directory.Record
}

// verdict is a sentinel error and its name in logs and metrics, where a stable word serves better
// than a sentence.
type verdict struct {
	err  error
	name string
}

// verdicts returns the refusals.
func verdicts() [12]verdict {
	return [...]verdict{
		{ErrUnknownLogin, "unknown_login"}, {ErrWrongPassword, "wrong_password"}, {ErrLocked, "locked"},
		{directory.ErrRevoked, "user_revoked"}, {directory.ErrExpired, "account_expired"}, {ErrPasswordExpired, "password_expired"},
		{ErrNoPassword, "no_password"},
		{token.ErrInvalid, "invalid_token"}, {token.ErrExpired, "token_expired"}, {ErrTokenRevoked, "token_revoked"},
		{directory.ErrTokenVoid, "token_void"}, {ErrUserGone, "user_gone"},
	}
}

// Reason returns a stable name for an error of this package, for logs and metrics. The name is
// empty when err is nil.
func Reason(err error) string {
	for _, v := range verdicts() {
		if errors.Is(err, v.err) {
			return v.name
		}
	}
	if _, ok := errors.AsType[*BusyError](err); ok {
		return "busy"
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrStale):
		return "stale"
	case errors.Is(err, ErrCut):
		return "namespace_unreadable"
	case errors.Is(err, ErrUnavailable):
		return "not_synced"
	case errors.Is(err, assertion.ErrNoKeys):
		return "no_issuer_keys"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "hung_up"
	}
	return "error"
}

// IsRefusal reports whether err is a refusal, which is a verdict, rather than a failure to decide.
func IsRefusal(err error) bool {
	for _, v := range verdicts() {
		if errors.Is(err, v.err) {
			return true
		}
	}
	return false
}
