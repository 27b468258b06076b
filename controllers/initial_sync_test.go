package controllers

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// startComparing compares the Users of a world with what a test records by hand. It returns a channel
// that is closed when everything has been recorded.
func startComparing(w *apitest.World, observed *delivery.Observed) (done chan struct{}) {
	w.T.Helper()
	observed.Begin(w.NS)
	source := syncSource{informer.User, observed, func(ctx context.Context) (informer.Listing, error) {
		return informer.NewLister(w.Client).List(ctx, informer.KindOf(informer.User), w.NS)
	}}
	done = make(chan struct{})
	w.Run("the comparison", func(ctx context.Context) error {
		source.run(ctx)
		close(done)
		return nil
	})
	return done
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestBehind(t *testing.T) {
	w := apitest.NewWorld(t)
	before := w.NewUser("jean", `{}`)
	stale := before.ResourceVersion
	w.MustPatch(before, `{"spec":{"revoked":true}}`)
	other := w.NewUser("other", `{}`)
	key, otherKey := client.ObjectKeyFromObject(before), client.ObjectKeyFromObject(other)

	observed := delivery.NewObserved()
	observed.Begin(w.NS)
	want, err := informer.NewLister(w.Client).List(t.Context(), informer.KindOf(informer.User), w.NS)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name   string
		do     func()
		behind bool
	}{
		{"nothing has been reconciled", func() {}, true},
		{"the version before the revocation was reconciled", func() { observed.Record(key, stale); observed.Record(otherKey, other.ResourceVersion) }, true},
		{"the revocation was reconciled, but a deleted user is still there", func() {
			observed.Record(key, before.ResourceVersion)
			observed.Record(types.NamespacedName{Namespace: w.NS, Name: "gone"}, stale)
		}, true},
		{"the deleted user was removed", func() { observed.Forget(types.NamespacedName{Namespace: w.NS, Name: "gone"}) }, false},
		{"a version that cannot be compared", func() { observed.Record(key, "x") }, true},
		{"a user was created after the list", func() {
			observed.Record(key, before.ResourceVersion)
			observed.Record(types.NamespacedName{Namespace: w.NS, Name: "new"}, w.NewUser("new", `{}`).ResourceVersion)
		}, false},
	}
	for _, step := range steps {
		step.do()
		if behind, got := want.Behind(observed); got != step.behind {
			t.Errorf("%s: behind = %v (%v), want %v", step.name, got, behind, step.behind)
		}
	}
}

func TestInitialSyncAwaitsEveryUser(t *testing.T) {
	w := apitest.NewWorld(t)
	jean, other := w.NewUser("jean", `{}`), w.NewUser("other", `{}`)
	observed := delivery.NewObserved()
	done := startComparing(w, observed)
	observed.Record(client.ObjectKeyFromObject(jean), jean.ResourceVersion)
	w.Consistently("not synced while a user is missing", 3*compareInterval, func() bool { return !isClosed(done) })
	observed.Record(client.ObjectKeyFromObject(other), other.ResourceVersion)
	w.Eventually("the directory is synced", func() bool { return isClosed(done) })
}

// A user that is deleted between the list and the watch reaches no reconciler, so InitialSync must
// list again.
func TestInitialSyncListsAgain(t *testing.T) {
	w := apitest.NewWorld(t)
	jean := w.NewUser("jean", `{}`)
	done := startComparing(w, delivery.NewObserved())
	w.Consistently("not synced while the user exists", 3*compareInterval, func() bool { return !isClosed(done) })
	w.MustDelete(jean)
	w.Eventually("the directory is synced", func() bool { return isClosed(done) })
}

func TestReplicaHoldsEveryUserOnceSynced(t *testing.T) {
	w := apitest.NewWorld(t)
	const many = 120
	for i := range many {
		w.NewUser("user-"+string(rune('a'+i/26))+string(rune('a'+i%26)), `{}`)
	}
	if got := newReplica(w).Len(); got != many {
		t.Errorf("%d users when synced, want %d", got, many)
	}
}
