package directory

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	// maximumAhead is how far a time of revocation may lie in the future. One that lies further
	// ahead is a mistake, and would make void every token until then.
	maximumAhead = time.Minute
	// liftMargin separates the tokens that are issued just after a revocation was lifted from those
	// that a replica that lags behind has issued during the revocation.
	liftMargin = time.Second
)

// Revocation revokes one user for as long as it is in the directory, until it ends.
type Revocation struct {
	Key     string    // namespace/name of the object
	UserKey string    // namespace/name of the user, who need not exist yet
	Until   time.Time // zero: no end
}

// Name returns the name of the object without its namespace.
func (r Revocation) Name() string {
	_, name, _ := strings.Cut(r.Key, "/")
	return name
}

// Ended reports whether the revocation no longer counts at now.
func (r Revocation) Ended(now time.Time) bool { return ended(r.Until, now) }

// PutRevocation adds a revocation or replaces the one with the same Key. It takes effect at once, at
// now, also for a user who is added later.
func (d *Directory) PutRevocation(r Revocation, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before, ok := d.revokedBy[r.Key]; ok && before != r.UserKey {
		d.dropRevocation(r.Key, now)
	}
	others := slices.DeleteFunc(slices.Clone(d.revocations[r.UserKey]), sameRevocation(r.Key))
	d.revokedBy[r.Key] = r.UserKey
	d.revocations[r.UserKey] = append(others, r)
	slices.SortFunc(d.revocations[r.UserKey], func(a, b Revocation) int { return cmp.Compare(a.Key, b.Key) })
	d.revise(r.UserKey, now)
}

// HasRevocations reports whether a revocation names a user, by key, that may not exist.
func (d *Directory) HasRevocations(userKey string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.revocations[userKey]) > 0
}

// DeleteRevocation removes the revocation with this Key, if there is one, and returns the key of its
// user.
func (d *Directory) DeleteRevocation(key string, now time.Time) (userKey string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dropRevocation(key, now)
}

// dropRevocation does the work of DeleteRevocation. The caller holds mu.
func (d *Directory) dropRevocation(key string, now time.Time) (userKey string) {
	userKey, ok := d.revokedBy[key]
	if !ok {
		return ""
	}
	delete(d.revokedBy, key)
	rest := slices.DeleteFunc(slices.Clone(d.revocations[userKey]), sameRevocation(key))
	if d.revocations[userKey] = rest; len(rest) == 0 {
		delete(d.revocations, userKey)
	}
	d.revise(userKey, now)
	return userKey
}

// revise makes a next version of a user, if there is one, with the revocations in the directory. The
// caller holds mu.
func (d *Directory) revise(userKey string, now time.Time) {
	if u := d.byKey[userKey]; u != nil {
		next := *u
		next.AsOf = now
		d.put(&next)
	}
}

// followRevocation completes u, the next version of old, with the revocations in the directory. It
// moves TokensRevokedAt when a revocation takes effect, so that lifting it revives no token, and
// again when it is lifted, because a replica that lags behind may have issued tokens meanwhile. The
// caller holds mu.
func (d *Directory) followRevocation(old, u *User) {
	u.Revocations = d.revocations[u.Key]
	now := u.AsOf
	if now.IsZero() {
		return
	}
	known := old != nil && old.UID == u.UID
	before, after := known && old.revokedOnPurpose(now), u.revokedOnPurpose(now)
	switch {
	case after && !before && (u.RecordedRevocation == 0 || known && d.HasSynced()):
		u.TokensRevokedAt, u.SupersededRevocation = later(u.TokensRevokedAt, now), u.RecordedRevocation
	case before && !after:
		u.TokensRevokedAt = later(u.TokensRevokedAt, now.Add(-liftMargin))
		d.lifted.Add(1)
	}
}

// RevokedAt reports whether the user is revoked at now.
func (u *User) RevokedAt(now time.Time) bool {
	return u.Revoked || u.NotPermitted || len(u.Revocations) > 0 && u.hasRevocation(now)
}

func (u *User) hasRevocation(now time.Time) bool {
	return slices.ContainsFunc(u.Revocations, func(r Revocation) bool { return !r.Ended(now) })
}

// revokedOnPurpose reports whether someone has revoked the user. A user who cannot be read or is not
// permitted counts as revoked too, but gets everything back once that is mended.
func (u *User) revokedOnPurpose(now time.Time) bool {
	return u.Revoked && !u.Unreadable || u.hasRevocation(now)
}

// boundRevocation pulls back a time of revocation that lies too far in the future.
func (u *User) boundRevocation() {
	if !u.AsOf.IsZero() && TooFarAhead(u.TokensRevokedAt, u.AsOf) {
		u.TokensRevokedAt = u.AsOf
	}
}

// TooFarAhead reports whether a time of revocation lies too far in the future to be meant.
func TooFarAhead(revokedAt, now time.Time) bool { return revokedAt.After(now.Add(maximumAhead)) }

// Lifted returns how many revocations of users have been lifted before their end.
func (d *Directory) Lifted() int64 { return d.lifted.Load() }

// Deleted returns how many users have been deleted since the directory is synced.
func (d *Directory) Deleted() int64 { return d.deleted.Load() }

func sameRevocation(key string) func(Revocation) bool {
	return func(r Revocation) bool { return r.Key == key }
}
