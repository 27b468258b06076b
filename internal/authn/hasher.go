package authn

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// hasher computes password hashes: admitted by a gate, outside the request, so that a client who hangs up frees no slot
// that is still in use, and once for all who ask the same thing at the same time.
type hasher struct {
	gate    *gate
	observe Observer

	mu      sync.Mutex
	flights map[flightKey]*flight
}

// Observer is told how long a hash waited for a slot, how long it took and whether it was computed at all. It must not
// block.
type Observer interface {
	HashWaited(time.Duration)
	HashComputed(time.Duration)
}

// flightKey is one question: does this password (by keyed digest) match these hashes. Unknown logins have no
// credentials; the digest covers the login.
type flightKey struct {
	credentials any
	digest      [32]byte
}

// question is what a flight answers: the index of the first hash that the password matches, or -1. stop says of an index
// whether a match there settles the question, so that the hashes after it need not be computed.
type question struct {
	source, login string
	password      []byte
	hashes        []*password.Hash
	stop          func(int) bool
}

type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc // gives up waiting for a slot
	waiters int                // under hasher.mu
	index   int
	err     error
}

// automaticSlots is how many hashes run at once when nobody says: three quarters of the cores and never all of them, so
// that requests that need no hash stay fast; on one core there is no choice.
func automaticSlots() int { return max(1, runtime.GOMAXPROCS(0)*3/4) }

func newHasher(slots int, observe Observer) *hasher {
	if slots <= 0 {
		slots = automaticSlots()
	}
	return &hasher{gate: newGate(slots), observe: observe, flights: map[flightKey]*flight{}}
}

// match answers a question, or says why it could not be answered: a *BusyError or the context's error.
func (h *hasher) match(ctx context.Context, key flightKey, q question) (int, error) {
	f := h.join(ctx, key, q)
	select {
	case <-f.done:
		return f.index, f.err
	case <-ctx.Done():
		h.leave(key, f)
		return -1, ctx.Err()
	}
}

func (h *hasher) join(ctx context.Context, key flightKey, q question) *flight {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.flights[key]; f != nil {
		f.waiters++
		return f
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel, waiters: 1, index: -1}
	h.flights[key] = f
	go h.fly(ctx, key, f, q)
	return f
}

// leave takes one waiter off. When nobody waits any more, the flight takes no new ones and gives up its place in the
// queue; a hash that has begun runs to its end, and keeps its slot until then.
func (h *hasher) leave(key flightKey, f *flight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.waiters--; f.waiters > 0 {
		return
	}
	if h.flights[key] == f {
		delete(h.flights, key)
	}
	f.cancel()
}

func (h *hasher) fly(ctx context.Context, key flightKey, f *flight, q question) {
	f.index, f.err = h.compute(ctx, q)
	h.mu.Lock()
	if h.flights[key] == f {
		delete(h.flights, key)
	}
	h.mu.Unlock()
	f.cancel()
	close(f.done)
}

func (h *hasher) compute(ctx context.Context, q question) (index int, err error) {
	start := time.Now() //nolint:forbidigo // a duration for the metrics, no verdict
	if err := h.gate.acquire(ctx, q.source, q.login); err != nil {
		return -1, err
	}
	defer h.gate.release()
	// A foreign hash library that panics must not take the process down.
	defer func() {
		if r := recover(); r != nil {
			index, err = -1, fmt.Errorf("compute a password hash of class %s: panic", q.hashes[0].Class())
		}
	}()
	begun := time.Now() //nolint:forbidigo // as above
	h.observe.HashWaited(begun.Sub(start))
	index = firstMatch(q)
	h.observe.HashComputed(time.Since(begun)) //nolint:forbidigo // as above
	return index, nil
}

// firstMatch computes every hash unless a match settles the question before, so that a refusal costs the same whichever
// hash the password matched. Of several matches one that settles is preferred.
func firstMatch(q question) int {
	found := -1
	for i, hash := range q.hashes {
		if !hash.Verify(q.password) {
			continue
		}
		if q.stop(i) {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	return found
}
