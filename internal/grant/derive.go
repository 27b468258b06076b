package grant

import (
	"context"
	"slices"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/authn"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// refreshLeeway is how long after a login a JWT can still be exchanged for one with the longest
// lifetime, so that a client that refreshes at once gets the whole lifetime that it asks for.
const refreshLeeway = 30 * time.Second

// Refresh issues a signed token to a user who holds one with the claims from, and returns it with
// its claims. However often a token is refreshed, it ends at the latest when the longest JWT that
// the user could have got with the credentials would. It has no audience that from lacks or that the
// user may not ask for any more. Errors: those of JWT and of CanDerive.
func (g *Grants) Refresh(ctx context.Context, u *directory.User, from token.Claims, lifetime time.Duration) (string, token.Claims, error) {
	text, claims, err := g.refresh(ctx, u, from, lifetime)
	if err = g.issued(ctx, u, claims, err); err != nil {
		return "", claims, err
	}
	return text, claims, nil
}

func (g *Grants) refresh(ctx context.Context, u *directory.User, from token.Claims, lifetime time.Duration) (string, token.Claims, error) {
	if from.Kind != token.KindJWT { // which may live for years, unlike a JWT, which anyone can verify offline
		return "", token.Claims{}, token.ErrInvalid
	}
	end := from.AuthTime.Add(capLifetime(g.Lifetimes.JWTMaximum, u.MaximumLifetime) + refreshLeeway)
	return g.jwt(ctx, u, lifetime, func(order *token.Claims) error {
		order.Audience = slices.DeleteFunc(slices.Clone(from.Audience), func(a string) bool { return !g.mayAsk(u, a) })
		if len(order.Audience) == 0 {
			return token.ErrInvalid
		}
		return g.derive(u, from, end, order)
	})
}

// CanDerive returns an error unless a token of a user may be exchanged for another one now: only
// while the user could also log in, with a password or an identity. Otherwise a user could exchange
// tokens again and again, and so outlive the credential that the first one was issued for. Errors: authn.ErrPasswordExpired,
// authn.ErrNoPassword, and those of directory.User.Check.
func (g *Grants) CanDerive(u *directory.User) error {
	now := g.Now()
	switch {
	case len(u.Credentials.Passwords)+len(u.Identities) == 0:
		return authn.ErrNoPassword
	case u.PasswordsExpired(now):
		return authn.ErrPasswordExpired
	}
	return u.Check(now)
}

// derive makes order an order for a token that is made from another one and ends at the latest at
// end.
func (g *Grants) derive(u *directory.User, from token.Claims, end time.Time, order *token.Claims) error {
	if err := g.CanDerive(u); err != nil {
		return err
	}
	if !order.IssuedAt.Before(end) {
		return token.ErrExpired // of the login that both tokens stem from; a new one helps
	}
	if order.ExpiresAt.After(end) {
		order.ExpiresAt = end
	}
	order.AuthTime = from.AuthTime
	return nil
}

// deriveOpaque is derive for an opaque token, which is for all audiences of the service. It does
// nothing for an order that comes with credentials.
func (g *Grants) deriveOpaque(u *directory.User, from token.Claims, order *token.Claims) error {
	if from.ID == "" {
		return nil
	}
	for _, a := range g.Issuer.Audience {
		if !slices.Contains(from.Audience, a) {
			return token.ErrInvalid
		}
	}
	order.Final = final(from)
	return g.derive(u, from, g.opaqueEnd(u, from), order)
}

// opaqueEnd returns when an opaque token made from a token must end: with it if it is final, and
// otherwise when the longest token that the user could have got with the credentials would.
func (g *Grants) opaqueEnd(u *directory.User, from token.Claims) time.Time {
	if final(from) {
		return from.ExpiresAt
	}
	authTime := from.AuthTime
	if authTime.IsZero() {
		authTime = from.IssuedAt
	}
	return authTime.Add(capLifetime(g.Lifetimes.OpaqueMaximum, u.MaximumLifetime))
}

// final reports whether nothing made from a token may end after it. Exchanging a JWT for an opaque
// token would otherwise turn one that is meant to be short into one that lives for years.
func final(c token.Claims) bool { return c.Kind == token.KindJWT || c.Final }

// mayReceive reports whether a client that holds the token from may have an existing opaque token:
// neither that nor anything made from it outlives what from allows.
func (g *Grants) mayReceive(u *directory.User, from, existing token.Claims) bool {
	if from.ID == "" {
		return true
	}
	end := g.opaqueEnd(u, from)
	return !existing.ExpiresAt.After(end) && (existing.Final || !final(from)) && !g.opaqueEnd(u, existing).After(end)
}
