// Package grant issues tokens to users whose credentials are good, and revokes tokens. It applies
// the limits on lifetimes and keeps the records of labelled and revoked tokens. It knows nothing of
// HTTP.
package grant

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// MaximumRecords is how many token records one user may have, those of revoked tokens included.
const MaximumRecords = 200

// MaximumLabelled is how many live tokens with a label one user may have.
const MaximumLabelled = 100

// RecordedLifetime is the longest lifetime of a token without a record. A token that lives longer
// always has one, so that it is listed and can be revoked by its id.
const RecordedLifetime = 24 * time.Hour

// MaximumText is how many bytes the description of a token may have, and the name of its client.
const MaximumText = 1 << 10

// issuedResolution is how old the known time of a user's last token must be before a newer one is
// worth a write.
const issuedResolution = time.Hour

var (
	// ErrTooManyRecords means that the user has MaximumRecords token records.
	ErrTooManyRecords = errors.New("too many token records; wait until some of the tokens end")
	// ErrTooManyLabels means that the user has MaximumLabelled live tokens with a label.
	ErrTooManyLabels = errors.New("too many live tokens with a label; revoke some of them first")
	// ErrAudience means that the user may not get tokens for a requested audience.
	ErrAudience = errors.New("the user may not get tokens for this audience")
	// ErrLabelTaken means that the token with the requested label outlives the token that the client
	// holds, so that the client may not have it.
	ErrLabelTaken = errors.New("the token with this label outlives the token in use; log in to get it")
	// ErrUnavailable means that a record could not be written, so that nothing was issued or
	// revoked. Clients may try again.
	ErrUnavailable = errors.New("token records cannot be written now; try again later")
)

// Records keeps token records and revocations, so that they outlive this process and reach every
// replica. An implementation also puts what it has kept into the Directory before it returns. Its
// errors wrap ErrUnavailable, unless they are ErrTooManyRecords. It must be safe for concurrent
// use, also by several replicas. Package granttest tests what every implementation must do.
type Records interface {
	// Create keeps the record of a token and returns it. If r has a label, there is a record of the
	// same user and label already, and keep reports that its token is still good, Create writes
	// nothing and returns that record. Otherwise it replaces that record, but does not forget its
	// revocation. It returns ErrTooManyRecords, and writes nothing, if the user has MaximumRecords
	// records. It counts and writes as one step, so that concurrent calls cannot exceed the limit.
	Create(ctx context.Context, r directory.Record, keep func(directory.Record) bool) (directory.Record, error)
	// Labelled returns the record of a user and a label, whether or not its token is still good. It
	// reads where the records are kept rather than the Directory, which may not know yet what
	// another replica has just made.
	Labelled(ctx context.Context, u *directory.User, label string) (r directory.Record, ok bool, err error)
	// Revoke keeps until r.ExpiresAt that a token is revoked: it changes a record of this user and
	// this token that ends no earlier, or makes one. The record keeps no label, description or
	// client. If a new record would exceed MaximumRecords, Revoke makes void every token of the user
	// instead, as RevokeUser does, up to now or the time when this token was issued. To revoke a
	// token again is not an error. r.UserKey is empty if the user is not known.
	Revoke(ctx context.Context, r directory.Record) error
	// RevokeUser keeps that every token of a user that was issued up to and including the second of
	// at is void. That time never moves back. A user who is gone has no tokens to revoke.
	RevokeUser(ctx context.Context, u *directory.User, at time.Time) error
}

// Lifetimes are the limits of the server. The token policy of a user narrows them.
type Lifetimes struct {
	JWTDefault    time.Duration
	JWTMaximum    time.Duration
	OpaqueDefault time.Duration
	OpaqueMaximum time.Duration
}

// Config configures Grants.
type Config struct {
	Directory *directory.Directory
	Issuer    *token.Issuer
	Records   Records
	Lifetimes Lifetimes
	Audit     audit.Sink
	// LoginUpdated receives the time of a token that was issued to a user who got none for a while.
	// It must not block.
	LoginUpdated func(*directory.User, loginstate.Update)
	Now          func() time.Time
}

// Grants issue and revoke tokens. They are safe for concurrent use.
type Grants struct {
	Config
	writes limiter
}

// New returns Grants.
func New(c Config) *Grants { return &Grants{Config: c} }

// done writes the audit event of an operation and returns the operation's error.
func (g *Grants) done(ctx context.Context, e audit.Event, err error) error {
	e.Outcome = audit.Allowed
	if err != nil {
		e.Outcome, e.Reason = audit.Failed, "error"
	}
	switch {
	case errors.Is(err, ErrTooManyRecords):
		e.Outcome, e.Reason = audit.Refused, "too_many_records"
	case errors.Is(err, ErrTooManyRequests):
		e.Outcome, e.Reason = audit.Refused, "too_many_requests"
	case errors.Is(err, ErrTooManyLabels):
		e.Outcome, e.Reason = audit.Refused, "too_many_labels"
	case errors.Is(err, ErrLabelTaken):
		e.Outcome, e.Reason = audit.Refused, "label_taken"
	case errors.Is(err, token.ErrTooLong):
		e.Reason = "token_too_long"
	case authn.IsRefusal(err):
		e.Outcome, e.Reason = audit.Refused, authn.Reason(err)
	case errors.Is(err, ErrUnavailable):
		e.Reason = "unavailable"
	case errors.Is(err, token.ErrNoKey):
		e.Reason = "no_key"
	}
	g.Audit(ctx, e)
	return err
}

// Unavailable returns an error that names the failed operation and wraps both ErrUnavailable and
// err. It returns nil when err is nil, and ErrTooManyRecords as it is.
func Unavailable(operation string, err error) error {
	if err == nil || errors.Is(err, ErrTooManyRecords) || errors.Is(err, ErrTooManyLabels) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", operation, ErrUnavailable, err)
}
