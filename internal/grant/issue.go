package grant

import (
	"cmp"
	"context"
	"math"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// JWT issues a signed token to a user and returns it with its claims. A lifetime of 0 means the
// default. JWT cuts a longer lifetime to the maximum of the server and of the user. Errors:
// token.ErrNoKey.
func (g *Grants) JWT(ctx context.Context, u *directory.User, lifetime time.Duration) (string, token.Claims, error) {
	if lifetime <= 0 {
		lifetime = g.Lifetimes.JWTDefault
	}
	lifetime = capLifetime(lifetime, g.Lifetimes.JWTMaximum, u.MaximumLifetime)
	now := g.Now()
	text, claims, err := g.Issuer.JWT(token.Claims{
		UID: u.UID, Login: u.Login, Name: u.DisplayName, Email: u.Email, Groups: u.Groups,
		IssuedAt: now, ExpiresAt: now.Add(lifetime),
	})
	return text, claims, g.issued(ctx, u, claims, err)
}

// Longest is a lifetime above every limit.
const Longest time.Duration = math.MaxInt64

// Order describes the opaque token that a client asks for.
type Order struct {
	Lifetime    time.Duration // 0: the default of the user or the server; Longest: the maximum
	Label       string        // empty: no label, and then Description and Client are not kept
	Description string
	Client      string
}

// Opaque issues a sealed token to a user. If the order has a label that has a live token already,
// Opaque returns that token, unchanged. Errors: ErrTooManyLabels, ErrUnavailable, token.ErrNoKey.
func (g *Grants) Opaque(ctx context.Context, u *directory.User, o Order) (string, error) {
	text, claims, err := g.opaque(ctx, u, o)
	return text, g.issued(ctx, u, claims, err)
}

func (g *Grants) opaque(ctx context.Context, u *directory.User, o Order) (string, token.Claims, error) {
	now := g.Now()
	text, claims, err := g.Issuer.Opaque(token.Claims{UID: u.UID, IssuedAt: now, ExpiresAt: now.Add(g.lifetime(u, o))})
	if err != nil || o.Label == "" {
		return text, claims, err
	}
	r := directory.Record{
		ID: claims.ID, UserKey: u.Key, UserUID: u.UID, Kind: token.KindOpaque,
		Label: o.Label, Description: o.Description, Client: o.Client,
		IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt,
	}
	kept, err := g.labelledRecord(ctx, u, r)
	if err != nil || kept.ID == r.ID {
		return text, claims, err
	}
	return g.Issuer.Opaque(claimsOf(kept))
}

// labelledRecord returns the record of the live token of r's label, or keeps r if there is none. It
// looks first at what this replica knows, so that a client who asks for its token again and again
// costs no write and no call. A record from which the Issuer cannot make its token again, because
// it was written by hand or its key is gone, does not hold the label.
func (g *Grants) labelledRecord(ctx context.Context, u *directory.User, r directory.Record) (directory.Record, error) {
	now := g.Now()
	live := func(r directory.Record) bool { return r.Live(now) && u.CheckToken(r.IssuedAt) == nil }
	keep := func(r directory.Record) bool { return live(r) && g.Issuer.Repeats(claimsOf(r)) }
	count := 0
	for _, known := range g.Directory.RecordsOf(u.UID) {
		switch {
		case known.Label == "" || !live(known):
		case known.Label != r.Label:
			count++
		case keep(known):
			return known, nil
		}
	}
	if count >= MaximumLabelled-replicaSlack {
		other := func(known directory.Record) bool { return known.Label != r.Label && live(known) }
		var err error
		if count, err = g.Records.CountLabelled(ctx, u, other); err != nil {
			return directory.Record{}, err
		}
	}
	if count >= MaximumLabelled {
		return directory.Record{}, ErrTooManyLabels
	}
	return g.Records.CreateLabelled(ctx, r, keep)
}

// claimsOf returns the claims of the opaque token with this record. Anyone who may write records
// can have invented them.
func claimsOf(r directory.Record) token.Claims {
	return token.Claims{ID: r.ID, UID: r.UserUID, IssuedAt: r.IssuedAt, ExpiresAt: r.ExpiresAt}
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
