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

func TestWhatIsListedAtStartFillsNoQueueAndHoldsUpNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const listed = 10*batchSize + 1
		q := priorityqueue.New[reconcile.Request]("") // without a name, without metrics
		defer q.ShutDown()
		var fed atomic.Bool
		g := &PacedHandler{EventHandler: &handler.EnqueueRequestForObject{}, Pause: NoPause, Done: func() { fed.Store(true) }}
		for i := range listed {
			g.Create(t.Context(), event.CreateEvent{Object: naming(fmt.Sprint(i), ""), IsInInitialList: true}, q)
		}
		synctest.Wait()
		if n := q.Len(); n == 0 || n > 2*batchSize {
			t.Errorf("%d of %d are in the queue before anybody works on it", n, listed)
		}
		g.Create(t.Context(), event.CreateEvent{Object: naming("new", "")}, q)
		synctest.Wait()

		seen := map[string]bool{}
		for i := range listed + 1 {
			next, _ := q.Get()
			if i == 0 && next.Name != "new" {
				t.Errorf("%s comes before what is new", next.Name)
			}
			if longest := q.Len(); longest > 2*batchSize {
				t.Fatalf("%d are in the queue", longest)
			}
			seen[next.Name] = true
			q.Done(next)
		}
		synctest.Wait()
		if len(seen) != listed+1 || !fed.Load() {
			t.Errorf("%d of %d were seen, and all have entered: %v", len(seen), listed+1, fed.Load())
		}
	})
}
