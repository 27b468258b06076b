package authn

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// The bounds of waiting for a slot. A bcrypt hash of cost 10 takes some 70 ms, so a slot serves about 60 in maximumWait:
// more than waitingPerSlot cannot be served in time anyway. Clients are told to come back after retryAfter.
const (
	maximumWait    = 4 * time.Second
	waitingPerSlot = 64
	retryAfter     = 2 * time.Second
)

// gate admits password hashes: at most a fixed number run at once, a bounded number wait, and those that wait are taken
// fairly by source and, within a source, by login. It is safe for concurrent use.
type gate struct {
	mu      sync.Mutex
	free    int
	limit   int // of waiting
	waiting []*ticket
	sources turns
	logins  turns
}

// ticket is one place in the queue.
type ticket struct {
	source, login string
	called        chan bool // true: a slot is yours; false: you made room for somebody
}

func newGate(slots int) *gate {
	return &gate{free: slots, limit: slots * waitingPerSlot, sources: newTurns(), logins: newTurns()}
}

// acquire waits for a slot, which the caller must release. It returns a *BusyError when the queue is full or moves too
// slowly, and the context's error when that ends first.
func (g *gate) acquire(ctx context.Context, source, login string) error {
	t, err := g.enter(source, login)
	if err != nil || t == nil {
		return err
	}
	patience := time.NewTimer(maximumWait)
	defer patience.Stop()
	select {
	case mine := <-t.called:
		if !mine {
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

// makeRoom sends away the youngest ticket of the source that has most, if that is more than the newcomer's source would
// have. The caller holds mu.
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

// leave gives a ticket up with err. When the slot was handed over in the same moment, it is passed on.
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

// release gives a slot back.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass()
}

// pass hands a slot to the ticket whose source, then login, then arrival comes first. The caller holds mu. The queue is
// short and a hash is long, so looking at every ticket costs nothing that matters.
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
		s, l := g.sources.at(t.source), g.logins.at(t.login)
		bs, bl := g.sources.at(best.source), g.logins.at(best.login)
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

// queued returns how many wait.
func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// turns keeps the order in which names are served: start-time fair queueing with equal shares. A name that was served
// stands behind all that were not; one that comes anew begins where the service has got to, so it neither waits for what
// others had before nor may catch up on it.
type turns struct {
	clock int
	next  map[string]int
}

func newTurns() turns { return turns{next: map[string]int{}} }

func (t *turns) at(name string) int { return max(t.clock, t.next[name]) }

// serve counts one service. Names that are not ahead of the clock need no memory. When more than twice keep are ahead, the
// clock goes on without waiting for the rest, so that the memory is bounded however many names there are.
func (t *turns) serve(name string, keep int) {
	t.clock = t.at(name)
	t.next[name] = t.clock + 1
	for len(t.next) > 2*keep {
		t.clock++
		maps.DeleteFunc(t.next, func(_ string, at int) bool { return at <= t.clock })
	}
}

func (t *turns) reset() {
	if len(t.next) > 0 {
		*t = newTurns()
	}
}

// sourceName names where a request came from, for fairness: an address, or its /64 network for IPv6, of which one host has
// as many addresses as it likes (RFC 6177).
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
