// Package directory holds the users in memory: which users exist, their passwords, whether they are
// revoked or expired, and the records of their tokens. Controllers write the directory and the
// server reads it; neither depends on the other. Readers take no global lock and do not wait for
// writers of other users. Every verdict on a user is a method of User and takes the time as an
// argument.
package directory

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Directory holds users and token records in memory. Create it with New. All methods are safe for
// concurrent use.
type Directory struct {
	byUID   *shards[*User]
	byLogin *shards[*User]
	records *shards[[]Record] // token id -> its records, one for each user and namespace that one names
	tokens  *shards[[]string] // namespace/UID of users -> token ids, sorted

	identities *shards[[]claimant] // issuer and subject -> all users who claim such an identity, by precedence

	mu     sync.Mutex // orders writers
	byKey  map[string]*User
	rivals map[string][]*User // login -> all users who claim it, the holder first, if there are several
	decoys decoys

	revocations map[string][]Revocation // user key -> its revocations, sorted; the slices are immutable
	revokedBy   map[string]string       // key of a revocation -> key of its user
	lifted      atomic.Int64
	deleted     atomic.Int64

	oneNamespace bool // records count wherever they are

	changes *Changes // nil: not tracked
	outage  atomic.Pointer[Outage]

	synced    chan struct{} // closed by MarkSynced
	syncOnce  sync.Once
	lastEvent atomic.Int64
	lastHeard atomic.Int64
	staleness atomic.Int64 // how old lastHeard may become; 0: any age
}

// New returns an empty directory that is not synced.
func New() *Directory {
	d := &Directory{
		byUID:   newShards[*User](),
		byLogin: newShards[*User](),
		records: newShards[[]Record](),
		tokens:  newShards[[]string](),

		identities: newShards[[]claimant](),

		byKey:  map[string]*User{},
		rivals: map[string][]*User{},

		revocations: map[string][]Revocation{},
		revokedBy:   map[string]string{},

		synced: make(chan struct{}),
	}
	d.decoys.init()
	return d
}

// Put adds a user or replaces the version with the same Key. The directory owns u from then on. If
// the earlier version has the same UID, Put carries over what must outlive a change: revocations
// never move back, and the password cache and the failures stay while the credentials stay the
// same.
func (d *Directory) Put(u *User) {
	if u.Credentials == nil {
		u.Credentials = &Credentials{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(u)
}

// put does the work of Put. The caller holds mu.
func (d *Directory) put(u *User) {
	old := d.byKey[u.Key]
	concerned := d.concerned(old, u)
	d.replace(old, u)
	d.noteChange(concerned, old, u)
}

// replace makes u the next version of old, which is nil if the user is new. The caller holds mu.
func (d *Directory) replace(old, u *User) {
	u.boundRevocation()
	if old != nil && old.UID == u.UID {
		u.succeed(old)
	}
	d.followRevocation(old, u)
	d.decoys.replace(old, u)
	d.replaceIdentities(old, u)
	d.byKey[u.Key] = u
	d.byUID.set(u.UID, u)
	d.claim(u)
	if old == nil {
		return
	}
	if old.UID != u.UID {
		d.releaseUID(old)
	}
	if old.Login != u.Login || old.UID != u.UID {
		d.release(old)
	}
}

// RevokeTokens makes void every token of the user with this UID that was issued up to and including
// the second of at. It does nothing if there is no such user, and never moves that time back. It
// does not wait for the source of truth to show the change, and never replaces a newer version of
// the user.
func (d *Directory) RevokeTokens(uid string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u, ok := d.byUID.get(uid)
	if !ok || !at.After(u.TokensRevokedAt) {
		return
	}
	next := *u
	next.TokensRevokedAt, next.AsOf = at, time.Time{} // nothing else moves it
	d.put(&next)
}

// Delete removes the user with this Key, if there is one, and hands its login to the first of the
// others who claim it.
func (d *Directory) Delete(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.byKey[key]
	if old == nil {
		return
	}
	concerned := d.concerned(old, nil)
	delete(d.byKey, key)
	if d.HasSynced() {
		d.deleted.Add(1)
	}
	d.decoys.replace(old, nil)
	d.replaceIdentities(old, nil)
	d.releaseUID(old)
	d.release(old)
	d.noteChange(concerned, old, nil)
}

// ByLogin returns the user who holds a login. Logins compare byte for byte.
func (d *Directory) ByLogin(login string) (*User, bool) { return d.byLogin.get(login) }

// ByUID returns the user with this UID, whether or not it holds its login.
func (d *Directory) ByUID(uid string) (*User, bool) { return d.byUID.get(uid) }

// ByKey returns the user with this namespace/name.
func (d *Directory) ByKey(key string) (*User, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u, ok := d.byKey[key]
	return u, ok
}

// Len returns how many users the directory holds.
func (d *Directory) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.byKey)
}

// Each calls f with every user until f returns false. Writers wait meanwhile: f must be quick and
// must not call Put or Delete.
func (d *Directory) Each(f func(*User) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, u := range d.byKey {
		if !f(u) {
			return
		}
	}
}

// MarkSynced declares that the directory holds everything that was listed at the start. This cannot
// be undone.
func (d *Directory) MarkSynced() { d.syncOnce.Do(func() { close(d.synced) }) }

// HasSynced reports whether the directory is complete. Until then, an unknown user may exist all
// the same.
func (d *Directory) HasSynced() bool {
	select {
	case <-d.synced:
		return true
	default:
		return false
	}
}

// AwaitSync returns nil once the directory is complete, or the error of the context if that ends
// first.
func (d *Directory) AwaitSync(ctx context.Context) error {
	select {
	case <-d.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Touch records that an event of the source of truth has arrived at now.
func (d *Directory) Touch(now time.Time) {
	d.lastEvent.Store(now.UnixNano())
	d.Hear(now)
}

// LastEvent returns the time of the last Touch, or the zero time if there was none.
func (d *Directory) LastEvent() time.Time { return unixNano(d.lastEvent.Load()) }

// Hear records a sign of life of the source of truth at now, even if it has nothing new to say.
func (d *Directory) Hear(now time.Time) { d.lastHeard.Store(now.UnixNano()) }

// LastHeard returns the time of the last Hear or Touch, or the zero time if there was none.
func (d *Directory) LastHeard() time.Time { return unixNano(d.lastHeard.Load()) }

// LimitStaleness bounds how long the directory is used without a sign of life of the source of truth.
// Zero is no bound.
func (d *Directory) LimitStaleness(bound time.Duration) { d.staleness.Store(int64(bound)) }

// Stale reports whether there was no sign of life for longer than the directory may be used without.
func (d *Directory) Stale(now time.Time) bool {
	bound := time.Duration(d.staleness.Load())
	return bound > 0 && now.Sub(d.LastHeard()) > bound
}

func unixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// claim adds u to those who claim its login, in place of an earlier version of u, and decides who
// holds the login: see User.Before. The caller holds mu.
func (d *Directory) claim(u *User) {
	holder, taken := d.byLogin.get(u.Login)
	if !taken || (holder.Key == u.Key && len(d.rivals[u.Login]) == 0) {
		d.byLogin.set(u.Login, u)
		return
	}
	rivals := d.rivals[u.Login]
	if len(rivals) == 0 {
		rivals = []*User{holder}
	}
	d.settle(u.Login, append(slices.DeleteFunc(slices.Clone(rivals), sameKey(u)), u))
}

// releaseUID removes the entry of a user's UID, unless another object has the UID by now: in
// standalone mode, a new manifest may take over the UID of one that is removed. The caller holds
// mu.
func (d *Directory) releaseUID(old *User) {
	if holder, ok := d.byUID.get(old.UID); ok && holder.Key == old.Key {
		d.byUID.delete(old.UID)
	}
}

// release removes an earlier version of a user from those who claim its login. The caller holds mu.
func (d *Directory) release(old *User) {
	rivals := d.rivals[old.Login]
	if len(rivals) == 0 {
		if holder, ok := d.byLogin.get(old.Login); ok && holder == old {
			d.byLogin.delete(old.Login)
		}
		return
	}
	d.settle(old.Login, slices.DeleteFunc(slices.Clone(rivals), func(c *User) bool { return c == old }))
}

// settle makes the first of the rivals the holder of a login. The caller holds mu.
func (d *Directory) settle(login string, rivals []*User) {
	slices.SortFunc(rivals, comparePrecedence)
	d.byLogin.set(login, rivals[0])
	if len(rivals) == 1 {
		delete(d.rivals, login)
		return
	}
	d.rivals[login] = rivals
}

func sameKey(u *User) func(*User) bool { return func(c *User) bool { return c.Key == u.Key } }
