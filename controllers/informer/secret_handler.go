package informer

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/projection"
)

// UsersOfSecret returns a handler that enqueues every User that references a Secret whose values
// have changed: tools that sync Secrets change the metadata often. It passes the Users and the
// version of the Secret to affects first. It drops the Secrets that exist at start: no User is
// reconciled before they are in the cache, and then every User is.
func UsersOfSecret(index *Index[types.NamespacedName], affects func(users []types.NamespacedName, version string)) handler.Funcs {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	enqueue := func(o client.Object, q queue) {
		users := index.Lookup(client.ObjectKeyFromObject(o))
		affects(users, o.GetResourceVersion())
		for _, r := range requestsForKeys(users) {
			q.Add(r)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList {
				enqueue(e.Object, q)
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if valuesChanged(e) {
				enqueue(e.ObjectNew, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { enqueue(e.Object, q) },
	}
}

// RecordedUsersOfSecret is UsersOfSecret for the controller that fills the directory: what it enqueues
// keeps the version of the Secrets from moving on until the function of p.ReadUser is called.
func RecordedUsersOfSecret(index *Index[types.NamespacedName], p *delivery.Progress) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	users := UsersOfSecret(index, p.SecretChanged)
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			users.CreateFunc(ctx, e, q)
			p.Secrets.Record(client.ObjectKeyFromObject(e.Object), e.Object.GetResourceVersion())
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			users.UpdateFunc(ctx, e, q)
			p.Secrets.Record(client.ObjectKeyFromObject(e.ObjectNew), e.ObjectNew.GetResourceVersion())
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			users.DeleteFunc(ctx, e, q)
			p.Secrets.Forget(client.ObjectKeyFromObject(e.Object))
		},
	}
}

// valuesChanged reports whether the values of a Secret differ.
func valuesChanged(e event.UpdateEvent) bool {
	before, wasSecret := e.ObjectOld.(*corev1.Secret)
	after, isSecret := e.ObjectNew.(*corev1.Secret)
	return !wasSecret || !isSecret || before.UID != after.UID ||
		!maps.EqualFunc(before.Data, after.Data, func(a, b []byte) bool { return string(a) == string(b) }) ||
		before.Annotations[projection.OversizedKeys] != after.Annotations[projection.OversizedKeys]
}
