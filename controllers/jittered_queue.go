package controllers

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

// spread is how far apart the replicas' writes of the same status are drawn, so that the first is seen by the others.
const spread = 300 * time.Millisecond

// onEveryReplica are the options of a controller that fills memory.
func onEveryReplica() controller.Options {
	everywhere := false
	return controller.Options{
		MaxConcurrentReconciles: workers,
		CacheSyncTimeout:        cacheSyncTimeout,
		NeedLeaderElection:      &everywhere,
	}
}

// inTheirOwnTime are the options of a controller that writes what all replicas compute alike.
func inTheirOwnTime() controller.Options {
	options := onEveryReplica()
	options.NewQueue = func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		return unhurried{priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter })}
	}
	return options
}

// unhurried is a queue in which everything waits for a random moment longer than asked.
type unhurried struct {
	priorityqueue.PriorityQueue[reconcile.Request]
}

func (q unhurried) Add(r reconcile.Request) { q.AddWithOpts(priorityqueue.AddOpts{}, r) }

func (q unhurried) AddAfter(r reconcile.Request, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, r)
}

func (q unhurried) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	o.After += rand.N(spread) //nolint:gosec // spreads writes, guards nothing
	q.PriorityQueue.AddWithOpts(o, requests...)
}
