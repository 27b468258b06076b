package grant

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// JWT issues a signed token to a user and returns it with its claims. Without an audience it is for
// those of the service. A lifetime of 0 means the default. JWT cuts a longer lifetime to the maximum
// of the server and of the user. Errors: ErrAudience, ErrTooManyRecords, ErrTooManyRequests,
// ErrUnavailable, token.ErrNoKey, token.ErrTooLong.
func (g *Grants) JWT(ctx context.Context, u *directory.User, lifetime time.Duration, audience ...string) (string, token.Claims, error) {
	text, claims, err := g.jwt(ctx, u, lifetime, func(order *token.Claims) error {
		order.Audience = audience
		if !slices.ContainsFunc(audience, func(a string) bool { return !g.mayAsk(u, a) }) {
			return nil
		}
		return ErrAudience
	})
	if err = g.issued(ctx, u, claims, err); err != nil {
		return "", claims, err
	}
	return text, claims, nil
}

// mayAsk reports whether a user may get JWTs for an audience.
func (g *Grants) mayAsk(u *directory.User, audience string) bool {
	return slices.Contains(g.Issuer.Audience, audience) || slices.Contains(u.Audiences, audience)
}

// jwt issues a signed token whose claims restrict has limited.
func (g *Grants) jwt(ctx context.Context, u *directory.User, lifetime time.Duration, restrict func(*token.Claims) error) (string, token.Claims, error) {
	if lifetime <= 0 {
		lifetime = g.Lifetimes.JWTDefault
	}
	lifetime = capLifetime(lifetime, g.Lifetimes.JWTMaximum, u.MaximumLifetime)
	now, err := g.issueTime(ctx, u)
	if err != nil {
		return "", token.Claims{}, err
	}
	order := token.Claims{
		UID: u.UID, Login: u.Login, Name: u.DisplayName, Email: u.Email, Groups: u.Groups, Tenant: u.Tenant,
		IssuedAt: now, ExpiresAt: now.Add(lifetime),
	}
	if err := restrict(&order); err != nil {
		return "", token.Claims{}, err
	}
	text, claims, err := g.Issuer.JWT(order)
	if err == nil && claims.ExpiresAt.Sub(claims.IssuedAt) > RecordedLifetime {
		_, err = g.newRecord(ctx, recordOf(u, claims), func(directory.Record) bool { return false })
	}
	if err == nil {
		err = g.checkIssued(u, now)
	}
	return text, claims, err
}

// Longest is a lifetime above every limit.
const Longest time.Duration = math.MaxInt64

// Order describes the opaque token that a client asks for.
type Order struct {
	Lifetime    time.Duration // 0: the default of the user or the server; Longest: the maximum
	Label       string        // empty: no label
	Description string        // kept if the token has a record; at most MaximumText bytes
	Client      string        // likewise
	// From are the claims of the token that the client holds. They are zero for a client that has
	// just given credentials.
	From token.Claims
}

// Opaque issues a sealed token to a user. If the order has a label that has a live token already,
// Opaque returns that token, unchanged. For an order from a token, see Refresh. Errors:
// ErrTooManyRecords, ErrTooManyRequests, ErrLabelTaken, ErrUnavailable, token.ErrNoKey, and those of
// CanDerive.
func (g *Grants) Opaque(ctx context.Context, u *directory.User, o Order) (string, error) {
	text, claims, err := g.opaque(ctx, u, o)
	if err == nil {
		err = g.checkIssued(u, claims.IssuedAt)
	}
	if err = g.issued(ctx, u, claims, err); err != nil {
		return "", err
	}
	return text, nil
}

func (g *Grants) opaque(ctx context.Context, u *directory.User, o Order) (string, token.Claims, error) {
	now, err := g.issueTime(ctx, u)
	if err != nil {
		return "", token.Claims{}, err
	}
	order := token.Claims{UID: u.UID, IssuedAt: now, ExpiresAt: now.Add(g.lifetime(u, o))}
	if err := g.deriveOpaque(u, o.From, &order); err != nil {
		return "", token.Claims{}, err
	}
	text, claims, err := g.Issuer.Opaque(order)
	if err != nil || (o.Label == "" && claims.ExpiresAt.Sub(claims.IssuedAt) <= RecordedLifetime) {
		return text, claims, err
	}
	r := recordOf(u, claims)
	r.Label, r.Description, r.Client = o.Label, o.Description, o.Client
	r.AuthTime, r.Final = order.AuthTime, claims.Final
	kept, err := g.keptRecord(ctx, u, r)
	if err != nil || kept.ID == r.ID {
		return text, claims, err
	}
	if !g.mayReceive(u, o.From, claimsOf(kept)) {
		return "", token.Claims{}, ErrLabelTaken
	}
	return g.Issuer.Opaque(claimsOf(kept))
}

// maximumWait is how long a login waits for the time at which a token is not void from the start.
// It covers the second of a revocation and clocks of replicas that differ a little.
const maximumWait = 3 * time.Second

// issueTime returns the time at which a token for a user is issued. All tokens of the second of a
// revocation are void, so in that second issueTime waits for the next one. If the tokens are
// revoked for longer, it returns a VoidError. While spec.tokensValidAfter lies ahead, the user can log
// in although every token is void (docs/users.md), so issueTime does not wait for that time.
func (g *Grants) issueTime(ctx context.Context, u *directory.User) (time.Time, error) {
	for {
		now := g.Now()
		wait := g.newest(u).TokensValidFrom().Sub(now)
		switch {
		case wait <= 0:
			return now, nil
		case wait > maximumWait && u.TokensValidAfter.Sub(now) > maximumWait:
			return now, nil
		case wait > maximumWait:
			return time.Time{}, &VoidError{wait}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return time.Time{}, Unavailable("wait for the second after a revocation", ctx.Err())
		}
	}
}

// checkIssued returns a VoidError if a token is void already, because the tokens of its user were
// revoked while it was issued.
func (g *Grants) checkIssued(u *directory.User, issuedAt time.Time) error {
	if newest := g.newest(u); newest.CheckToken(issuedAt) != nil && !newest.TokensValidAfter.After(issuedAt) {
		return &VoidError{time.Second}
	}
	return nil
}

// newest returns the version of a user that the directory has by now, or u if the user is gone.
func (g *Grants) newest(u *directory.User) *directory.User {
	if newest, ok := g.Directory.ByUID(u.UID); ok {
		return newest
	}
	return u
}

// keptRecord returns the record of the live token of r's label, or keeps r if there is none. It
// looks first at what this replica knows, so that a client who asks for its token again and again
// costs no write and no call. A record from which the Issuer cannot make its token again, because
// it was written by hand or its key is gone, does not hold the label.
func (g *Grants) keptRecord(ctx context.Context, u *directory.User, r directory.Record) (directory.Record, error) {
	now := g.Now()
	keep := func(r directory.Record) bool {
		return r.Live(now) && g.newest(u).CheckToken(r.IssuedAt) == nil && g.Issuer.Repeats(claimsOf(r), now)
	}
	if r.Label != "" {
		labelled := 0
		for _, known := range g.Directory.RecordsOf(u.UID) {
			switch {
			case known.Label == "" || !keep(known):
			case known.Label == r.Label:
				return known, nil
			default:
				labelled++
			}
		}
		// Concurrent requests may exceed this limit, but never MaximumRecords.
		if labelled >= MaximumLabelled {
			return directory.Record{}, ErrTooManyLabels
		}
	}
	return g.newRecord(ctx, r, keep)
}

// newRecord keeps a record within the limits of its user.
func (g *Grants) newRecord(ctx context.Context, r directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	if err := g.countWrite(ctx, r.UserUID); err != nil {
		return directory.Record{}, err
	}
	return g.Records.Create(ctx, r, keep)
}

// recordOf returns the record of a token that is issued to a user.
func recordOf(u *directory.User, c token.Claims) directory.Record {
	return directory.Record{
		ID: c.ID, UserKey: u.Key, UserUID: u.UID, Kind: c.Kind, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt,
	}
}

// claimsOf returns the claims of the opaque token with this record. Anyone who may write records
// can have invented them.
func claimsOf(r directory.Record) token.Claims {
	return token.Claims{
		ID: r.ID, Kind: token.KindOpaque, UID: r.UserUID, IssuedAt: r.IssuedAt, ExpiresAt: r.ExpiresAt,
		AuthTime: r.AuthTime, Final: r.Final,
	}
}

func (g *Grants) lifetime(u *directory.User, o Order) time.Duration {
	lifetime := o.Lifetime
	if lifetime <= 0 {
		lifetime = cmp.Or(u.DefaultLifetime, g.Lifetimes.OpaqueDefault)
	}
	return capLifetime(lifetime, g.Lifetimes.OpaqueMaximum, u.MaximumLifetime)
}

// issued audits an issue and reports its time at most once in issuedResolution, so that a client
// who asks thousands of times a minute meets no lock here.
func (g *Grants) issued(ctx context.Context, u *directory.User, c token.Claims, err error) error {
	if now := g.Now(); err == nil && u.Credentials.ReportIssue(u.LastTokenIssuedAt, now, issuedResolution) {
		g.LoginUpdated(u, loginstate.Update{IssuedAt: now})
	}
	return g.done(ctx, audit.Event{Name: audit.Issue, Login: u.Login, UID: u.UID, TokenID: c.ID}, err)
}

// capLifetime cuts a lifetime to those limits that are above 0.
func capLifetime(lifetime time.Duration, limits ...time.Duration) time.Duration {
	for _, limit := range limits {
		if limit > 0 {
			lifetime = min(lifetime, limit)
		}
	}
	return lifetime
}
