package controllers

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// waiting starts an InitialSync over the Users of a world, for a directory that the test fills by hand.
func waiting(w *apitest.World, users *informer.Observed) *directory.Directory {
	w.T.Helper()
	d := directory.New()
	s := &InitialSync{directory: d, sources: []syncSource{{
		kind: "User", observed: users, awaitFilled: func(context.Context) {},
		list: func(ctx context.Context) (informer.Listing, error) {
			return informer.NewLister(w.Client, []string{w.NS}).List(ctx, informer.UserKind())
		},
	}}}
	w.Run("InitialSync", s.Start)
	return d
}

func TestTheDirectoryIsNotSyncedBeforeItIsAsNewAsTheAPIServer(t *testing.T) {
	w := apitest.NewWorld(t)
	before := w.NewUser("jean", `{}`)
	stale := before.ResourceVersion
	w.MustPatch(before, `{"spec":{"revoked":true}}`)
	other := w.NewUser("other", `{}`)
	key, otherKey := client.ObjectKeyFromObject(before), client.ObjectKeyFromObject(other)

	users := informer.NewObserved()
	want, err := informer.NewLister(w.Client, []string{w.NS}).List(t.Context(), informer.UserKind())
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name   string
		do     func()
		behind bool
	}{
		{"nothing was reconciled", func() {}, true},
		{"the version before the revocation was reconciled", func() { users.Record(key, stale); users.Record(otherKey, other.ResourceVersion) }, true},
		{"the revocation was reconciled, and a user who is gone is still there", func() {
			users.Record(key, before.ResourceVersion)
			users.Record(types.NamespacedName{Namespace: w.NS, Name: "gone"}, stale)
		}, true},
		{"the user who is gone was taken out", func() { users.Forget(types.NamespacedName{Namespace: w.NS, Name: "gone"}) }, false},
		{"a version that cannot be compared", func() { users.Record(key, "x") }, true},
		{"a user who came after the list", func() {
			users.Record(key, before.ResourceVersion)
			users.Record(types.NamespacedName{Namespace: w.NS, Name: "new"}, w.NewUser("new", `{}`).ResourceVersion)
		}, false},
	}
	for _, step := range steps {
		step.do()
		if behind, got := users.Behind(want); got != step.behind {
			t.Errorf("%s: behind = %v (%v), want %v", step.name, got, behind, step.behind)
		}
	}
}

func TestInitialSyncWaitsForTheLastUser(t *testing.T) {
	w := apitest.NewWorld(t)
	jean, other := w.NewUser("jean", `{}`), w.NewUser("other", `{}`)
	users := informer.NewObserved()
	d := waiting(w, users)
	users.Record(client.ObjectKeyFromObject(jean), jean.ResourceVersion)
	time.Sleep(3 * compareInterval)
	if d.HasSynced() {
		t.Fatal("synced although a user is missing")
	}
	users.Record(client.ObjectKeyFromObject(other), other.ResourceVersion)
	w.Eventually("the directory is synced", d.HasSynced)
}

// A user that is deleted between the list and the watch reaches no reconciler, so the list must be made anew.
func TestInitialSyncForgetsAUserThatWasDeletedMeanwhile(t *testing.T) {
	w := apitest.NewWorld(t)
	jean := w.NewUser("jean", `{}`)
	d := waiting(w, informer.NewObserved())
	time.Sleep(3 * compareInterval)
	w.MustDelete(jean)
	w.Eventually("the directory is synced", d.HasSynced)
}

func TestAReplicaIsSyncedWhenItHoldsEveryUserAndRecord(t *testing.T) {
	w := apitest.NewWorld(t)
	const many = 120
	for i := range many {
		w.NewUser("user-"+string(rune('a'+i/26))+string(rune('a'+i%26)), `{}`)
	}
	if got := replica(w).Len(); got != many {
		t.Errorf("%d users when synced, want %d", got, many)
	}
}
