package standalone

import (
	"context"
	"errors"
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

// sweepEvery is how often the records of expired tokens are removed.
const sweepEvery = time.Minute

// Records keeps token records, revocations and login state in the state folder of a standalone
// service. It implements grant.Records and loginstate.Writer. Before a method returns, the
// directory shows what the method has written. Every error wraps grant.ErrUnavailable. Create it
// with NewRecords. It is safe for concurrent use.
type Records struct {
	store     *statedir.Store
	directory *directory.Directory
	log       *slog.Logger
	now       func() time.Time

	mu      sync.Mutex  // serializes all changes of users in the directory
	failing atomic.Bool // the last write failed
}

// NewRecords returns Records on a store, and puts the token records of the store into d.
func NewRecords(store *statedir.Store, d *directory.Directory, log *slog.Logger, now func() time.Time) *Records {
	d.IgnoreNamespaces() // they all belong to one folder, and a user may move from one to another
	r := &Records{store: store, directory: d, log: log, now: now}
	for _, t := range store.Tokens() {
		d.PutRecord(stateRecord(t))
	}
	return r
}

// Create saves the record of a token and returns it. If the token has a label, and the user has a
// record with this label for which keep returns true, Create saves nothing and returns that one. It
// returns grant.ErrTooManyRecords if the user has as many records as allowed.
func (r *Records) Create(_ context.Context, record directory.Record, keep func(directory.Record) bool) (directory.Record, error) {
	kept, err := r.store.CreateToken(stateToken(record), grant.MaximumRecords, func(t statedir.Token) bool { return keep(stateRecord(t)) })
	if errors.Is(err, statedir.ErrFull) {
		return directory.Record{}, grant.ErrTooManyRecords
	}
	if err := r.result("save the record of a token", err); err != nil {
		return directory.Record{}, err
	}
	r.directory.PutRecord(stateRecord(kept))
	return stateRecord(kept), nil
}

// Labelled returns the record of a user's token with a label, and whether there is one. It reads
// the directory, which has every record of the state folder, because no other process writes there.
func (r *Records) Labelled(_ context.Context, u *directory.User, label string) (directory.Record, bool, error) {
	for _, record := range r.directory.RecordsOf(u.UID) {
		if record.Label == label {
			return record, true, nil
		}
	}
	return directory.Record{}, false, nil
}

// Revoke saves that a token is revoked. If that takes a record more than a user may have, it revokes
// all tokens of the user instead.
func (r *Records) Revoke(_ context.Context, record directory.Record) error {
	revoked, err := r.store.Revoke(stateToken(record), grant.MaximumRecords)
	if errors.Is(err, statedir.ErrFull) {
		return r.revokeTokens(record.UserUID, laterOf(r.now(), record.IssuedAt))
	}
	if err := r.result("revoke a token", err); err != nil {
		return err
	}
	r.directory.PutRecord(stateRecord(revoked))
	return nil
}

// RevokeUser saves that every token of a user is revoked that was issued up to and including the
// second of revokedAt.
func (r *Records) RevokeUser(_ context.Context, u *directory.User, revokedAt time.Time) error {
	return r.revokeTokens(u.UID, revokedAt)
}

func (r *Records) revokeTokens(uid string, revokedAt time.Time) error {
	err := r.store.UpdateStanding(uid, func(s statedir.Standing) statedir.Standing {
		s.TokensRevokedAt = normalize(revokedAt)
		return s
	})
	if err := r.result("revoke all tokens of a user", err); err != nil {
		return err
	}
	r.refresh(uid)
	return nil
}

// WriteLogin applies an update to the login state of a user. It writes nothing if the update
// changes nothing, or if the user is gone or has another UID now.
func (r *Records) WriteLogin(_ context.Context, user loginstate.User, update loginstate.Update) error {
	u, ok := r.directory.ByUID(user.UID)
	if !ok {
		return nil
	}
	err := r.store.UpdateStanding(user.UID, func(s statedir.Standing) statedir.Standing {
		return applyUpdate(s, u.Credentials.Revision, update)
	})
	if err := r.result("save the login state of a user", err); err != nil {
		return err
	}
	r.refresh(user.UID)
	return nil
}

// Unlock lifts the lock of a user and forgets the failed logins.
func (r *Records) Unlock(uid string) error {
	err := r.store.UpdateStanding(uid, func(s statedir.Standing) statedir.Standing {
		s.FailedLogins, s.LockedUntil, s.Credentials = 0, time.Time{}, ""
		return s
	})
	if err := r.result("lift the lock of a user", err); err != nil {
		return err
	}
	r.refresh(uid)
	return nil
}

// applyUpdate returns s after an update. Failures and a lock apply to the passwords of one
// revision, so they are dropped when the revision has changed.
func applyUpdate(s statedir.Standing, revision string, update loginstate.Update) statedir.Standing {
	if !projection.SamePasswords(s.Credentials, revision) {
		s.FailedLogins, s.LockedUntil, s.Credentials = 0, time.Time{}, revision
	}
	next := loginstate.State{FailedLogins: s.FailedLogins, LockedUntil: s.LockedUntil, LastTokenIssuedAt: s.LastTokenIssuedAt}.Apply(update)
	s.FailedLogins, s.LockedUntil, s.LastTokenIssuedAt = next.FailedLogins, normalize(next.LockedUntil), normalize(next.LastTokenIssuedAt)
	if s.FailedLogins == 0 && s.LockedUntil.IsZero() {
		s.Credentials = ""
	}
	return s
}

// Start removes the records of expired tokens from time to time until ctx ends.
func (r *Records) Start(ctx context.Context) error {
	return every(ctx, sweepEvery, r.sweep)
}

// NeedLeaderElection reports that Records run on every replica.
func (r *Records) NeedLeaderElection() bool { return false }

func (r *Records) sweep() {
	expired, err := r.store.DropExpired(r.now())
	if r.result("remove the records of expired tokens", err) != nil {
		return // result has logged it; the records do no harm until the next sweep
	}
	for _, t := range expired {
		r.directory.DeleteRecord("", t.UserUID, t.ID)
	}
}

// put puts a user into the directory, with its revocation and login state from the store.
func (r *Records) put(u *directory.User) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.putLocked(u)
}

// remove removes a user from the directory, and those records of its tokens that the store no
// longer has.
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
			r.directory.DeleteRecord("", u.UID, record.ID)
		}
	}
}

// refresh updates a user in the directory from the store.
func (r *Records) refresh(uid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if u, ok := r.directory.ByUID(uid); ok {
		next := *u
		r.putLocked(&next)
	}
}

// putLocked is put for callers that hold mu.
func (r *Records) putLocked(u *directory.User) {
	standing := r.store.Standing(u.UID)
	u.TokensRevokedAt, u.LastTokenIssuedAt = standing.TokensRevokedAt, standing.LastTokenIssuedAt
	u.LockedUntil, u.FailedLogins = time.Time{}, 0
	if projection.SamePasswords(standing.Credentials, u.Credentials.Revision) {
		u.LockedUntil, u.FailedLogins = standing.LockedUntil, standing.FailedLogins
	}
	u.AsOf = r.now()
	r.directory.Put(u)
	r.saveTokensRevokedAt(u.Key)
}

// result wraps an error of the store in grant.ErrUnavailable, so that clients try again. action is
// what failed. It logs when errors begin and when they end.
func (r *Records) result(action string, err error) error {
	if failing := err != nil; r.failing.Swap(failing) != failing {
		if failing {
			r.log.Error("cannot write to the state folder; no token can be revoked until this succeeds", "folder", r.store.Dir(), "error", err)
		} else {
			r.log.Info("state folder can be written again", "folder", r.store.Dir())
		}
	}
	return grant.Unavailable(action, err)
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// normalize returns t as it is read back from the store: in UTC, without a monotonic clock reading.
func normalize(t time.Time) time.Time { return t.Round(0).UTC() }

// stateToken converts a record of the directory to a token of the store.
func stateToken(r directory.Record) statedir.Token {
	return statedir.Token{
		ID: r.ID, UserKey: r.UserKey, UserUID: r.UserUID, Kind: r.Kind,
		Label: r.Label, Description: r.Description, Client: r.Client,
		IssuedAt: normalize(r.IssuedAt), ExpiresAt: normalize(r.ExpiresAt), Revoked: r.Revoked,
		AuthTime: normalize(r.AuthTime), Final: r.Final,
	}
}

// stateRecord converts a token of the store to a record of the directory.
func stateRecord(t statedir.Token) directory.Record {
	r := directory.Record{
		ID: t.ID, UserKey: t.UserKey, UserUID: t.UserUID, Kind: t.Kind,
		Label: t.Label, Description: t.Description, Client: t.Client,
		IssuedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt, Revoked: t.Revoked,
		AuthTime: t.AuthTime, Final: t.Final,
	}
	if r.Revoked {
		r.RevokedUntil = r.ExpiresAt
	}
	return r
}
