package authn

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/password"
)

// hasher computes password hashes. A gate admits them, and they run outside the request, so that a
// client who hangs up does not free a slot that is still in use. Callers who ask the same question
// at the same time share one computation.
type hasher struct {
	gate    *gate
	observe Observer

	mu      sync.Mutex
	flights map[flightKey]*flight
}

// Observer learns how long each hash waited for a slot and how long its computation took. Its
// methods must not block.
type Observer interface {
	HashWaited(time.Duration)
	HashComputed(time.Duration)
}

// flightKey identifies one question: does this password (by keyed digest) match these hashes?
// Unknown logins have no credentials, so their digest covers the login too.
type flightKey struct {
	credentials any
	digest      [32]byte
}

// question asks for the index of the hash that the password matches, or -1. stop reports whether a
// match at an index settles the question, so that the hashes after it need not be computed. decoys
// match nothing, and are computed unless the question is settled.
type question struct {
	claim    claim
	password []byte
	hashes   []*password.Hash
	decoys   []*password.Hash
	stop     func(int) bool
}

// flight is one computation and its answer, which is valid once done is closed.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc // stops waiting for a slot
	waiters int                // under hasher.mu
	index   int
	err     error
}

// automaticSlots returns how many hashes run at once by default: three quarters of the cores, so
// that requests that need no hash stay fast, but at least one.
func automaticSlots() int { return max(1, runtime.GOMAXPROCS(0)*3/4) }

func newHasher(slots int, memory int64, observe Observer) *hasher {
	if slots <= 0 {
		slots = automaticSlots()
	}
	return &hasher{gate: newGate(slots, memory), observe: observe, flights: map[flightKey]*flight{}}
}

// match answers a question. Without an answer it returns -1 and an error: a *BusyError, the error
// of the context, or that of a hash that panicked.
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

// join adds the caller to the flight of its question, and starts one if there is none.
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
	go h.run(ctx, key, f, q)
	return f
}

// leave removes one waiter. When no one waits any more, the flight accepts no new waiters and gives
// up its place in the queue. A hash that has begun runs to its end and keeps its slot until then.
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

func (h *hasher) run(ctx context.Context, key flightKey, f *flight, q question) {
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
	start := time.Now() //nolint:forbidigo // a duration for the metrics, not a verdict
	q.claim.memory = min(memoryOf(q), max(h.gate.total, largestOf(q)))
	if err := h.gate.acquire(ctx, q.claim); err != nil {
		return -1, err
	}
	defer h.free(q.claim.memory)
	// A panic in a third-party hash library must not end the process.
	defer func() {
		if r := recover(); r != nil {
			index, err = -1, errors.New("the computation of a password hash panicked")
		}
	}()
	begun := time.Now() //nolint:forbidigo // as above
	h.observe.HashWaited(begun.Sub(start))
	index = firstMatch(q)
	h.observe.HashComputed(time.Since(begun)) //nolint:forbidigo // as above
	return index, nil
}

// muchMemory is what a question must have taken for its garbage to be collected before the next one
// begins. Smaller ones are left to the collector, which keeps them below the limit of the process.
const muchMemory = 64 << 20 // bytes

// free gives back a slot and memory.
func (h *hasher) free(memory int64) {
	if memory >= muchMemory {
		runtime.GC()
	}
	h.gate.release(memory)
}

// memoryOf returns how many bytes a question takes. Its hashes are computed one after the other, but
// what one has taken may be garbage while the next one runs.
func memoryOf(q question) (bytes int64) {
	for _, h := range slices.Concat(q.hashes, q.decoys) {
		bytes += h.Cost().Memory
	}
	return bytes
}

// largestOf returns how many bytes the largest hash of a question takes.
func largestOf(q question) (bytes int64) {
	for _, h := range slices.Concat(q.hashes, q.decoys) {
		bytes = max(bytes, h.Cost().Memory)
	}
	return bytes
}

// firstMatch computes every hash and every decoy unless a match settles the question first, so that a
// refusal costs the same whichever hash the password matches. Of several matches it prefers one that
// settles the question.
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
	for _, decoy := range q.decoys {
		decoy.Verify(q.password)
	}
	return found
}
