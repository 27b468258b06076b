package authn

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
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
	go func() {
		switch err := q.gate.acquire(ctx, source, login); err {
		case nil:
			q.order <- source + "/" + login
		default:
			q.order <- source + "/" + login + ": " + err.Error()
		}
	}()
	synctest.Wait()
}

func newTestQueue(slots int) *testQueue {
	return &testQueue{gate: newGate(slots), order: make(chan string, 1000)}
}

// served releases the slot n times and returns who got it.
func (q *testQueue) served(n int) (out []string) {
	for range n {
		q.gate.release()
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

func TestWaitIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1)
		if err := g.acquire(t.Context(), "x", "x"); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		var busy *BusyError
		if err := g.acquire(t.Context(), "y", "y"); !errors.As(err, &busy) || busy.RetryAfter <= 0 {
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
		q.gate.release()
		if err := q.gate.acquire(t.Context(), "next", "n"); err != nil {
			t.Errorf("the slot is lost: %v", err)
		}
	})
}

func TestTurnsMemoryIsBounded(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	for i := range 100_000 {
		turns.serve(fmt.Sprint(i), 64)
	}
	if n := len(turns.next); n > 130 {
		t.Errorf("%d names are remembered", n)
	}
}

func TestIPv6NetworkIsOneSource(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64",
	} {
		if got := sourceName(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
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
