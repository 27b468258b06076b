package directory_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

const trackedLifetime = time.Hour

// follower is a verifier that knows nothing but the log of changes.
type follower struct {
	after  directory.Position
	users  map[string]*directory.Change
	heard  map[string]time.Time // when a change of a user arrived
	tokens map[[2]string]*directory.Change
}

func newFollower() *follower {
	return &follower{users: map[string]*directory.Change{}, heard: map[string]time.Time{}, tokens: map[[2]string]*directory.Change{}}
}

// follow takes in every change, in pieces of a random size.
func (f *follower) follow(c *directory.Changes, random *rand.Rand) {
	for {
		page := c.Since(f.after, 1+random.IntN(5))
		if page.Complete {
			clear(f.tokens)
			maps.DeleteFunc(f.users, func(_ string, c *directory.Change) bool { return !c.Gone })
		}
		for _, change := range page.Changes {
			if change.ID == "" {
				f.users[change.UID], f.heard[change.UID] = change, time.Now()
			} else {
				f.tokens[[2]string{change.UID, change.ID}] = change
			}
		}
		if f.after = page.Next; !page.More {
			return
		}
	}
}

type issuedToken struct {
	uid, id     string
	issued, end time.Time
}

func (f *follower) good(i issuedToken, now time.Time) bool {
	if c := f.tokens[[2]string{i.uid, i.id}]; c != nil && now.Before(c.TokenEnds) {
		return false
	}
	c := f.users[i.uid]
	if c != nil && c.Gone && now.Sub(f.heard[i.uid]) >= trackedLifetime {
		return true // every token that it concerns has ended
	}
	return c == nil || !c.Gone && i.issued.Unix() >= c.IssuedBefore
}

func goodInDirectory(d *directory.Directory, i issuedToken, now time.Time) bool {
	if r, ok := d.Record(i.uid, i.id); ok && r.Revoked {
		return false
	}
	u, ok := d.ByUID(i.uid)
	if !ok {
		return false
	}
	holder, ok := d.ByLogin(u.Login)
	return ok && holder.UID == u.UID && u.Check(now) == nil && u.CheckToken(i.issued) == nil
}

// randomWrite changes something of few users, so that they often claim the same login.
func randomWrite(d *directory.Directory, random *rand.Rand, now time.Time) string {
	n := random.IntN(6)
	key, uid := fmt.Sprintf("ns/%d", n), fmt.Sprintf("uid-%d-%d", n, random.IntN(2))
	if u, ok := d.ByKey(key); ok && random.IntN(10) > 0 {
		uid = u.UID
	}
	minutes := func(n int) time.Time { return now.Add(time.Duration(random.IntN(n)) * time.Minute) }
	switch random.IntN(10) {
	case 0:
		d.Delete(key)
		return "delete " + key
	case 1:
		r := directory.Revocation{Key: fmt.Sprintf("ns/r%d", random.IntN(4)), UserKey: key}
		if random.IntN(2) == 0 {
			r.Until = minutes(90)
		}
		d.PutRevocation(r, now)
		return fmt.Sprintf("put %+v", r)
	case 2, 3:
		d.DeleteRevocation(fmt.Sprintf("ns/r%d", random.IntN(4)), now)
		return "delete a Revocation"
	case 4:
		d.RevokeTokens(uid, now)
		return "revoke the tokens of " + uid
	}
	u := &directory.User{
		Key: key, UID: uid, Login: fmt.Sprintf("login-%d", random.IntN(4)), AsOf: now,
		Created: time.Unix(int64(random.IntN(3)), 0), Revoked: random.IntN(6) == 0, Unreadable: random.IntN(9) == 0,
	}
	u.Revoked = u.Revoked || u.Unreadable
	if random.IntN(4) == 0 {
		u.ExpiresAt = minutes(120).Add(-time.Hour)
	}
	if random.IntN(6) == 0 {
		u.TokensValidAfter = minutes(120).Add(-time.Hour)
	}
	d.Put(u)
	return fmt.Sprintf("put %+v", *u)
}

func writeRecord(d *directory.Directory, random *rand.Rand, issued []issuedToken) {
	if len(issued) == 0 {
		return
	}
	i := issued[random.IntN(len(issued))]
	if random.IntN(3) == 0 {
		d.DeleteRecord("", i.uid, i.id)
		return
	}
	d.PutRecord(directory.Record{ID: i.id, UserUID: i.uid, IssuedAt: i.issued, ExpiresAt: i.end, Revoked: random.IntN(2) == 0})
}

// A follower that has been there from the start, and one that comes later, reach the verdict of the
// directory on every token that was ever issued, whatever happens and however much time passes.
func TestFollowerOfChangesReachesTheVerdictOfTheDirectory(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 15))
			d := directory.New()
			c := d.TrackChanges(trackedLifetime, time.Now)
			for range random.IntN(20) {
				randomWrite(d, random, time.Now())
			}
			d.MarkSynced()
			from, joined := newFollower(), newFollower()
			var issued []issuedToken
			for step := range 300 {
				what := randomWrite(d, random, time.Now())
				writeRecord(d, random, issued)
				if random.IntN(3) == 0 {
					synctest.Wait()
					<-time.After(time.Duration(random.IntN(20)) * time.Minute)
				}
				if random.IntN(30) == 0 {
					<-time.After(3 * trackedLifetime)
				}
				now := time.Now()
				for n := range 6 { // not Each, whose order is not that of the seed
					u, ok := d.ByKey(fmt.Sprintf("ns/%d", n))
					if !ok {
						continue
					}
					i := issuedToken{u.UID, fmt.Sprint(step), now, now.Add(time.Duration(1+random.IntN(60)) * time.Minute)}
					if goodInDirectory(d, i, now) {
						issued = append(issued, i)
					}
				}
				if random.IntN(20) == 0 {
					joined = newFollower()
				}
				if random.IntN(3) == 0 {
					continue // the followers are behind
				}
				from.follow(c, random)
				joined.follow(c, random)
				for _, i := range issued {
					want := goodInDirectory(d, i, now)
					if !now.Before(i.end) || from.good(i, now) == want && joined.good(i, now) == want {
						continue
					}
					t.Fatalf("seed %d, step %d (%s): token %+v is good in the directory: %t; to the first follower: %t; to the later one: %t",
						seed, step, what, i, want, from.good(i, now), joined.good(i, now))
				}
			}
		})
	}
}

func TestChangesHoldOnlyWhatCanStillMatter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := directory.New()
		d.Put(&directory.User{
			Key: "ns/long", UID: "long", Login: "long", AsOf: time.Now(),
			Revoked: true, RecordedRevocation: 1, TokensRevokedAt: time.Now().Add(-48 * time.Hour),
		})
		c := d.TrackChanges(trackedLifetime, time.Now)
		d.MarkSynced()
		count := func() int { return len(c.Since(directory.Position{}, 1000).Changes) }
		if n := count(); n != 0 {
			t.Errorf("%d changes of a user who was revoked long ago", n)
		}
		d.Put(&directory.User{Key: "ns/jean", UID: "jean", Login: "jean", AsOf: time.Now()})
		if n := count(); n != 0 {
			t.Errorf("%d changes of users of whom no token is void", n)
		}
		d.RevokeTokens("jean", time.Now())
		d.Delete("ns/long")
		d.PutRecord(directory.Record{ID: "t", UserUID: "jean", ExpiresAt: time.Now().Add(30 * time.Minute), Revoked: true})
		if n := count(); n != 3 {
			t.Errorf("%d changes, want those of two users and a token", n)
		}
		<-time.After(35 * time.Minute)
		if n := count(); n != 2 {
			t.Errorf("%d changes after the token has ended, want 2", n)
		}
		<-time.After(40 * time.Minute)
		if n := count(); n != 0 {
			t.Errorf("%d changes after every token that they concern has ended", n)
		}
	})
}

func TestChangeWakesThoseWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := directory.New()
		c := d.TrackChanges(trackedLifetime, time.Now)
		d.MarkSynced()
		d.Put(&directory.User{Key: "ns/jean", UID: "jean", Login: "jean", ExpiresAt: time.Now().Add(time.Minute)})
		c.Advance()
		head, changed := c.Head()
		d.Put(&directory.User{Key: "ns/marie", UID: "marie", Login: "marie"})
		select {
		case <-changed:
			t.Fatal("a new user wakes followers")
		default:
		}
		<-time.After(time.Minute)
		c.Advance()
		select {
		case <-changed:
		default:
			t.Fatal("the end of an account wakes no one")
		}
		changes := c.Since(directory.Position{After: head}, 10).Changes
		if len(changes) != 1 || changes[0].UID != "jean" || changes[0].IssuedBefore != directory.EveryToken {
			t.Errorf("got %+v", changes)
		}
	})
}

// The log must not grow with the number of changes, only with that of users and tokens.
func TestChangesOfOneUserTakeNoMoreRoomWithTheirNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := directory.New()
		c := d.TrackChanges(trackedLifetime, time.Now)
		d.MarkSynced()
		for i := range 20_000 {
			d.Put(&directory.User{Key: "ns/jean", UID: "jean", Login: "jean", TokensValidAfter: time.Unix(int64(i), 0)})
			d.Put(&directory.User{Key: "ns/jean", UID: "jean", Login: "jean", Unreadable: true, Revoked: true})
		}
		if n := c.Len(); n > 1100 {
			t.Errorf("the log holds %d changes of one user", n)
		}
	})
}
