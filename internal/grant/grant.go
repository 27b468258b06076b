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
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// MaximumLabelled is how many live tokens with a label one user may have.
const MaximumLabelled = 100

// replicaSlack is how many labelled tokens other replicas may have issued to one user without this
// replica knowing yet. So close to the limit, grant counts labels where the records are kept.
const replicaSlack = 25

// issuedResolution is how old the known time of a user's last token must be before a newer one is
// worth a write.
const issuedResolution = time.Hour

var (
	// ErrTooManyLabels means that the user has MaximumLabelled live tokens with a label.
	ErrTooManyLabels = errors.New("too many live tokens with a label; revoke some of them first")
	// ErrUnavailable means that a record could not be written, so that nothing was issued or
	// revoked. Clients may try again.
	ErrUnavailable = errors.New("token records cannot be written now; try again later")
)

// Records keeps token records and revocations, so that they outlive this process and reach every
// replica. An implementation also puts what it has kept into the Directory before it returns. Its
// errors wrap ErrUnavailable. It must be safe for concurrent use, also by several replicas. Package
// granttest tests what every implementation must do.
type Records interface {
	// CreateLabelled keeps the record of a token with a label and returns it. If there is a record
	// of the same user and label already and keep reports that its token is still good,
	// CreateLabelled writes nothing and returns that record. Otherwise it replaces that record, but
	// does not forget its revocation.
	CreateLabelled(ctx context.Context, r directory.Record, keep func(directory.Record) bool) (directory.Record, error)
	// Labelled returns the record of a user and a label, whether or not its token is still good. It
	// reads where the records are kept rather than the Directory, which may not know yet what
	// another replica has just made.
	Labelled(ctx context.Context, u *directory.User, label string) (r directory.Record, ok bool, err error)
	// CountLabelled returns the number of a user's records that have a label and for which counts
	// reports true. Like Labelled, it reads where the records are kept.
	CountLabelled(ctx context.Context, u *directory.User, counts func(directory.Record) bool) (int, error)
	// Revoke keeps that a token is revoked: it changes the record of the token or makes one. To
	// revoke a token again is not an error.
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
	case errors.Is(err, ErrTooManyLabels):
		e.Outcome, e.Reason = audit.Refused, "too_many_labels"
	case errors.Is(err, ErrUnavailable):
		e.Reason = "unavailable"
	case errors.Is(err, token.ErrNoKey):
		e.Reason = "no_key"
	}
	g.Audit(ctx, e)
	return err
}

// Unavailable returns an error that names the failed operation and wraps both ErrUnavailable and
// err. It returns nil when err is nil.
func Unavailable(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %w", operation, ErrUnavailable, err)
}
