package authn

import (
	"context"
	"errors"
	"math"
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

// errTooMuchMemory means that a hash never fits into the memory that hashes may take. No user in the
// directory has such a hash.
var errTooMuchMemory = errors.New("a password hash takes more memory than hashes may take")

// gate admits password hashes. A fixed number of them run at once, those that run take a bounded
// amount of memory, and a bounded number wait. The gate serves those that wait by turns, as tree has
// it: logins that have succeeded lately before others, then networks, addresses and logins fairly.
// Where the next one needs more memory than is free, all wait until it has it, so that small hashes
// do not starve large ones. It is safe for concurrent use.
type gate struct {
	mu      sync.Mutex
	free    int   // slots
	memory  int64 // free bytes
	total   int64 // bytes
	limit   int   // longest queue
	waiting tree
	head    *ticket // whose turn it is, while it waits for memory; nil: none
}

// claim says on whose behalf a hash waits.
type claim struct {
	lately bool     // the login has succeeded lately
	source []string // the networks of the source, the widest first, and its address
	login  string
	memory int64 // bytes
}

// ticket is one place in the queue.
type ticket struct {
	path   [maximumLevels]string
	called chan bool // true: the ticket has a slot; false: it made room for another ticket
	memory int64
	place  *node // nil: it is not in the tree
}

// newGate returns a gate with slots and bytes of memory; 0 bytes: any number.
func newGate(slots int, memory int64) *gate {
	if memory <= 0 {
		memory = math.MaxInt64
	}
	return &gate{free: slots, memory: memory, total: memory, limit: slots * waitingPerSlot, waiting: newTree()}
}

// acquire waits for a slot and memory, which the caller must release. It returns a *BusyError when
// the queue is full or moves too slowly, the error of the context when the context ends first, and
// errTooMuchMemory.
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
	if c.memory > g.total {
		return nil, errTooMuchMemory
	}
	if g.free > 0 && g.memory >= c.memory && g.head == nil && g.waiting.len() == 0 {
		g.free--
		g.memory -= c.memory
		return nil, nil //nolint:nilnil // no ticket: there was room
	}
	t := &ticket{path: pathOf(c), memory: c.memory, called: make(chan bool, 1)}
	if g.waiting.len() >= g.limit && !g.makeRoom(t) {
		return nil, &BusyError{RetryAfter: retryAfter}
	}
	g.waiting.add(t)
	g.pass()
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

// leave gives up a ticket and returns err. If the ticket was admitted in the same moment, leave passes
// its slot and memory on.
func (g *gate) leave(t *ticket, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case t.place != nil:
		g.waiting.remove(t)
	case g.head == t:
		g.head = nil
		g.pass()
	case <-t.called:
		g.put(t.memory)
	}
	return err
}

// release gives back a slot and memory.
func (g *gate) release(memory int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.put(memory)
}

// put takes back a slot and memory, and passes them on. The caller holds mu.
func (g *gate) put(memory int64) {
	g.free++
	g.memory += memory
	g.pass()
	if g.head == nil && g.waiting.len() == 0 {
		g.waiting = newTree() // and forget who was served
	}
}

// pass admits the tickets whose turn it is, as far as there is room. The caller holds mu.
func (g *gate) pass() {
	for g.free > 0 {
		if g.head == nil {
			g.head = g.waiting.next()
		}
		if g.head == nil || g.head.memory > g.memory {
			return
		}
		g.free--
		g.memory -= g.head.memory
		g.head.called <- true
		g.head = nil
	}
}

// queued returns how many tickets wait.
func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.head != nil {
		return g.waiting.len() + 1
	}
	return g.waiting.len()
}
