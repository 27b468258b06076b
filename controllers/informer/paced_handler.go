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

// batchSize is how many of the objects that were listed at start enter a queue at once, and how many may be in it by then.
const batchSize = 500

// PacedHandler is a handler that lets the objects that were listed at start enter the queue little by little. All at once they would
// make the queue's maps as large as they never need to be again, and Go's maps do not shrink. What happens later enters at once,
// before them. It must not be copied.
type PacedHandler struct {
	handler.EventHandler
	Pause func() time.Duration // between two batches
	Done  func()               // called when all have entered; more than once when the queue is faster than the list

	mu      sync.Mutex
	waiting []reconcile.Request
	feeding bool
}

// Create implements handler.EventHandler.
func (g *PacedHandler) Create(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	queue, ok := q.(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok || !e.IsInInitialList {
		g.EventHandler.Create(ctx, e, q)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(e.Object)})
	if !g.feeding {
		g.feeding = true
		go g.feed(queue) // the context is the event's own
	}
}

// feed ends when nothing waits any more, or with the queue.
func (g *PacedHandler) feed(q priorityqueue.PriorityQueue[reconcile.Request]) {
	for next := g.take(); len(next) > 0; next = g.take() {
		for q.Len() > batchSize && !q.ShuttingDown() {
			time.Sleep(time.Millisecond)
		}
		if q.ShuttingDown() {
			return
		}
		q.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, next...)
		time.Sleep(g.Pause())
	}
	g.Done()
}

func (g *PacedHandler) take() []reconcile.Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(batchSize, len(g.waiting))
	next := g.waiting[:n:n]
	if g.waiting = g.waiting[n:]; n == 0 {
		g.waiting, g.feeding = nil, false
	}
	return next
}

// NoPause makes no pause.
func NoPause() time.Duration { return 0 }
