package informer

import (
	"context"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// workers is the number of objects that a controller reconciles concurrently, so that one slow
// write does not delay all others.
const workers = 4

// cacheSyncTimeout limits the first list of an informer. Listing 100,000 Users from a busy API
// server takes longer than the two minutes that controllers wait by default.
const cacheSyncTimeout = 15 * time.Minute

// WriteJitter is the range of the random delay before a replica writes a status that all replicas
// compute, so that the others see the first write and need not repeat it.
const WriteJitter = 300 * time.Millisecond

// AllReplicas returns the options of a controller that runs on every replica, without leader
// election.
func AllReplicas() controller.Options {
	needLeader := false
	return controller.Options{
		MaxConcurrentReconciles: workers,
		CacheSyncTimeout:        cacheSyncTimeout,
		NeedLeaderElection:      &needLeader,
	}
}

// Jittered returns the options of a controller that writes what all replicas compute identically.
// They are those of AllReplicas with a queue that adds WriteJitter.
func Jittered() controller.Options {
	options := AllReplicas()
	options.NewQueue = func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		return jitteredQueue{priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter })}
	}
	return options
}

// AtStart returns a source that requests one reconciliation when the controller starts, because what
// does not exist yet causes no event.
func AtStart(key types.NamespacedName) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(reconcile.Request{NamespacedName: key})
		return nil
	})
}

// jitteredQueue is a priority queue that delays each item by a random time of up to WriteJitter, in
// addition to any requested delay.
type jitteredQueue struct {
	priorityqueue.PriorityQueue[reconcile.Request]
}

func (q jitteredQueue) Add(r reconcile.Request) { q.AddWithOpts(priorityqueue.AddOpts{}, r) }

func (q jitteredQueue) AddAfter(r reconcile.Request, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, r)
}

func (q jitteredQueue) AddWithOpts(o priorityqueue.AddOpts, requests ...reconcile.Request) {
	o.After += rand.N(WriteJitter) //nolint:gosec // spreads writes; not for security
	q.PriorityQueue.AddWithOpts(o, requests...)
}
