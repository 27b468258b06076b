package authn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// testQueue lets callers wait at a gate and returns the order in which they get the slot.
type testQueue struct {
	gate  *gate
	order chan string
}

func (q *testQueue) wait(ctx context.Context, source, login string) {
	q.waitFor(ctx, claim{source: []string{source}, login: login})
}

func (q *testQueue) waitFor(ctx context.Context, c claim) {
	name := strings.Join(c.source, ">") + "/" + c.login
	go func() {
		switch err := q.gate.acquire(ctx, c); err {
		case nil:
			q.order <- name
		default:
			q.order <- name + ": " + err.Error()
		}
	}()
	synctest.Wait()
}

func newTestQueue(slots int) *testQueue {
	return &testQueue{gate: newGate(slots, 0), order: make(chan string, 1000)}
}

// served releases the slot n times and returns who got it.
func (q *testQueue) served(n int) (out []string) {
	for range n {
		q.gate.release(0)
		synctest.Wait()
		out = append(out, <-q.order)
	}
	return out
}

func TestSourcesAndLoginsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1)
		q.wait(t.Context(), "first", "x")
		<-q.order
		for _, who := range [][2]string{{"flood", "a"}, {"flood", "a"}, {"flood", "a"}, {"flood", "b"}, {"quiet", "c"}, {"quiet", "c"}} {
			q.wait(t.Context(), who[0], who[1])
		}
		want := []string{"flood/a", "quiet/c", "flood/b", "quiet/c", "flood/a", "flood/a"}
		if got := q.served(6); !slices.Equal(got, want) {
			t.Errorf("served %v, want %v", got, want)
		}
	})
}

// A network gets no more turns for having many addresses.
func TestWiderNetworksTakeTurnsFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1)
		q.wait(t.Context(), "first", "x")
		<-q.order
		for i := range 3 {
			q.waitFor(t.Context(), claim{source: []string{"wide", "a", fmt.Sprint("a", i)}, login: "x"})
		}
		q.waitFor(t.Context(), claim{source: []string{"wide", "b", "b0"}, login: "x"})
		for range 2 {
			q.waitFor(t.Context(), claim{source: []string{"other", "c", "c0"}, login: "x"})
		}
		want := []string{"wide>a>a0/x", "other>c>c0/x", "wide>b>b0/x", "other>c>c0/x", "wide>a>a1/x", "wide>a>a2/x"}
		if got := q.served(6); !slices.Equal(got, want) {
			t.Errorf("served %v, want %v", got, want)
		}
	})
}

func TestThoseWhoSucceededLatelyGetMostTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1)
		q.wait(t.Context(), "first", "x")
		<-q.order
		for range 10 {
			q.waitFor(t.Context(), claim{source: []string{"a"}, login: "other"})
		}
		for range 6 {
			q.waitFor(t.Context(), claim{lately: true, source: []string{"a"}, login: "known"})
		}
		got := q.served(8)
		if known := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != "a/known" })); known != 6 {
			t.Errorf("served %v", got)
		}
		q.served(8)
	})
}

func TestNewSourceStartsAtCurrentTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1)
		q.wait(t.Context(), "old", "x")
		<-q.order
		for range 10 {
			q.wait(t.Context(), "old", "x")
		}
		q.served(5)
		for range 3 {
			q.wait(t.Context(), "new", "y")
		}
		got := q.served(6)
		if served := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != "new/y" })); served != 3 || got[5] == "new/y" && got[4] == "new/y" {
			t.Errorf("served %v: they should take turns", got)
		}
	})
}

func TestFullQueueMakesRoomForSmallSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1)
		q.wait(t.Context(), "x", "x")
		<-q.order
		for i := range waitingPerSlot {
			q.wait(t.Context(), "flood", fmt.Sprint(i))
		}
		q.wait(t.Context(), "flood", "one more")
		if got := <-q.order; got != "flood/one more: "+(&BusyError{}).Error() {
			t.Errorf("the flood's newcomer: %s", got)
		}
		q.wait(t.Context(), "quiet", "jean")
		if got := <-q.order; got != fmt.Sprintf("flood/%d: %s", waitingPerSlot-1, (&BusyError{}).Error()) {
			t.Errorf("room was made by %s", got)
		}
		if got := q.served(2); !slices.Contains(got, "quiet/jean") {
			t.Errorf("served %v", got)
		}
		for range waitingPerSlot - 2 {
			q.served(1)
		}
	})
}

func TestFullQueueMakesRoomWithinSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1)
		q.wait(t.Context(), "x", "x")
		<-q.order
		for range waitingPerSlot {
			q.wait(t.Context(), "proxy", "guessed")
		}
		q.wait(t.Context(), "proxy", "jean")
		if got := <-q.order; got != "proxy/guessed: "+(&BusyError{}).Error() {
			t.Errorf("room was made by %s", got)
		}
		if got := q.served(2); !slices.Contains(got, "proxy/jean") {
			t.Errorf("served %v", got)
		}
		for range waitingPerSlot - 2 {
			q.served(1)
		}
	})
}

// Hashes run at once only as far as all fit into memory, and in the order of their turns.
func TestHashesShareMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &testQueue{gate: newGate(8, 600), order: make(chan string, 1000)}
		wait := func(name string, memory int64) {
			q.waitFor(t.Context(), claim{source: []string{name}, login: "x", memory: memory})
		}
		wait("large", 512)
		<-q.order
		wait("large too", 512)
		wait("large three", 512)
		wait("small", 19)
		if n := q.gate.queued(); n != 3 {
			t.Fatalf("%d wait, although one alone fits", n)
		}
		q.gate.release(512)
		synctest.Wait()
		if got := <-q.order; got != "large too/x" || q.gate.queued() != 2 {
			t.Errorf("%s is next, and %d wait", got, q.gate.queued())
		}
		q.gate.release(512)
		synctest.Wait()
		got := []string{<-q.order, <-q.order}
		slices.Sort(got)
		if !slices.Equal(got, []string{"large three/x", "small/x"}) || q.gate.queued() != 0 {
			t.Errorf("%v are next, and %d wait", got, q.gate.queued())
		}
		q.gate.release(512)
		q.gate.release(19)
		if q.gate.memory != 600 || q.gate.free != 8 {
			t.Errorf("%d bytes and %d slots are free in the end", q.gate.memory, q.gate.free)
		}
	})
}

func TestTicketThatWaitsForMemoryLeavesItToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &testQueue{gate: newGate(8, 600), order: make(chan string, 1000)}
		q.waitFor(t.Context(), claim{login: "large", memory: 512})
		<-q.order
		ctx, cancel := context.WithCancel(t.Context())
		q.waitFor(ctx, claim{login: "leaves", memory: 512})
		q.waitFor(t.Context(), claim{login: "small", memory: 19})
		cancel()
		synctest.Wait()
		if got := []string{<-q.order, <-q.order}; !slices.Contains(got, "/small") || q.gate.queued() != 0 {
			t.Errorf("%v are next, and %d wait", got, q.gate.queued())
		}
	})
}

func TestWhatNeverFitsIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	if err := newGate(1, 600).acquire(t.Context(), claim{memory: 601}); err != errTooMuchMemory {
		t.Errorf("got %v", err)
	}
}

func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, 0)
		if err := g.acquire(t.Context(), claim{login: "x"}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		var busy *BusyError
		if err := g.acquire(t.Context(), claim{login: "y"}); !errors.As(err, &busy) || busy.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(begun); waited != maximumWait || g.queued() != 0 {
			t.Errorf("waited %s, %d still queued", waited, g.queued())
		}
	})
}

func TestLeavingQueueLosesNoSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newTestQueue(1)
		q.wait(t.Context(), "x", "x")
		<-q.order
		ctx, cancel := context.WithCancel(t.Context())
		q.wait(ctx, "gone", "y")
		q.wait(t.Context(), "stays", "z")
		cancel()
		synctest.Wait()
		<-q.order
		if got := q.served(1); got[0] != "stays/z" {
			t.Errorf("served %v", got)
		}
		q.gate.release(0)
		if err := q.gate.acquire(t.Context(), claim{login: "n"}); err != nil {
			t.Errorf("the slot is lost: %v", err)
		}
	})
}

func TestTurnsMemoryIsBounded(t *testing.T) {
	t.Parallel()
	tree := newTree()
	for i := range 100_000 {
		tree.add(&ticket{path: pathOf(claim{source: sourceNetworks(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})), login: fmt.Sprint(i)})})
		if i >= waitingPerSlot {
			tree.next()
		}
	}
	if n := countNodes(tree.root); n > 20*waitingPerSlot {
		t.Errorf("%d names are remembered", n)
	}
}

func countNodes(n *node) int {
	count := 1
	for _, c := range n.children {
		count += countNodes(c)
	}
	return count
}

func TestSourceNetworks(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][]string{
		"192.0.2.7":        {"192.0.2.0/24", "192.0.2.7/32"},
		"::ffff:192.0.2.7": {"192.0.2.0/24", "192.0.2.7/32"},
		"2001:db8:1:2:3::": {"2001:db8:1::/48", "2001:db8:1::/56", "2001:db8:1:2::/64"},
	} {
		if got := sourceNetworks(netip.MustParseAddr(address)); !slices.Equal(got, want) {
			t.Errorf("%s is in %v, want %v", address, got, want)
		}
	}
	if got := sourceNetworks(netip.Addr{}); len(got) != 0 {
		t.Errorf("an unknown source is in %v", got)
	}
}

// One text that is cut in two ways must give two digests, or the password of one user could match
// that of another. The cuts are the positions.
func FuzzDigestsOfDifferentPartsDiffer(f *testing.F) {
	f.Add("abc", "abc", uint(1), uint(2))
	f.Add("a", "a", uint(0), uint(1))
	f.Add("\x00\x00", "\x00", uint(0), uint(1))
	f.Add("uid\x00\x00\x00\x00\x00\x00\x00\x01p", "uid", uint(3), uint(3))
	d := newDigester()
	f.Fuzz(func(t *testing.T, s, other string, cut, otherCut uint) {
		cut %= uint(len(s)) + 1
		a, b := s[:cut], s[cut:]
		for _, text := range []string{s, other} {
			at := otherCut % (uint(len(text)) + 1)
			x, y := text[:at], text[at:]
			if same := d.digest(a, b) == d.digest(x, y); same != (a == x && b == y) {
				t.Errorf("%q,%q and %q,%q: equal digests %v", a, b, x, y, same)
			}
		}
		if d.digest(a, b) == d.digest(s) || d.digest(a, b) == d.digest("", a, b) {
			t.Errorf("%q,%q has the digest of other parts", a, b)
		}
	})
}
