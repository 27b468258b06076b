package directory

import (
	"container/heap"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// EveryToken is the IssuedBefore of a user none of whose tokens is good: the year 10000, in UNIX
	// time.
	EveryToken int64 = 253402300800
	// changeSlack is how much longer than the longest token a change is kept, for tokens that a
	// replica issued while it lagged behind.
	changeSlack = 10 * time.Minute
	// pruneEvery is how often changes that no longer matter are removed.
	pruneEvery = time.Minute
	// spareChanges is how many replaced changes the log holds before it is worth a copy.
	spareChanges = 1024
)

// Change is the latest change of what makes a user's tokens void, or one token. It replaces every
// earlier change of the same user, or of the same token. It is an immutable value.
type Change struct {
	UID string // of the user
	ID  string // of the token; empty: the change is about the user

	// Gone means that the user was deleted. No token of the user is good again.
	Gone bool
	// IssuedBefore is a UNIX time in seconds: tokens of the user that were issued before it are void.
	// If it is 0, no longer.
	IssuedBefore int64
	// TokenEnds is the end of a revoked token, or zero if no record revokes the token any longer.
	TokenEnds time.Time

	sequence uint64
	keep     time.Time // until when the change can matter
}

// lifts reports whether the change makes nothing void.
func (c *Change) lifts() bool {
	return !c.Gone && c.IssuedBefore == 0 && c.TokenEnds.IsZero()
}

type changeKey struct{ uid, id string }

// Changes is a log of what makes tokens void, for those who follow it. It holds the latest change of
// each user and of each token, for as long as it can matter, in the order of the changes. It begins
// when the directory is synced. It is safe for concurrent use.
type Changes struct {
	directory *Directory
	lifetime  time.Duration
	now       func() time.Time
	begun     atomic.Bool

	mu      sync.RWMutex // taken after Directory.mu
	latest  map[changeKey]*Change
	log     []*Change          // by sequence; those that are not in latest were replaced
	silent  map[string]*Change // by UID: changes that can no longer matter, but that followers may remember
	head    uint64             // the sequence of the last change
	removed uint64             // the last sequence that was removed because it can no longer matter
	due     dueTimes
	dueAt   map[string]time.Time
	pruneAt time.Time
	changed chan struct{} // closed by the next change
}

// TrackChanges makes the directory keep a log of its changes, and returns it. Call it once, before
// other goroutines use the directory. The lifetime is that of the longest token whose user a change
// may concern, and now is the clock by which time ends accounts and revocations.
func (d *Directory) TrackChanges(lifetime time.Duration, now func() time.Time) *Changes {
	d.changes = &Changes{
		directory: d, lifetime: lifetime, now: now,
		latest: map[changeKey]*Change{}, silent: map[string]*Change{}, dueAt: map[string]time.Time{}, changed: make(chan struct{}),
	}
	return d.changes
}

// Lifetime returns the lifetime of the longest token whose user a change may concern.
func (c *Changes) Lifetime() time.Duration { return c.lifetime }

// Position is a place in the log. The zero Position is the beginning.
type Position struct {
	After uint64 // the number of the last change before the place
	// Removed is the last number that was removed when the follower began to read the whole log. It
	// counts until the follower has read all of it.
	Removed uint64
}

// Page is a part of the log.
type Page struct {
	Changes  []*Change // in their order; not to be changed
	Next     Position  // where the next page begins
	More     bool      // whether the log goes on after the page
	Complete bool      // the page begins the whole log: what a follower knows besides does not hold
}

// Since returns the page of at most limit changes after a Position, which is zero or the Next of an
// earlier page. If a change after it has been removed, the page begins the whole log.
func (c *Changes) Since(p Position, limit int) Page {
	c.Advance()
	c.mu.RLock()
	defer c.mu.RUnlock()
	page := Page{Complete: p.After == 0 || p.After > c.head || max(p.After, p.Removed) < c.removed}
	if page.Complete {
		p = Position{Removed: c.removed}
	}
	first := sort.Search(len(c.log), func(i int) bool { return c.log[i].sequence > p.After })
	for _, change := range c.log[first:] {
		if c.latest[keyOf(change)] != change {
			continue
		}
		if len(page.Changes) == limit {
			page.Next, page.More = Position{page.Changes[limit-1].sequence, p.Removed}, true
			return page
		}
		page.Changes = append(page.Changes, change)
	}
	page.Next = Position{After: c.head}
	return page
}

// Head returns the number of the last change, and a channel that the next change closes.
func (c *Changes) Head() (uint64, <-chan struct{}) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.head, c.changed
}

// UnknownTenants returns the Tenants of which the log may lack changes, sorted. An empty text stands for
// users of no Tenant. What is read from the log afterwards lacks no change of the others.
func (c *Changes) UnknownTenants() []string {
	o := c.directory.outage.Load()
	if o == nil {
		return nil
	}
	return o.Tenants
}

// wake lets those who wait look at the outage of the directory.
func (c *Changes) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head++
	close(c.changed)
	c.changed = make(chan struct{})
}

// Advance adds the changes that the passing of time has made. Whoever waits for changes relies on
// someone to call it from time to time.
func (c *Changes) Advance() {
	if c.begun.Load() && !c.isDue(c.now()) {
		return
	}
	c.directory.mu.Lock()
	defer c.directory.mu.Unlock()
	c.update(c.turn)
}

// turn evaluates users whose verdict time has changed, each at that time: one whose revocation has
// ended may have got tokens, even if the user is revoked again by now.
func (c *Changes) turn(now time.Time) {
	for len(c.due) > 0 && !c.due[0].at.After(now) {
		next, _ := heap.Pop(&c.due).(dueTime)
		if c.dueAt[next.uid].Equal(next.at) {
			delete(c.dueAt, next.uid)
		}
		if _, ok := c.directory.byUID.get(next.uid); ok { // else its end is known already
			c.evaluateUser(next.uid, next.at, false)
		}
	}
}

func (c *Changes) isDue(now time.Time) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.due) > 0 && !c.due[0].at.After(now) || !now.Before(c.pruneAt)
}

// users adds the changes of users. The caller holds mu of the directory.
func (c *Changes) users(uids ...string) {
	c.update(func(now time.Time) {
		for _, uid := range uids {
			c.evaluateUser(uid, now, false)
		}
	})
}

// token adds the change of a token. The caller holds mu of the directory.
func (c *Changes) token(uid, id string) {
	if c != nil {
		c.update(func(now time.Time) { c.evaluateToken(uid, id, now) })
	}
}

// update runs f once the directory is synced, and wakes those who wait if that has added a change.
// The caller holds mu of the directory.
func (c *Changes) update(f func(now time.Time)) {
	if !c.directory.HasSynced() {
		return
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	head := c.head
	if !c.begun.Load() {
		c.begin(now)
	}
	f(now)
	if !now.Before(c.pruneAt) {
		c.prune(now)
	}
	if c.head != head {
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// begin adds everything that the directory holds.
func (c *Changes) begin(now time.Time) {
	c.begun.Store(true)
	for _, u := range c.directory.byKey {
		c.evaluateUser(u.UID, now, true)
	}
	c.directory.records.each(func(id string, records []Record) {
		for i := range records {
			c.evaluateToken(records[i].UserUID, id, now)
		}
	})
}

// evaluateUser adds a change if the verdict on the tokens of a user differs from the last change, and
// remembers when time alone changes it next.
func (c *Changes) evaluateUser(uid string, now time.Time, beginning bool) {
	u, ok := c.directory.byUID.get(uid)
	next := &Change{UID: uid, Gone: !ok}
	since := now
	switch {
	case ok && !c.directory.holds(u):
		next.IssuedBefore = EveryToken
	case ok:
		next.IssuedBefore, since = u.voidBefore(now, beginning)
		c.schedule(uid, u.nextTurn(now))
	}
	current := c.latest[changeKey{uid: uid}]
	if current == nil {
		current = c.silent[uid]
	}
	next.keep = since.Add(c.lifetime + changeSlack)
	switch {
	case current != nil && current.Gone == next.Gone && current.IssuedBefore == next.IssuedBefore:
	case current != nil: // followers may know of it
		next.keep = later(since, now).Add(c.lifetime + changeSlack)
		delete(c.silent, uid)
		c.add(next)
	case next.lifts():
	case !next.keep.After(now):
		c.silence(next)
	default:
		c.add(next)
	}
}

// evaluateToken adds a change if the record of a token revokes it, or no longer does.
func (c *Changes) evaluateToken(uid, id string, now time.Time) {
	current := c.latest[changeKey{uid, id}]
	next := &Change{UID: uid, ID: id}
	if r, ok := c.directory.Record(uid, id); ok && r.Revoked {
		next.TokenEnds = later(r.ExpiresAt, r.RevokedUntil)
		next.keep = next.TokenEnds
	}
	switch {
	case current == nil && !next.keep.After(now), current != nil && current.TokenEnds.Equal(next.TokenEnds):
		return
	case next.lifts():
		next.keep = later(current.keep, now)
	}
	c.add(next)
}

func (c *Changes) add(next *Change) {
	c.head++
	next.sequence = c.head
	c.latest[keyOf(next)] = next
	c.log = append(c.log, next)
	if len(c.log) > 2*len(c.latest)+spareChanges {
		c.compact()
	}
}

// prune removes changes that can no longer matter.
func (c *Changes) prune(now time.Time) {
	c.pruneAt = now.Add(pruneEvery)
	for key, change := range c.latest {
		if change.keep.After(now) {
			continue
		}
		delete(c.latest, key)
		c.removed = max(c.removed, change.sequence)
		c.silence(change)
	}
	for uid, change := range c.silent {
		if change.Gone && !change.keep.Add(c.lifetime+changeSlack).After(now) {
			delete(c.silent, uid)
		}
	}
	c.compact()
}

// silence remembers a change that can no longer matter for as long as a follower may: one that is for
// good for another lifetime, and one that may be lifted until it is.
func (c *Changes) silence(change *Change) {
	if change.Gone || change.IssuedBefore == EveryToken {
		c.silent[change.UID] = change
	}
}

func (c *Changes) compact() {
	kept := make([]*Change, 0, len(c.latest))
	for _, change := range c.log {
		if c.latest[keyOf(change)] == change {
			kept = append(kept, change)
		}
	}
	c.log = kept
}

func keyOf(c *Change) changeKey { return changeKey{c.UID, c.ID} }

// schedule remembers when time alone next changes the verdict on a user; zero: never.
func (c *Changes) schedule(uid string, at time.Time) {
	if at.IsZero() || c.dueAt[uid].Equal(at) {
		return
	}
	c.dueAt[uid] = at
	heap.Push(&c.due, dueTime{at, uid})
}

// holds reports whether a user holds its login: only then are its tokens good.
func (d *Directory) holds(u *User) bool {
	holder, ok := d.byLogin.get(u.Login)
	return ok && holder.UID == u.UID
}

// voidBefore returns the time in UNIX seconds before which tokens of the user were issued that are
// void, 0 if none is, and since when that holds at the latest. At the beginning no one has seen when
// the user was revoked, except that the status of the user tells.
func (u *User) voidBefore(now time.Time, beginning bool) (seconds int64, since time.Time) {
	if u.Check(now) != nil {
		if beginning && u.revokedOnPurpose(now) && !u.TokensRevokedAt.IsZero() {
			return EveryToken, u.TokensRevokedAt
		}
		return EveryToken, now
	}
	from := u.TokensValidFrom()
	for _, r := range u.Revocations { // as CheckToken
		if !r.Until.IsZero() {
			from = later(from, time.Unix(r.Until.Unix()+1, 0))
		}
	}
	if from.IsZero() {
		return 0, now
	}
	return from.Unix(), from
}

// nextTurn returns when the verdict on the user changes next if nothing is written, or the zero time.
func (u *User) nextTurn(now time.Time) time.Time {
	var next time.Time
	consider := func(at time.Time) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	consider(u.ExpiresAt)
	for _, r := range u.Revocations {
		consider(r.Until)
	}
	return next
}

// concerned returns the UIDs of the users whose tokens a change from old to u may concern: their own,
// and those of the users who hold their logins. Either may be nil.
func (d *Directory) concerned(old, u *User) []string {
	if d.changes == nil {
		return nil
	}
	if d.changes.isDue(d.changes.now()) {
		d.changes.update(d.changes.turn) // before the write hides it
	}
	uids := make([]string, 0, 4)
	for _, v := range []*User{old, u} {
		if v == nil {
			continue
		}
		uids = append(uids, v.UID)
		if holder, ok := d.byLogin.get(v.Login); ok {
			uids = append(uids, holder.UID)
		}
	}
	return uids
}

// noteChange adds what a write has changed to the log, if there is one. The caller holds mu, and
// passes what concerned has returned before the write.
func (d *Directory) noteChange(before []string, old, u *User) {
	if d.changes != nil {
		d.changes.users(append(before, d.concerned(old, u)...)...)
	}
}

// dueTime is when time alone changes the verdict on a user.
type dueTime struct {
	at  time.Time
	uid string
}

// dueTimes is a heap by time.
type dueTimes []dueTime

func (t dueTimes) Len() int           { return len(t) }
func (t dueTimes) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t dueTimes) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push implements heap.Interface.
func (t *dueTimes) Push(x any) {
	if due, ok := x.(dueTime); ok {
		*t = append(*t, due)
	}
}

// Pop implements heap.Interface.
func (t *dueTimes) Pop() any {
	last := len(*t) - 1
	due := (*t)[last]
	*t = (*t)[:last]
	return due
}

// Len returns how many changes the log takes room for, replaced ones included.
func (c *Changes) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.log)
}
