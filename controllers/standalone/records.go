package standalone

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-auth/gatehouse/controllers/projection"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/internal/loginstate"
	"github.com/gatehouse-auth/gatehouse/internal/statedir"
)

// sweepEvery is how often the records of ended tokens are removed.
const sweepEvery = time.Minute

// Records keeps token records, revocations and login news in the state folder of a service that stands alone. What it
// has kept it puts into the Directory before it returns. Every error of a record or a revocation wraps grant.ErrUnavailable.
// Create it with NewRecords. It is safe for concurrent use.
type Records struct {
	store     *statedir.Store
	directory *directory.Directory
	log       *slog.Logger
	now       func() time.Time

	mu      sync.Mutex // orders everything that puts users into the directory or takes them out
	failing atomic.Bool
}

// NewRecords returns Records and puts the token records of the store into the directory.
func NewRecords(store *statedir.Store, d *directory.Directory, log *slog.Logger, now func() time.Time) *Records {
	r := &Records{store: store, directory: d, log: log, now: now}
	for _, t := range store.Tokens() {
		d.PutRecord(stateRecord(t))
	}
	return r
}

// CreateLabelled keeps the record of a token with a label, or returns the one that keep calls good.
func (r *Records) CreateLabelled(_ context.Context, record directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	kept, err := r.store.CreateLabelled(stateToken(record), func(t statedir.Token) bool { return keep(stateRecord(t)) })
	if err := r.result("keep the record of a labelled token", err); err != nil {
		return directory.Record{}, err
	}
	r.directory.PutRecord(stateRecord(kept))
	return stateRecord(kept), nil
}

// Labelled returns the record of a user and a label. The directory holds every record of the state folder: no other process
// writes there.
func (r *Records) Labelled(_ context.Context, u *directory.User, label string) (directory.Record, bool, error) {
	for _, known := range r.directory.RecordsOf(u.UID) {
		if known.Label == label {
			return known, true, nil
		}
	}
	return directory.Record{}, false, nil
}

// CountLabelled counts records with a label of a user, all of which the directory holds.
func (r *Records) CountLabelled(_ context.Context, u *directory.User, counts func(directory.Record) bool) (int, error) {
	return r.directory.CountLabelled(u.UID, counts), nil
}

// Revoke keeps that a token is revoked.
func (r *Records) Revoke(_ context.Context, record directory.Record) error {
	revoked, err := r.store.Revoke(stateToken(record))
	if err := r.result("revoke a token", err); err != nil {
		return err
	}
	r.directory.PutRecord(stateRecord(revoked))
	return nil
}

// RevokeUser keeps that every token of a user issued up to and including the second of at is void.
func (r *Records) RevokeUser(_ context.Context, u *directory.User, at time.Time) error {
	err := r.store.UpdateStanding(u.UID, func(s statedir.Standing) statedir.Standing {
		s.TokensRevokedAt = normalize(at)
		return s
	})
	if err := r.result("revoke all tokens of a user", err); err != nil {
		return err
	}
	r.refresh(u.UID)
	return nil
}

// Write applies one note to what is kept of a user's logins. It writes nothing when the note changes nothing, or when the
// user is gone or another by now.
func (r *Records) WriteLogin(_ context.Context, user loginstate.User, note loginstate.Update) error {
	u, ok := r.directory.ByUID(user.UID)
	if !ok {
		return nil
	}
	err := r.store.UpdateStanding(user.UID, func(s statedir.Standing) statedir.Standing {
		return noted(s, u.Credentials.Revision, note)
	})
	if err := r.result("write what is known of the logins of a user", err); err != nil {
		return err
	}
	r.refresh(user.UID)
	return nil
}

// noted is a standing after a note. Failures and a lock are about certain passwords and end with them.
func noted(s statedir.Standing, revision string, note loginstate.Update) statedir.Standing {
	if !projection.SamePasswords(s.Credentials, revision) {
		s.FailedLogins, s.LockedUntil, s.Credentials = 0, time.Time{}, revision
	}
	next := loginstate.State{FailedLogins: s.FailedLogins, LockedUntil: s.LockedUntil, LastTokenIssuedAt: s.LastTokenIssuedAt}.Apply(note)
	s.FailedLogins, s.LockedUntil, s.LastTokenIssuedAt = next.FailedLogins, normalize(next.LockedUntil), normalize(next.LastTokenIssuedAt)
	if s.FailedLogins == 0 && s.LockedUntil.IsZero() {
		s.Credentials = ""
	}
	return s
}

// Start removes the records of ended tokens until the context ends.
func (r *Records) Start(ctx context.Context) error {
	return every(ctx, sweepEvery, r.sweep)
}

// NeedLeaderElection says that this runs wherever the service runs.
func (r *Records) NeedLeaderElection() bool { return false }

func (r *Records) sweep() {
	ended, err := r.store.DropExpired(r.now())
	if r.result("remove the records of ended tokens", err) != nil {
		return // which is logged; they do no harm until the next time
	}
	for _, t := range ended {
		r.directory.DeleteRecord(t.UserUID, t.ID)
	}
}

// put enters a user into the directory together with what is known of it.
func (r *Records) put(u *directory.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putLocked(u)
}

// remove takes a user out of the directory, and the records of its tokens that are not kept any more.
func (r *Records) remove(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, ok := r.directory.ByKey(key)
	if !ok {
		return
	}
	r.directory.Delete(key)
	kept := r.store.TokensOf(u.UID)
	for _, record := range r.directory.RecordsOf(u.UID) {
		if _, ok := kept[record.ID]; !ok {
			r.directory.DeleteRecord(u.UID, record.ID)
		}
	}
}

// refresh has the directory show what was just kept of a user.
func (r *Records) refresh(uid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u, ok := r.directory.ByUID(uid); ok {
		next := *u
		r.putLocked(&next)
	}
}

// putLocked is put for whoever holds mu.
func (r *Records) putLocked(u *directory.User) {
	standing := r.store.Standing(u.UID)
	u.TokensRevokedAt, u.LastTokenIssuedAt = standing.TokensRevokedAt, standing.LastTokenIssuedAt
	u.LockedUntil, u.FailedLogins = time.Time{}, 0
	if projection.SamePasswords(standing.Credentials, u.Credentials.Revision) {
		u.LockedUntil, u.FailedLogins = standing.LockedUntil, standing.FailedLogins
	}
	r.directory.Put(u)
}

// result makes an error of the state folder one that says to try again, and tells the operator when that begins and ends.
func (r *Records) result(act string, err error) error {
	if failing := err != nil; r.failing.Swap(failing) != failing {
		if failing {
			r.log.Error("the state folder cannot be written: nothing can be revoked until it can", "folder", r.store.Dir(), "error", err)
		} else {
			r.log.Info("the state folder can be written again", "folder", r.store.Dir())
		}
	}
	return grant.Unavailable(act, err)
}

// normalize is a time as it is read back: without a monotonic clock and a place.
func normalize(t time.Time) time.Time { return t.Round(0).UTC() }

func stateToken(r directory.Record) statedir.Token {
	return statedir.Token{
		ID: r.ID, UserKey: r.UserKey, UserUID: r.UserUID, Kind: r.Kind,
		Label: r.Label, Description: r.Description, Client: r.Client,
		IssuedAt: normalize(r.IssuedAt), ExpiresAt: normalize(r.ExpiresAt), Revoked: r.Revoked,
	}
}

func stateRecord(t statedir.Token) directory.Record {
	return directory.Record{
		ID: t.ID, UserKey: t.UserKey, UserUID: t.UserUID, Kind: t.Kind,
		Label: t.Label, Description: t.Description, Client: t.Client,
		IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt, Revoked: t.Revoked,
	}
}
