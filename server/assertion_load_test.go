package server_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/assertion/assertiontest"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
)

// adjustable is a clock that tests move.
type adjustable struct{ offset atomic.Int64 }

func (c *adjustable) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// Every login succeeds while an issuer changes its key: it publishes the new one, signs with it, and
// withdraws the old one.
func TestKeyRotationUnderLoad(t *testing.T) {
	t.Parallel()
	i := assertiontest.New(t, "https://ci.test")
	i.AddKey(t, "next", assertiontest.RS256)
	var clock adjustable
	s := servertest.New(t, servertest.Options{Assertions: servertest.Trust(t, i, clock.now)})
	s.Put(t, directory.User{Login: "shop", Identities: []directory.Identity{{Issuer: i.URL, Subject: repo}}})
	redis := assertionPlaces(t)[0]
	var key atomic.Value
	key.Store(assertiontest.RS256)
	var refused atomic.Int64
	answered, stop := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id, _ := key.Load().(string)
				text := i.SignWith(t, id, i.Claims(s.Now(), repo, map[string]any{"jti": n}))
				if a := redis.send(s, "shop", text); a.Status != 200 {
					refused.Add(1)
				}
				select {
				case answered <- struct{}{}:
				case <-stop:
				}
			}
		})
	}
	await := func(more int) {
		for range more {
			<-answered
		}
	}
	await(50)
	clock.offset.Store(int64(time.Minute))
	i.Publish("next")
	key.Store("next")
	await(50)
	i.Withdraw(assertiontest.RS256)
	await(50)
	close(stop)
	all.Wait()
	if refused.Load() > 0 {
		t.Errorf("%d logins were refused", refused.Load())
	}
}

// A flood of assertions with unknown keys costs one fetch in ten seconds, and no password login.
func TestFloodOfUnknownKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	i := assertiontest.New(t, "https://ci.test")
	i.AddKey(t, "unknown", assertiontest.ES256)
	s := servertest.New(t, servertest.Options{PasswordCacheTTL: time.Minute, Assertions: servertest.Trust(t, i, nil)})
	s.Put(t, directory.User{Login: "alice"}, "right")
	redis := assertionPlaces(t)[0]
	redis.send(s, "alice", i.Sign(t, i.Claims(s.Now(), repo, nil))) // the first fetch has ended
	before := i.Fetches()
	stop := make(chan struct{})
	var all sync.WaitGroup
	var floods atomic.Int64
	for range 8 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if a := redis.send(s, "alice", i.SignWith(t, "unknown", i.Claims(s.Now(), repo, map[string]any{"jti": n}))); a.Status != 401 {
					t.Errorf("an unknown key: %s", a)
					return
				}
				floods.Add(1)
			}
		})
	}
	var times []time.Duration
	begin := time.Now()
	for time.Since(begin) < 3*time.Second {
		sent := time.Now()
		if a := redis.send(s, "alice", "right"); a.Status != 200 {
			t.Errorf("a password is refused in the flood: %s", a)
		}
		times = append(times, time.Since(sent))
	}
	close(stop)
	all.Wait()
	slices.Sort(times)
	t.Logf("%d assertions in %s; p99 of %d password logins: %s", floods.Load(), time.Since(begin), len(times), times[len(times)*99/100])
	if got := i.Fetches() - before; got > 1 {
		t.Errorf("%d fetches in %s", got, time.Since(begin))
	}
}
