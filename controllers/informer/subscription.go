package informer

import (
	"context"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// subscription is a handler of the events of one kind.
type subscription struct {
	kind    string
	ctx     context.Context //nolint:containedctx // of the controller
	queue   workqueue.TypedRateLimitingInterface[reconcile.Request]
	handler handler.EventHandler
}

// changed reports an object that is new, or has changed since before.
func (s subscription) changed(before, after client.Object, initial bool) {
	if before == nil {
		s.handler.Create(s.ctx, event.CreateEvent{Object: after, IsInInitialList: initial}, s.queue)
	} else {
		s.handler.Update(s.ctx, event.UpdateEvent{ObjectOld: before, ObjectNew: after}, s.queue)
	}
}

// deleted reports that an object is gone. Unless it is exact, the object may have changed before that.
func (s subscription) deleted(last client.Object, exact bool) {
	s.handler.Delete(s.ctx, event.DeleteEvent{Object: last, DeleteStateUnknown: !exact}, s.queue)
}
