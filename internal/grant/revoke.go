package grant

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Revoke revokes one token, whose claims the caller has verified, even while this replica does not
// know its user. It does nothing for a token whose revocation is stored until its end. Errors:
// ErrTooManyRequests, ErrUnavailable, and then the token is not revoked.
func (g *Grants) Revoke(ctx context.Context, c token.Claims) error {
	r := directory.Record{ID: c.ID, UserUID: c.UID, Kind: c.Kind, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt}
	if known, ok := g.Directory.Record(c.UID, c.ID); ok { // someone may have made it by hand, so its end is not used
		r.UserKey, r.Label, r.RevokedUntil = known.UserKey, known.Label, known.RevokedUntil
	}
	if u, ok := g.Directory.ByUID(c.UID); ok {
		r.UserKey = u.Key
	}
	return g.revoke(ctx, r)
}

// RevokeRecord revokes a token by its record, even while this replica does not know the user. If
// the record may have been made by hand, it does not tell when the token ends: RevokeRecord then
// stores the revocation for as long as a token without a record may live. Errors:
// ErrTooManyRequests, ErrUnavailable.
func (g *Grants) RevokeRecord(ctx context.Context, r directory.Record) error {
	if !r.Revoked && !g.Issuer.Repeats(claimsOf(r), g.Now()) {
		if end := g.Now().Add(RecordedLifetime); end.After(r.ExpiresAt) {
			r.ExpiresAt = end
		}
	}
	return g.revoke(ctx, r)
}

// RevokeLabel revokes the tokens of a user that have a label, and reports whether there are any. It
// also finds a token that another replica issued a moment ago and that this replica does not know
// yet. Errors: ErrTooManyRequests, ErrUnavailable.
func (g *Grants) RevokeLabel(ctx context.Context, u *directory.User, label string) (found bool, err error) {
	if err := g.countWrite(ctx, u.UID); err != nil { // to ask for a label is a call, even if no token has it
		return false, g.done(ctx, audit.Event{Name: audit.Revoke, Login: u.Login, UID: u.UID}, err)
	}
	for _, r := range g.Directory.RecordsOf(u.UID) {
		if r.Label != label {
			continue
		}
		found = true
		if err := g.store(ctx, r); err != nil {
			return found, err
		}
	}
	kept, ok, err := g.Records.Labelled(ctx, u, label)
	if err != nil || !ok {
		return found, err
	}
	return true, g.store(ctx, kept)
}

// revoke stores a revocation within the limit of the token's user.
func (g *Grants) revoke(ctx context.Context, r directory.Record) error {
	if g.needless(r) {
		return nil
	}
	if err := g.countWrite(ctx, r.UserUID); err != nil {
		return g.done(ctx, g.revocation(r), err)
	}
	return g.store(ctx, r)
}

// store stores a revocation, unless it is stored already.
func (g *Grants) store(ctx context.Context, r directory.Record) error {
	if g.needless(r) {
		return nil
	}
	r.Revoked = true
	return g.done(ctx, g.revocation(r), g.Records.Revoke(ctx, r))
}

// needless reports whether the token has ended, or its revocation is stored until its end.
func (g *Grants) needless(r directory.Record) bool {
	return !g.Now().Before(r.ExpiresAt) || !r.RevokedUntil.Before(r.ExpiresAt)
}

func (g *Grants) revocation(r directory.Record) audit.Event {
	e := audit.Event{Name: audit.Revoke, UID: r.UserUID, TokenID: r.ID}
	if u, ok := g.Directory.ByUID(r.UserUID); ok {
		e.Login = u.Login
	}
	return e
}

// RevokeUser revokes every token that a user has. It does nothing if they were revoked in this very
// second. Errors: ErrTooManyRequests, ErrUnavailable.
func (g *Grants) RevokeUser(ctx context.Context, u *directory.User) error {
	now := g.Now()
	if revoked := g.newest(u).TokensRevokedAt; !revoked.IsZero() && revoked.Unix() >= now.Unix() {
		return nil
	}
	err := g.countWrite(ctx, u.UID)
	if err == nil {
		err = g.Records.RevokeUser(ctx, u, now)
	}
	return g.done(ctx, audit.Event{Name: audit.RevokeUser, Login: u.Login, UID: u.UID}, err)
}
