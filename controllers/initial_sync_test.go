package controllers

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// waiting starts an InitialSync over the Users of a world, for a directory that the test fills by hand.
func waiting(w *apitest.World, users *progress) *directory.Directory {
	w.T.Helper()
	d := directory.New()
	s := &InitialSync{directory: d, sources: []syncSource{{
		kind: "User", progress: users, filled: func(context.Context) {},
		list: func(ctx context.Context) (listing, error) {
			return lister{w.Client, []string{w.NS}}.list(ctx, userKind())
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

	users := newProgress()
	want, err := lister{w.Client, []string{w.NS}}.list(t.Context(), userKind())
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name   string
		do     func()
		behind bool
	}{
		{"nothing was reconciled", func() {}, true},
		{"the version before the revocation was reconciled", func() { users.note(key, stale); users.note(otherKey, other.ResourceVersion) }, true},
		{"the revocation was reconciled, and a user who is gone is still there", func() {
			users.note(key, before.ResourceVersion)
			users.note(types.NamespacedName{Namespace: w.NS, Name: "gone"}, stale)
		}, true},
		{"the user who is gone was taken out", func() { users.gone(types.NamespacedName{Namespace: w.NS, Name: "gone"}) }, false},
		{"a version that cannot be compared", func() { users.note(key, "x") }, true},
		{"a user who came after the list", func() {
			users.note(key, before.ResourceVersion)
			users.note(types.NamespacedName{Namespace: w.NS, Name: "new"}, w.NewUser("new", `{}`).ResourceVersion)
		}, false},
	}
	for _, step := range steps {
		step.do()
		if behind, got := users.behind(want); got != step.behind {
			t.Errorf("%s: behind = %v (%v), want %v", step.name, got, behind, step.behind)
		}
	}
}

func TestInitialSyncWaitsForTheLastUser(t *testing.T) {
	w := apitest.NewWorld(t)
	jean, other := w.NewUser("jean", `{}`), w.NewUser("other", `{}`)
	users := newProgress()
	d := waiting(w, users)
	users.note(client.ObjectKeyFromObject(jean), jean.ResourceVersion)
	time.Sleep(3 * lookEvery)
	if d.HasSynced() {
		t.Fatal("synced although a user is missing")
	}
	users.note(client.ObjectKeyFromObject(other), other.ResourceVersion)
	w.Eventually("the directory is synced", d.HasSynced)
}

// A user that is deleted between the list and the watch reaches no reconciler, so the list must be made anew.
func TestInitialSyncForgetsAUserThatWasDeletedMeanwhile(t *testing.T) {
	w := apitest.NewWorld(t)
	jean := w.NewUser("jean", `{}`)
	d := waiting(w, newProgress())
	time.Sleep(3 * lookEvery)
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
