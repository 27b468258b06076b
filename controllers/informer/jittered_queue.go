package informer

import (
	"math/rand/v2"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// workers is how many objects one controller works on at a time: enough that one slow write does not hold up the rest.
const workers = 4

// cacheSyncTimeout is how long the first list of an informer may take. 100,000 Users on a busy API server take more than the
// two minutes that controllers wait by default.
const cacheSyncTimeout = 15 * time.Minute

// WriteJitter is how far apart the replicas' writes of the same status are drawn, so that the first is seen by the others.
const WriteJitter = 300 * time.Millisecond

// AllReplicas are the options of a controller that fills memory.
func AllReplicas() controller.Options {
	everywhere := false
	return controller.Options{
		MaxConcurrentReconciles: workers,
		CacheSyncTimeout:        cacheSyncTimeout,
		NeedLeaderElection:      &everywhere,
	}
}

// Jittered are the options of a controller that writes what all replicas compute alike.
func Jittered() controller.Options {
	options := AllReplicas()
	options.NewQueue = func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		return jitteredQueue{priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter })}
	}
	return options
}

// jitteredQueue is a queue in which everything waits for a random moment longer than asked.
type jitteredQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
}

func (q jitteredQueue) Add(r reconcile.Request) { q.AddWithOpts(priorityqueue.AddOpts{}, r) }

func (q jitteredQueue) AddAfter(r reconcile.Request, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, r)
}

func (q jitteredQueue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	o.After += rand.N(WriteJitter) //nolint:gosec // spreads writes, guards nothing
	q.PriorityQueue.AddWithOpts(o, requests...)
}
