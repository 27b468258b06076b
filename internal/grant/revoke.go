package grant

import (
	"context"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/token"
)

// Revoke ends one token, whose claims the caller has verified. A token that is revoked already needs nothing more, and one
// without a record whose user is not known here is taken for one of a user who is gone. Errors: ErrUnavailable, and then the
// token is not revoked.
func (g *Grants) Revoke(ctx context.Context, c token.Claims) error {
	r, known := g.Directory.Record(c.UID, c.ID)
	if known && r.ExpiresAt.Equal(c.ExpiresAt) { // or else somebody has made it by hand, to end before its token
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

// RevokeRecord ends a token by its record, also while this replica does not know the user. Errors: ErrUnavailable.
func (g *Grants) RevokeRecord(ctx context.Context, r directory.Record) error {
	login := ""
	if u, ok := g.Directory.ByUID(r.UserUID); ok {
		login = u.Login
	}
	return g.revoke(ctx, login, r)
}

// RevokeLabel ends a user's tokens of a label and says whether there are any. One that another replica issued a moment ago
// is among them, though this one may not have heard of it. Errors: ErrUnavailable.
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

// RevokeUser ends every token that a user has. Errors: ErrUnavailable.
func (g *Grants) RevokeUser(ctx context.Context, u *directory.User) error {
	err := g.Records.RevokeUser(ctx, u, g.Now())
	return g.done(ctx, audit.Event{Name: audit.RevokeUser, Login: u.Login, UID: u.UID}, err)
}
