// Package authn gives the two verdicts of the service: is this password good, is this token good. It knows no HTTP and no
// dialect; a door turns its errors into what its clients may learn.
package authn

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// The reasons why credentials or a token are refused, beside directory.ErrRevoked, directory.ErrExpired, token.ErrInvalid and
// token.ErrExpired. Every refusal is one of these sentinels.
var (
	ErrUnknownLogin    = errors.New("unknown login")
	ErrWrongPassword   = errors.New("wrong password")
	ErrLocked          = errors.New("account locked")
	ErrPasswordExpired = errors.New("password expired")
	ErrTokenRevoked    = errors.New("token revoked")
	ErrUserGone        = errors.New("user of the token is gone")
)

// ErrUnavailable says that there is no verdict: the directory is not complete yet. Clients may try again.
var ErrUnavailable = errors.New("the directory is not complete yet")

// BusyError says that there is no verdict because more passwords are waiting to be hashed than can be in good time.
type BusyError struct {
	RetryAfter time.Duration
}

func (e *BusyError) Error() string { return "too many passwords are waiting to be hashed" }

// RetryAfter returns in how many seconds, rounded up, a client may ask again after an error that is no verdict.
func RetryAfter(err error) int {
	wait := retryAfter
	if busy, ok := errors.AsType[*BusyError](err); ok {
		wait = busy.RetryAfter
	}
	return int(math.Ceil(wait.Seconds()))
}

// Identity is a user whose credentials or token were good just now.
type Identity struct {
	User *directory.User
	// Claims are those of the token, zero after a login by password.
	Claims token.Claims
	// Record is the record of the token, if it has one.
	Record *directory.Record
}

// verdict is a sentinel with its name in logs and metrics, where a stable word is better than a sentence.
type verdict struct {
	err  error
	name string
}

// verdicts are the refusals.
func verdicts() [11]verdict {
	return [...]verdict{
		{ErrUnknownLogin, "unknown_login"}, {ErrWrongPassword, "wrong_password"}, {ErrLocked, "locked"},
		{directory.ErrRevoked, "user_revoked"}, {directory.ErrExpired, "account_expired"}, {ErrPasswordExpired, "password_expired"},
		{token.ErrInvalid, "invalid_token"}, {token.ErrExpired, "token_expired"}, {ErrTokenRevoked, "token_revoked"},
		{directory.ErrTokenVoid, "token_void"}, {ErrUserGone, "user_gone"},
	}
}

// Reason names an error of this package in one word, for logs and metrics.
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
	case errors.Is(err, ErrUnavailable):
		return "not_synced"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "hung_up"
	}
	return "error"
}

// IsRefusal tells refusals, which are verdicts, from failures to decide.
func IsRefusal(err error) bool {
	for _, v := range verdicts() {
		if errors.Is(err, v.err) {
			return true
		}
	}
	return false
}
