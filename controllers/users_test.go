package controllers

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// cacheOfUsers starts a manager that has nothing but the cache.
func (w *world) cacheOfUsers() *Users {
	w.t.Helper()
	mgr, err := ctrl.NewManager(w.restricted(), ctrl.Options{Scheme: scheme(w.t), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		w.t.Fatal(err)
	}
	users, err := newUsers(mgr, []string{w.ns})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the manager ended with %v", err)
		}
	})
	users.filled(w.t.Context())
	return users
}

func TestTheCacheOfUsersFollowsTheAPIServer(t *testing.T) {
	w := newWorld(t)
	jean := w.user("jean", `{groups: [a]}`)
	users := w.cacheOfUsers()
	key := client.ObjectKeyFromObject(jean)
	got := users.get(key)
	if got == nil || got.ResourceVersion != jean.ResourceVersion || len(got.Spec.Groups) != 1 {
		t.Fatalf("the cache has %+v, want %+v", got, jean)
	}
	if got.ManagedFields != nil || got.Kind != "User" {
		t.Errorf("the cache keeps managed fields %v, kind %q", got.ManagedFields, got.Kind)
	}
	w.patch(jean, `{"spec":{"revoked":true}}`)
	w.eventually("the change is there", func() bool { return users.get(key).Spec.Revoked })
	w.delete(jean)
	w.eventually("the user is gone", func() bool { return users.get(key) == nil })
	if other := users.get(types.NamespacedName{Namespace: "elsewhere", Name: "jean"}); other != nil {
		t.Errorf("the cache has %+v of a namespace that is none of its own", other)
	}
}

func TestTheCacheOfUsersKnowsWhetherItIsAsNewAsTheAPIServerWas(t *testing.T) {
	w := newWorld(t)
	jean := w.user("jean", `{}`)
	users := w.cacheOfUsers()
	held, fresh := users.listing()
	if version := held.objects[client.ObjectKeyFromObject(jean)]; !fresh || len(held.objects) != 1 || version != jean.ResourceVersion {
		t.Errorf("the cache says %v, fresh: %v; want only %s of version %s", held.objects, fresh, jean.Name, jean.ResourceVersion)
	}
	u := users.namespaces[w.ns]
	if u.atStart == "" || older(held.versions[w.ns], u.atStart) || older(u.atStart, jean.ResourceVersion) {
		t.Errorf("version at start %q, of the list %q, of the user %q", u.atStart, held.versions[w.ns], jean.ResourceVersion)
	}
	for _, atStart := range []string{"", "x", u.atStart + "0"} {
		u.mu.Lock()
		u.atStart = atStart
		u.mu.Unlock()
		if _, fresh := users.listing(); fresh {
			t.Errorf("the cache is fresh although the API server was at %q at start", atStart)
		}
	}
}
