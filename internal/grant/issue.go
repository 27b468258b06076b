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

// JWT issues a signed token to a user. A lifetime of 0 is the default; a longer one than the server's or the user's maximum
// is cut to it. The claims come back with the token.
func (g *Grants) JWT(ctx context.Context, u *directory.User, lifetime time.Duration) (string, token.Claims, error) {
	if lifetime <= 0 {
		lifetime = g.Lifetimes.JWTDefault
	}
	lifetime = atMost(lifetime, g.Lifetimes.JWTMaximum, u.MaximumLifetime)
	now := g.Now()
	text, claims, err := g.Issuer.JWT(token.Claims{
		UID: u.UID, Login: u.Login, Name: u.DisplayName, Email: u.Email, Groups: u.Groups,
		IssuedAt: now, ExpiresAt: now.Add(lifetime),
	})
	return text, claims, g.issued(ctx, u, claims, err)
}

// Longest is a lifetime that is longer than any limit.
const Longest time.Duration = math.MaxInt64

// Order is what a client asks of an opaque token.
type Order struct {
	Lifetime    time.Duration // 0: the user's or the server's default; Longest: as long as is allowed
	Label       string        // empty: no label, and then Description and Client are not kept
	Description string
	Client      string
}

// Opaque issues a sealed token to a user. With a label, the live token of that label is handed out again, unchanged, if there
// is one. Errors: ErrTooManyLabels, ErrUnavailable, token.ErrNoKey.
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
	kept, err := g.labelled(ctx, u, r)
	if err != nil || kept.ID == r.ID {
		return text, claims, err
	}
	return g.Issuer.Opaque(claimsOf(kept))
}

// labelled returns the record of the live token of a label, or keeps r as such. What this replica knows is asked first, so
// that a client that asks for its token again and again costs no write and no call. A record from which its token cannot be
// made again, because it was written by hand or the key is gone, does not hold the label.
func (g *Grants) labelled(ctx context.Context, u *directory.User, r directory.Record) (directory.Record, error) {
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
	if count >= MaximumLabelled-unheard {
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

// claimsOf is what the opaque token says whose record this is. Anybody who may write records can have made it up.
func claimsOf(r directory.Record) token.Claims {
	return token.Claims{ID: r.ID, UID: r.UserUID, IssuedAt: r.IssuedAt, ExpiresAt: r.ExpiresAt}
}

func (g *Grants) lifetime(u *directory.User, o Order) time.Duration {
	lifetime := o.Lifetime
	if lifetime <= 0 {
		lifetime = cmp.Or(u.DefaultLifetime, g.Lifetimes.OpaqueDefault)
	}
	return atMost(lifetime, g.Lifetimes.OpaqueMaximum, u.MaximumLifetime)
}

// issued audits an issue and notes its time, once in a while: a service that asks thousands of times a minute meets no lock
// here.
func (g *Grants) issued(ctx context.Context, u *directory.User, c token.Claims, err error) error {
	if now := g.Now(); err == nil && u.Credentials.ReportIssue(u.LastTokenIssuedAt, now, issuedCoarsely) {
		g.LoginUpdated(u, loginstate.Update{IssuedAt: now})
	}
	return g.done(ctx, audit.Event{Name: audit.Issue, Login: u.Login, UID: u.UID, TokenID: c.ID}, err)
}

// atMost cuts a lifetime to the limits that are set.
func atMost(lifetime time.Duration, limits ...time.Duration) time.Duration {
	for _, limit := range limits {
		if limit > 0 {
			lifetime = min(lifetime, limit)
		}
	}
	return lifetime
}
