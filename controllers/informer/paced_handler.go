package informer

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// batchSize is the number of initially listed objects that enter a queue at once, and the length of
// the queue above which no more of them enter.
const batchSize = 500

// PacedHandler is an event handler that adds the initially listed objects to the queue in batches.
// Adding all of them at once would grow the queue's maps to a size that they never need again, and
// Go's maps do not shrink. Later events are added at once, ahead of the initially listed objects. A
// PacedHandler must not be copied after first use.
type PacedHandler struct {
	handler.EventHandler
	Pause func() time.Duration // between two batches
	Done  func()               // called when all objects have entered; more than once if the queue is faster than the list

	mu      sync.Mutex
	waiting []reconcile.Request
	feeding bool
}

// Create implements handler.EventHandler.
func (h *PacedHandler) Create(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	queue, ok := q.(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok || !e.IsInInitialList {
		h.EventHandler.Create(ctx, e, q)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(e.Object)})
	if !h.feeding {
		h.feeding = true
		go h.feedQueue(queue) // without ctx, which belongs to this event only
	}
}

// feedQueue adds the waiting objects to the queue until none is left or the queue shuts down.
func (h *PacedHandler) feedQueue(q priorityqueue.PriorityQueue[reconcile.Request]) {
	for next := h.takeBatch(); len(next) > 0; next = h.takeBatch() {
		for q.Len() > batchSize && !q.ShuttingDown() {
			time.Sleep(time.Millisecond)
		}
		if q.ShuttingDown() {
			return
		}
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, next...)
		time.Sleep(h.Pause())
	}
	h.Done()
}

// takeBatch removes and returns the next batch. If nothing is waiting, it returns nothing and marks
// the feeding as finished.
func (h *PacedHandler) takeBatch() []reconcile.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(batchSize, len(h.waiting))
	next := h.waiting[:n:n]
	if h.waiting = h.waiting[n:]; n == 0 {
		h.waiting, h.feeding = nil, false
	}
	return next
}

// NoPause returns 0. It is the Pause of a PacedHandler that feeds the queue as fast as its
// controller works.
func NoPause() time.Duration { return 0 }
