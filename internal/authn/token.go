package authn

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Token checks tokens. It is safe for concurrent use.
type Token struct {
	Directory *directory.Directory
	Verifier  *token.Verifier
	Audit     audit.Sink
	Now       func() time.Time
}

// Authenticate returns the user and the claims of a good token. A token is good when it is genuine,
// is for this service and has not expired, no record revokes it, its user still exists under the same UID, holds its
// login and is neither revoked nor expired, and it was issued after the last revocation of the
// user's tokens. The error is one of the sentinels of this package, of directory or of token. With
// ErrTokenRevoked and with the errors of later checks, the Identity has its Claims, so that a
// client can repeat a revocation.
func (a *Token) Authenticate(ctx context.Context, text string) (Identity, error) {
	return a.audited(ctx, text, a.Verifier.Verify)
}

// Inspect is Authenticate for a token that is not a credential but the subject of a request: the
// token may be for any audience. The caller tells the client the audience or compares it.
func (a *Token) Inspect(ctx context.Context, text string) (Identity, error) {
	return a.audited(ctx, text, a.Verifier.VerifyAny)
}

// verify is a method of token.Verifier.
type verify func(text string, now time.Time) (token.Claims, error)

func (a *Token) audited(ctx context.Context, text string, verify verify) (Identity, error) {
	id, err := a.check(text, verify)
	event := audit.Event{Name: audit.Verify, Outcome: audit.Allowed, TokenID: id.Claims.ID, UID: id.Claims.UID}
	if id.User != nil {
		event.Login = id.User.Login
	}
	if err != nil {
		event.Outcome, event.Reason = audit.Refused, Reason(err)
		if errors.Is(err, ErrUnavailable) {
			event.Outcome = audit.Failed
		}
	}
	a.Audit(ctx, event)
	return id, err
}

func (a *Token) check(text string, verify verify) (Identity, error) {
	now := a.Now()
	if err := undecided(a.Directory, now); err != nil {
		return Identity{}, err
	}
	claims, err := verify(text, now)
	id := Identity{Claims: claims}
	if err != nil {
		return id, err
	}
	if record, ok := a.Directory.Record(claims.UID, claims.ID); ok {
		id.Record = &record
		if record.Revoked {
			return id, ErrTokenRevoked
		}
	}
	user, ok := a.Directory.ByUID(claims.UID)
	switch {
	case !ok && a.mayBeCut(claims): // the token is genuine, so its user was there once
		return id, ErrCut
	case !ok:
		return id, ErrUserGone
	case a.Directory.Cut(user):
		return id, ErrCut
	}
	// A user must hold its login: one who was given the login of another user would act in the
	// other's name.
	if holder, ok := a.Directory.ByLogin(user.Login); !ok || holder.UID != user.UID {
		return id, ErrUserGone
	}
	id.User = user
	if err := user.Check(now); err != nil {
		return id, err
	}
	return id, user.CheckToken(claims.IssuedAt)
}

// mayBeCut reports whether the user of a token, whom the directory does not know, may be in a namespace
// that cannot be read. An opaque token does not say what its user is called.
func (a *Token) mayBeCut(c token.Claims) bool {
	return a.Directory.Incomplete() && (c.Kind != token.KindJWT || a.Directory.MayBeCut(c.Login))
}
