package informer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// An API server may refuse once while it starts, and then not answer for long.
func TestOnlyTimesOfRefusalCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		users := &kind{name: User, observed: func(p *delivery.Progress) *delivery.Observed { return p.Users }}
		f := newFollower(users, "team", true, delivery.NewProgress())
		n := &Namespaces{followed: map[string]*namespace{"team": {followers: map[string]*follower{User: f}}}}
		forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "users"}, "", errors.New("no role"))
		for _, step := range []struct {
			answer  error
			refused bool
			lasting time.Duration
		}{
			{errors.New("connection refused"), false, 0},
			{forbidden, true, 0},
			{errors.New("connection refused"), true, 0},
			{forbidden, true, 2 * time.Minute},
			{nil, false, 0},
			{forbidden, true, 0},
		} {
			f.note(t.Context(), step.answer)
			if lasting, refusal := n.Refused("team"); refusal != nil != step.refused || lasting != step.lasting {
				t.Errorf("after %v: refused %v for %s, want %t for %s", step.answer, refusal, lasting, step.refused, step.lasting)
			}
			time.Sleep(time.Minute)
		}
	})
}

// When a namespace goes, its Users are named before anything of it is reported as deleted.
func TestUsersOfANamespaceGoBeforeWhatRevokesThem(t *testing.T) {
	w := apitest.NewWorld(t)
	u := w.NewUser("jean", `{}`)
	w.MustCreate(&authv1alpha1.Revocation{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: "r"},
		Spec:       authv1alpha1.RevocationSpec{UserRef: authv1alpha1.UserNameReference{Name: "jean"}, Reason: "left"},
	})
	namespaces := startUsers(w, unchangedTransport)
	var mu sync.Mutex
	var events []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, what)
	}
	namespaces.Removing = func(users []types.NamespacedName) {
		if !slices.Equal(users, []types.NamespacedName{client.ObjectKeyFromObject(u)}) {
			t.Errorf("the users are %v", users)
		}
		note("removing")
	}
	for _, kind := range []string{User, Revocation} {
		namespaces.subscribe(subscription{kind: kind, ctx: t.Context(), handler: handler.Funcs{
			CreateFunc: func(_ context.Context, _ event.CreateEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				note(kind + " created")
			},
			DeleteFunc: func(_ context.Context, _ event.DeleteEvent, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				note(kind + " deleted")
			},
		}})
	}
	w.Eventually("both are there", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(events) == 2
	})
	namespaces.Set(nil)
	if got := events[2:]; !slices.Equal(got, []string{"removing", "User deleted", "Revocation deleted"}) {
		t.Errorf("the events are %q", got)
	}
}
