// Package grant issues tokens to users whose credentials were good, and ends tokens before their time. It applies the
// limits of lifetimes, keeps the records of labelled and revoked tokens, and knows no HTTP and no dialect.
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

// unheard is how many tokens with a label other replicas may have issued to one user a moment ago, of which this one has not
// heard: so near the limit they are counted where they are kept.
const unheard = 25

// issuedCoarsely is how old the time of the last token may be before news of another one are worth a write.
const issuedCoarsely = time.Hour

var (
	// ErrTooManyLabels says that the user has as many live labelled tokens as is allowed.
	ErrTooManyLabels = errors.New("too many live tokens with a label")
	// ErrUnavailable says that what must be kept cannot be kept now: nothing was issued or revoked. Clients may try again.
	ErrUnavailable = errors.New("token records cannot be written now")
)

// Records is where token records and revocations are kept, so that they outlive this process and reach every replica. What
// it has kept it also puts into the Directory before it returns. Errors wrap ErrUnavailable. It must be safe for concurrent
// use, and for several replicas.
type Records interface {
	// CreateLabelled keeps the record of a token with a label. When there is a record of the same user and label already
	// and keep says that its token is still good, that one is returned and nothing is written; otherwise it is replaced,
	// without its revocation being forgotten.
	CreateLabelled(ctx context.Context, r directory.Record, keep func(directory.Record) bool) (directory.Record, error)
	// Labelled returns the record that is kept of a user and a label, whether or not its token is still good. It asks where
	// records are kept, not the Directory, which may not know yet what another replica has just made.
	Labelled(ctx context.Context, u *directory.User, label string) (r directory.Record, ok bool, err error)
	// CountLabelled returns how many of the records with a label that are kept of a user count. Like Labelled it asks where
	// they are kept.
	CountLabelled(ctx context.Context, u *directory.User, counts func(directory.Record) bool) (int, error)
	// Revoke keeps that a token is revoked: it changes the token's record, or makes one. Doing so again is no error.
	Revoke(ctx context.Context, r directory.Record) error
	// RevokeUser keeps that every token of a user issued up to and including the second of at is void.
	RevokeUser(ctx context.Context, u *directory.User, at time.Time) error
}

// Lifetimes are the server's own limits. A user's token policy narrows them.
type Lifetimes struct {
	JWTDefault    time.Duration
	JWTMaximum    time.Duration
	OpaqueDefault time.Duration
	OpaqueMaximum time.Duration
}

// Config is what Grants need.
type Config struct {
	Directory *directory.Directory
	Issuer    *token.Issuer
	Records   Records
	Lifetimes Lifetimes
	Audit     audit.Sink
	// Noted is told when a token was issued to a user who had none for a while. It must not block.
	LoginUpdated func(*directory.User, loginstate.Update)
	Now          func() time.Time
}

// Grants issue and revoke tokens. They are safe for concurrent use.
type Grants struct {
	Config
}

// New returns Grants.
func New(c Config) *Grants { return &Grants{Config: c} }

// done writes the audit event of an act and passes its error on.
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

// Unavailable returns an error of what could not be done that wraps ErrUnavailable and err, or nil when err is nil.
func Unavailable(act string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %w", act, ErrUnavailable, err)
}
