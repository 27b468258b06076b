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

// line lets somebody wait at a gate and returns the order in which the slot came to whom.
type line struct {
	gate  *gate
	order chan string
}

func (l *line) wait(ctx context.Context, source, login string) {
	go func() {
		switch err := l.gate.acquire(ctx, source, login); err {
		case nil:
			l.order <- source + "/" + login
		default:
			l.order <- source + "/" + login + ": " + err.Error()
		}
	}()
	synctest.Wait()
}

func newLine(slots int) *line { return &line{gate: newGate(slots), order: make(chan string, 1000)} }

// served releases the slot n times and returns who got it.
func (l *line) served(n int) (out []string) {
	for range n {
		l.gate.release()
		synctest.Wait()
		out = append(out, <-l.order)
	}
	return out
}

func TestSourcesTakeTurnsAndSoDoTheLoginsOfOneSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(1)
		l.wait(t.Context(), "first", "x")
		<-l.order
		for _, who := range [][2]string{{"flood", "a"}, {"flood", "a"}, {"flood", "a"}, {"flood", "b"}, {"quiet", "c"}, {"quiet", "c"}} {
			l.wait(t.Context(), who[0], who[1])
		}
		want := []string{"flood/a", "quiet/c", "flood/b", "quiet/c", "flood/a", "flood/a"}
		if got := l.served(6); !slices.Equal(got, want) {
			t.Errorf("served %v, want %v", got, want)
		}
	})
}

func TestANewcomerNeitherWaitsForThePastNorCatchesUpOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(1)
		l.wait(t.Context(), "old", "x")
		<-l.order
		for range 10 {
			l.wait(t.Context(), "old", "x")
		}
		l.served(5)
		for range 3 {
			l.wait(t.Context(), "new", "y")
		}
		got := l.served(6)
		if news := len(slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s != "new/y" })); news != 3 || got[5] == "new/y" && got[4] == "new/y" {
			t.Errorf("served %v: they should take turns", got)
		}
	})
}

func TestAFullQueueMakesRoomForWhoHasLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(1)
		l.wait(t.Context(), "x", "x")
		<-l.order
		for i := range waitingPerSlot {
			l.wait(t.Context(), "flood", fmt.Sprint(i))
		}
		l.wait(t.Context(), "flood", "one more")
		if got := <-l.order; got != "flood/one more: "+(&BusyError{}).Error() {
			t.Errorf("the flood's newcomer: %s", got)
		}
		l.wait(t.Context(), "quiet", "jean")
		if got := <-l.order; got != fmt.Sprintf("flood/%d: %s", waitingPerSlot-1, (&BusyError{}).Error()) {
			t.Errorf("room was made by %s", got)
		}
		if got := l.served(2); !slices.Contains(got, "quiet/jean") {
			t.Errorf("served %v", got)
		}
		for range waitingPerSlot - 2 {
			l.served(1)
		}
	})
}

func TestNobodyWaitsLongerThanTheLimit(t *testing.T) {
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

func TestWhoLeavesTheQueueLosesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(1)
		l.wait(t.Context(), "x", "x")
		<-l.order
		ctx, cancel := context.WithCancel(t.Context())
		l.wait(ctx, "gone", "y")
		l.wait(t.Context(), "stays", "z")
		cancel()
		synctest.Wait()
		<-l.order
		if got := l.served(1); got[0] != "stays/z" {
			t.Errorf("served %v", got)
		}
		l.gate.release()
		if err := l.gate.acquire(t.Context(), "next", "n"); err != nil {
			t.Errorf("the slot is lost: %v", err)
		}
	})
}

func TestTheMemoryOfTurnsIsBounded(t *testing.T) {
	turns := newTurns()
	for i := range 100_000 {
		turns.serve(fmt.Sprint(i), 64)
	}
	if n := len(turns.next); n > 130 {
		t.Errorf("%d names are remembered", n)
	}
}

func TestHostsOfOneNetworkAreOneSource(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "2001:db8:1:2::": "2001:db8:1:2::/64",
	} {
		if got := sourceName(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}

// One text cut in two ways must give two digests, or the password of one user could be asked of another. Cuts say where.
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
