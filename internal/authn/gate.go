package authn

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// The bounds of waiting for a slot. A bcrypt hash of cost 10 takes some 70 ms, so one slot serves
// about 60 of them within maximumWait, and a longer queue than waitingPerSlot would not be served
// in time. The service tells clients to come back after retryAfter.
const (
	maximumWait    = 4 * time.Second
	waitingPerSlot = 64
	retryAfter     = 2 * time.Second
)

// gate admits password hashes. A fixed number of them run at once and a bounded number wait; the
// gate serves those that wait fairly by source and, within a source, by login. It is safe for
// concurrent use.
type gate struct {
	mu      sync.Mutex
	free    int
	limit   int // longest queue
	waiting []*ticket
	sources turns
	logins  turns
}

// ticket is one place in the queue.
type ticket struct {
	source, login string
	called        chan bool // true: the ticket has a slot; false: it made room for another ticket
}

func newGate(slots int) *gate {
	return &gate{free: slots, limit: slots * waitingPerSlot, sources: newTurns(), logins: newTurns()}
}

// acquire waits for a slot, which the caller must release. It returns a *BusyError when the queue
// is full or moves too slowly, and the error of the context when the context ends first.
func (g *gate) acquire(ctx context.Context, source, login string) error {
	t, err := g.enter(source, login)
	if err != nil || t == nil {
		return err
	}
	patience := time.NewTimer(maximumWait)
	defer patience.Stop()
	select {
	case admitted := <-t.called:
		if !admitted {
			return &BusyError{RetryAfter: retryAfter}
		}
		return nil
	case <-patience.C:
		return g.leave(t, &BusyError{RetryAfter: retryAfter})
	case <-ctx.Done():
		return g.leave(t, ctx.Err())
	}
}

// enter takes a free slot (nil ticket) or a place in the queue.
func (g *gate) enter(source, login string) (*ticket, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free > 0 {
		g.free--
		return nil, nil //nolint:nilnil // no ticket: the slot was free
	}
	if len(g.waiting) >= g.limit && !g.makeRoom(source) {
		return nil, &BusyError{RetryAfter: retryAfter}
	}
	t := &ticket{source: source, login: source + "\n" + login, called: make(chan bool, 1)}
	g.waiting = append(g.waiting, t)
	return t, nil
}

// makeRoom turns away the youngest ticket of the source with the most tickets and reports whether
// it did. It spares that source when the newcomer's source would then have as many. The caller
// holds mu.
func (g *gate) makeRoom(newcomer string) bool {
	count := map[string]int{newcomer: 1}
	crowd := newcomer
	for _, t := range g.waiting {
		if count[t.source]++; count[t.source] > count[crowd] {
			crowd = t.source
		}
	}
	if crowd == newcomer {
		return false
	}
	for i, v := range slices.Backward(g.waiting) {
		if t := v; t.source == crowd {
			g.remove(i)
			t.called <- false
			return true
		}
	}
	return false
}

// leave gives up a ticket and returns err. If the ticket got a slot in the same moment, leave
// passes the slot on.
func (g *gate) leave(t *ticket, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.waiting {
		if g.waiting[i] == t {
			g.remove(i)
			return err
		}
	}
	if <-t.called {
		g.pass()
	}
	return err
}

// release gives back a slot.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass()
}

// pass hands a slot to the ticket that comes first by source, then by login, then by arrival. The
// caller holds mu. The queue is short and a hash takes long, so the linear search costs nothing
// that matters.
func (g *gate) pass() {
	if len(g.waiting) == 0 {
		g.free++
		g.sources.reset()
		g.logins.reset()
		return
	}
	next := 0
	for i, t := range g.waiting {
		best := g.waiting[next]
		s, l := g.sources.turnOf(t.source), g.logins.turnOf(t.login)
		bs, bl := g.sources.turnOf(best.source), g.logins.turnOf(best.login)
		if s < bs || (s == bs && l < bl) {
			next = i
		}
	}
	t := g.waiting[next]
	g.remove(next)
	g.sources.serve(t.source, g.limit)
	g.logins.serve(t.login, g.limit)
	t.called <- true
}

func (g *gate) remove(i int) { g.waiting = append(g.waiting[:i], g.waiting[i+1:]...) }

// queued returns how many tickets wait.
func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// turns keeps the order in which to serve names, by start-time fair queueing with equal shares. A
// name that was served comes after all that were not. A new name starts at the current clock, so it
// neither waits for what others had before nor catches up on it.
type turns struct {
	clock int
	next  map[string]int
}

func newTurns() turns { return turns{next: map[string]int{}} }

func (t *turns) turnOf(name string) int { return max(t.clock, t.next[name]) }

// serve counts one service of a name. Names that are not ahead of the clock need no memory. When
// more than twice keep names are ahead, the clock moves on without waiting for the rest, so that
// memory stays bounded however many names there are.
func (t *turns) serve(name string, keep int) {
	t.clock = t.turnOf(name)
	t.next[name] = t.clock + 1
	for len(t.next) > 2*keep {
		t.clock++
		maps.DeleteFunc(t.next, func(_ string, turn int) bool { return turn <= t.clock })
	}
}

func (t *turns) reset() {
	if len(t.next) > 0 {
		*t = newTurns()
	}
}

// sourceName returns the name of the source of a request, for fairness: an IPv4 address, or the /64
// network of an IPv6 address, because one host may use any address of such a network (RFC 6177).
func sourceName(addr netip.Addr) string {
	if addr = addr.Unmap(); !addr.Is6() {
		return addr.String()
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return addr.String()
	}
	return network.String()
}
