package grant

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Revoke revokes one token, whose claims the caller has verified. It does nothing for a token that
// is revoked already. It takes a token without a record, whose user this replica does not know, for
// one of a user who is gone. Errors: ErrUnavailable, and then the token is not revoked.
func (g *Grants) Revoke(ctx context.Context, c token.Claims) error {
	r, known := g.Directory.Record(c.UID, c.ID)
	if known && r.ExpiresAt.Equal(c.ExpiresAt) { // otherwise someone made the record by hand, so that it ends before its token
		return g.RevokeRecord(ctx, r)
	}
	u, ok := g.Directory.ByUID(c.UID)
	if !ok {
		return nil
	}
	return g.revoke(ctx, u.Login, directory.Record{
		ID: c.ID, UserKey: u.Key, UserUID: c.UID, Kind: c.Kind, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt,
	})
}

// RevokeRecord revokes a token by its record, even while this replica does not know the user.
// Errors: ErrUnavailable.
func (g *Grants) RevokeRecord(ctx context.Context, r directory.Record) error {
	login := ""
	if u, ok := g.Directory.ByUID(r.UserUID); ok {
		login = u.Login
	}
	return g.revoke(ctx, login, r)
}

// RevokeLabel revokes the tokens of a user that have a label, and reports whether there are any. It
// also finds a token that another replica issued a moment ago and that this replica does not know
// yet. Errors: ErrUnavailable.
func (g *Grants) RevokeLabel(ctx context.Context, u *directory.User, label string) (found bool, err error) {
	for _, r := range g.Directory.RecordsOf(u.UID) {
		if r.Label != label {
			continue
		}
		found = true
		if err := g.revoke(ctx, u.Login, r); err != nil {
			return found, err
		}
	}
	kept, ok, err := g.Records.Labelled(ctx, u, label)
	if err != nil || !ok {
		return found, err
	}
	return true, g.revoke(ctx, u.Login, kept)
}

func (g *Grants) revoke(ctx context.Context, login string, r directory.Record) error {
	if r.Revoked || !g.Now().Before(r.ExpiresAt) {
		return nil
	}
	r.Revoked = true
	err := g.Records.Revoke(ctx, r)
	return g.done(ctx, audit.Event{Name: audit.Revoke, Login: login, UID: r.UserUID, TokenID: r.ID}, err)
}

// RevokeUser revokes every token that a user has. Errors: ErrUnavailable.
func (g *Grants) RevokeUser(ctx context.Context, u *directory.User) error {
	err := g.Records.RevokeUser(ctx, u, g.Now())
	return g.done(ctx, audit.Event{Name: audit.RevokeUser, Login: u.Login, UID: u.UID}, err)
}
