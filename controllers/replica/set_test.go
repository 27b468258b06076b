package replica

import (
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
)

var start = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// clock is a clock that the test moves.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func leaseOf(name string, renewed time.Time) *coordinationv1.Lease {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: prefix + name}}
	l.Spec.RenewTime = &metav1.MicroTime{Time: renewed}
	return l
}

// knownSet returns the set of a replica that was the only one when it started.
func knownSet(self string, now func() time.Time) *Set {
	s := NewSet(self, now)
	s.know(nil)
	return s
}

// sets returns the sets of replicas that know each other.
func sets(now func() time.Time, names ...string) []*Set {
	out := make([]*Set, len(names))
	for i, self := range names {
		out[i] = knownSet(self, now)
		for _, name := range names {
			out[i].observe(leaseOf(name, start))
		}
	}
	return out
}

func uid(i int) types.UID { return types.UID(fmt.Sprintf("4fe8a1d0-0000-4000-8000-%012d", i)) }

func TestEachObjectHasOneReplicaOfEachRank(t *testing.T) {
	t.Parallel()
	c := &clock{start}
	replicas := sets(c.now, "gatehouse-6d9c7b5f44-2xkqp", "gatehouse-6d9c7b5f44-9vjzm", "gatehouse-6d9c7b5f44-tb7rw")
	first := make([]int, len(replicas))
	for i := range 3000 {
		seen := map[int]bool{}
		for j, s := range replicas {
			rank := s.Rank(uid(i))
			seen[rank] = true
			if rank == 0 {
				first[j]++
			}
		}
		if len(seen) != len(replicas) || !seen[0] {
			t.Fatalf("the ranks for object %d are %v", i, seen)
		}
	}
	for j, n := range first {
		if n < 850 || n > 1150 {
			t.Errorf("replica %d is the first for %d of 3000 objects", j, n)
		}
	}
}

func TestReplicaThatIsNotHeardOfHasNoRank(t *testing.T) {
	t.Parallel()
	c := &clock{start}
	s := knownSet("a", c.now)
	s.observe(leaseOf("b", start))
	i := 0
	for s.Rank(uid(i)) == 0 {
		i++
	}
	c.Time = start.Add(lifetime - time.Second)
	s.observe(leaseOf("b", start)) // seen again, not renewed
	if s.Rank(uid(i)) != 1 {
		t.Error("the other replica counts as gone too early")
	}
	c.Time = start.Add(lifetime)
	if s.Rank(uid(i)) != 0 {
		t.Error("a replica that does not renew its Lease still counts")
	}
	s.observe(leaseOf("b", start.Add(-time.Hour))) // renewed, by a clock that is behind
	if s.Rank(uid(i)) != 1 {
		t.Error("a renewed replica does not count")
	}
	s.forget(prefix + "b")
	if s.Rank(uid(i)) != 0 {
		t.Error("a replica without a Lease still counts")
	}
}

func TestForeignLeasesAreIgnored(t *testing.T) {
	t.Parallel()
	c := &clock{start}
	s := knownSet("a", c.now)
	foreign, unnamed, own := leaseOf("x", start), leaseOf("y", start), leaseOf("a", start)
	foreign.Name, unnamed.Spec.RenewTime = "other-controller", nil
	for _, l := range []*coordinationv1.Lease{foreign, unnamed, own} {
		s.observe(l)
	}
	for i := range 100 {
		if s.Rank(uid(i)) != 0 {
			t.Fatal("a replica without others is not the first")
		}
	}
	if (*Set)(nil).Rank(uid(0)) != 0 {
		t.Error("a service without Leases does not write")
	}
}

func TestReplicasTakeOverInTheirOrder(t *testing.T) {
	t.Parallel()
	c := &clock{start}
	for _, s := range sets(c.now, "a", "b", "c") {
		c.Time = start
		turns, key, u := NewTurns(s, c.now), types.NamespacedName{Name: "jean"}, uid(7)
		want := time.Duration(s.Rank(u)) * takeOver
		if got := turns.Wait(key, u, delivery.Versions{Users: 100}); got != want {
			t.Fatalf("rank %d waits %s, want %s", s.Rank(u), got, want)
		}
		if want == 0 {
			continue
		}
		c.Time = start.Add(4 * time.Second)
		if got := turns.Wait(key, u, delivery.Versions{Users: 100}); got != want-4*time.Second {
			t.Errorf("after 4 s rank %d waits %s", s.Rank(u), got)
		}
		turns.Done(key)
		if got := turns.Wait(key, u, delivery.Versions{Users: 100}); got != want {
			t.Errorf("for another change rank %d waits %s, want %s", s.Rank(u), got, want)
		}
		c.Time = c.Add(want)
		if got := turns.Wait(key, u, delivery.Versions{Users: 100}); got != 0 {
			t.Errorf("rank %d never takes over: it waits %s", s.Rank(u), got)
		}
	}
}

// A replica that has seen what a write is about and does not write computes another status.
func TestReplicaLeavesTheWriteToOneThatHasSeenTheSame(t *testing.T) {
	t.Parallel()
	c := &clock{start}
	s := knownSet("a", c.now)
	object := uid(0)
	for i := 1; weight("b", object) < weight("a", object); i++ {
		object = uid(i)
	}
	wait := func(users uint64) time.Duration {
		return s.delay("users", object, delivery.Versions{Users: users})
	}
	observeInForce(t, s, "b", 10, start)
	if wait(10) != takeOverInformed || wait(11) != takeOver || wait(0) != takeOver {
		t.Errorf("waits %s for one that knows, %s for one that does not, %s without versions", wait(10), wait(11), wait(0))
	}
	turns, key := NewTurns(s, c.now), types.NamespacedName{Namespace: "users", Name: "jean"}
	if got := turns.Wait(key, object, delivery.Versions{Users: 10}); got != lifetime {
		t.Errorf("looks again after %s, want %s: the other may end", got, lifetime)
	}
	c.Time = start.Add(lifetime)
	if got := turns.Wait(key, object, delivery.Versions{Users: 10}); got != 0 {
		t.Errorf("waits %s for a replica that has ended", got)
	}
}

func TestReplicaWaitsUntilItKnowsTheOthers(t *testing.T) {
	t.Parallel()
	c := &clock{start}
	s, leases := NewSet("a", c.now), []coordinationv1.Lease{*leaseOf("a", start), *leaseOf("b", start)}
	object := uid(0)
	for i := 1; weight("b", object) > weight("a", object); i++ {
		object = uid(i)
	}
	turns := NewTurns(s, c.now)
	wait := func() time.Duration {
		return turns.Wait(types.NamespacedName{Name: "jean"}, object, delivery.Versions{})
	}
	observeInForce(t, s, "a", 10, start)
	if s.know(leases) || wait() != knowPause {
		t.Errorf("without the Lease of another, it waits %s", wait())
	}
	wantBehind(t, s, 10, []string{"a"}, nil)
	wantBehind(t, s, 11, []string{"a"}, nil)
	observeInForce(t, s, "b", 10, start)
	moves := 0
	s.OnMove(func() { moves++ })
	if !s.know(leases) || wait() != 0 || moves != 1 {
		t.Errorf("with all Leases, it waits %s, and announces %d moves", wait(), moves)
	}
	wantBehind(t, s, 10, nil, nil)
}
