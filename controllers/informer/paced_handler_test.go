package informer

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

func TestPacedHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const listed = 10*batchSize + 1
		q := priorityqueue.New[reconcile.Request]("") // without a name, without metrics
		defer q.ShutDown()
		var fed atomic.Bool
		h := &PacedHandler{EventHandler: &handler.EnqueueRequestForObject{}, Pause: NoPause, Done: func() { fed.Store(true) }}
		for i := range listed {
			h.Create(t.Context(), event.CreateEvent{Object: userNaming(fmt.Sprint(i), ""), IsInInitialList: true}, q)
		}
		synctest.Wait()
		if n := q.Len(); n == 0 || n > 2*batchSize {
			t.Errorf("%d of %d listed objects are in the queue before a worker starts", n, listed)
		}
		h.Create(t.Context(), event.CreateEvent{Object: userNaming("new", "")}, q)
		synctest.Wait()

		seen := map[string]bool{}
		for i := range listed + 1 {
			next, _ := q.Get()
			if i == 0 && next.Name != "new" {
				t.Errorf("%s comes before the new object", next.Name)
			}
			if longest := q.Len(); longest > 2*batchSize {
				t.Fatalf("%d objects are in the queue", longest)
			}
			seen[next.Name] = true
			q.Done(next)
		}
		synctest.Wait()
		if len(seen) != listed+1 || !fed.Load() {
			t.Errorf("%d of %d objects were processed, and Done was called = %v", len(seen), listed+1, fed.Load())
		}
	})
}
