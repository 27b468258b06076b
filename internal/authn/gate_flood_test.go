package authn

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// knownLogin is a flood with a login that has succeeded lately from the same address.
const knownLogin = "one proxy and one known login"

// hashTime is what a hash of bcrypt 10 takes.
const hashTime = 70 * time.Millisecond

// flood lets clients wait for hashes again and again until the context ends: as soon as one has its
// answer, and soon after it was turned away.
func flood(ctx context.Context, g *gate, claims []claim) *sync.WaitGroup {
	var wg sync.WaitGroup
	for _, c := range claims {
		wg.Go(func() {
			for ctx.Err() == nil {
				if !hashOnce(ctx, g, c) {
					<-time.After(500 * time.Millisecond)
				}
			}
		})
	}
	return &wg
}

// hashOnce reports whether a claim got its hash.
func hashOnce(ctx context.Context, g *gate, c claim) bool {
	if g.acquire(ctx, c) != nil {
		return false
	}
	<-time.After(hashTime)
	g.release(0)
	return true
}

// from returns the claim of a login from an address.
func from(address, login string, lately bool) claim {
	return claim{lately: lately, source: sourceNetworks(netip.MustParseAddr(address)), login: login}
}

// In each flood, at least 95 % of 40 other logins get their answer within 5 seconds, even if
// all come at once. One slot, as a replica with two cores has, serves all.
func TestFloodsLeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	floods := map[string]func(i int) claim{
		"256 addresses of one /56":            func(i int) claim { return from(fmt.Sprintf("2001:db8:1:%x::1", i), "jean", false) },
		"256 addresses and logins of one /56": func(i int) claim { return from(fmt.Sprintf("2001:db8:1:%x::1", i), fmt.Sprint("x", i), false) },
		"a /24":                               func(i int) claim { return from(fmt.Sprintf("203.0.113.%d", i), fmt.Sprint("x", i), false) },
		"one proxy":                           func(i int) claim { return from("198.51.100.1", fmt.Sprint("x", i), false) },
		knownLogin:                            func(int) claim { return from("198.51.100.1", "jean", true) },
	}
	victims := map[string]func(i int) claim{
		"first logins from elsewhere":       func(i int) claim { return from(fmt.Sprintf("192.0.%d.1", i), fmt.Sprint("v", i), false) },
		"known logins from elsewhere":       func(i int) claim { return from("192.0.2.1", fmt.Sprint("v", i), true) },
		"known logins from the same source": func(i int) claim { return from("198.51.100.1", fmt.Sprint("v", i), true) },
	}
	for name, attacker := range floods {
		for whose, victim := range victims {
			every := time.Duration(0)
			if name == knownLogin { // who guesses among those who succeeded lately has the share of one of them
				every = 250 * time.Millisecond
			}
			t.Run(name+"/"+whose, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { checkFlood(t, attacker, victim, every) })
			})
		}
	}
}

func checkFlood(t *testing.T, attacker, victim func(int) claim, every time.Duration) {
	const attackers, victims = 256, 40
	g := newGate(1, 0)
	ctx, stop := context.WithCancel(t.Context())
	claims := make([]claim, attackers)
	for i := range claims {
		claims[i] = attacker(i)
	}
	attack := flood(ctx, g, claims)
	<-time.After(2 * time.Second) // the queue is full
	var answered atomic.Int64
	var wg sync.WaitGroup
	for i := range victims {
		wg.Go(func() {
			begun := time.Now()
			if hashOnce(ctx, g, victim(i)) && time.Since(begun) <= 5*time.Second {
				answered.Add(1)
			}
		})
		if every > 0 {
			<-time.After(every)
		}
	}
	wg.Wait()
	stop()
	attack.Wait()
	if n := answered.Load(); n < victims*95/100 {
		t.Errorf("%d of %d got an answer within 5 s", n, victims)
	}
}
