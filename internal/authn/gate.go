package authn

import (
	"context"
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

// gate admits password hashes. A fixed number of them run at once and a bounded number wait. The
// gate serves those that wait by turns, as tree has it: logins that have succeeded lately before
// others, then networks, addresses and logins fairly. It is safe for concurrent use.
type gate struct {
	mu      sync.Mutex
	free    int
	limit   int // longest queue
	waiting tree
}

// claim says on whose behalf a hash waits.
type claim struct {
	lately bool     // the login has succeeded lately
	source []string // the networks of the source, the widest first, and its address
	login  string
}

// ticket is one place in the queue.
type ticket struct {
	path   [maximumLevels]string
	called chan bool // true: the ticket has a slot; false: it made room for another ticket
	place  *node     // nil: it does not wait any more
}

func newGate(slots int) *gate {
	return &gate{free: slots, limit: slots * waitingPerSlot, waiting: newTree()}
}

// acquire waits for a slot, which the caller must release. It returns a *BusyError when the queue
// is full or moves too slowly, and the error of the context when the context ends first.
func (g *gate) acquire(ctx context.Context, c claim) error {
	t, err := g.enter(c)
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
func (g *gate) enter(c claim) (*ticket, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free > 0 {
		g.free--
		return nil, nil //nolint:nilnil // no ticket: the slot was free
	}
	t := &ticket{path: pathOf(c), called: make(chan bool, 1)}
	if g.waiting.len() >= g.limit && !g.makeRoom(t) {
		return nil, &BusyError{RetryAfter: retryAfter}
	}
	g.waiting.add(t)
	return t, nil
}

// makeRoom turns away a ticket for a newcomer and reports whether it did. The caller holds mu.
func (g *gate) makeRoom(newcomer *ticket) bool {
	t := g.waiting.heaviest(newcomer)
	if t == nil {
		return false
	}
	g.waiting.remove(t)
	t.called <- false
	return true
}

// leave gives up a ticket and returns err. If the ticket got a slot in the same moment, leave
// passes the slot on.
func (g *gate) leave(t *ticket, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.place != nil {
		g.waiting.remove(t)
		return err
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

// pass hands a slot to the ticket whose turn it is. The caller holds mu.
func (g *gate) pass() {
	t := g.waiting.next()
	if t == nil {
		g.free++
		g.waiting = newTree() // and forget who was served
		return
	}
	t.called <- true
}

// queued returns how many tickets wait.
func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting.len()
}
