package informer

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// told keeps the events that a handler hears of.
type told struct {
	events []string
}

func (e *told) note(format string, args ...any) {
	e.events = append(e.events, fmt.Sprintf(format, args...))
}

// subscription returns a subscription that notes each event.
func (e *told) subscription(ctx context.Context) subscription {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	return subscription{kind: User, ctx: ctx, handler: handler.Funcs{
		CreateFunc: func(_ context.Context, c event.CreateEvent, _ queue) {
			e.note("%s created at %s, initial %t", c.Object.GetName(), c.Object.GetResourceVersion(), c.IsInInitialList)
		},
		UpdateFunc: func(_ context.Context, u event.UpdateEvent, _ queue) {
			e.note("%s changed from %s to %s", u.ObjectNew.GetName(), u.ObjectOld.GetResourceVersion(), u.ObjectNew.GetResourceVersion())
		},
		DeleteFunc: func(_ context.Context, d event.DeleteEvent, _ queue) {
			e.note("%s deleted at %s, last state unknown %t", d.Object.GetName(), d.Object.GetResourceVersion(), d.DeleteStateUnknown)
		},
	}}
}

func (e *told) want(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(e.events)
	if !slices.Equal(e.events, want) {
		t.Errorf("the events are %q, want %q", e.events, want)
	}
	e.events = nil
}

func userAt(name, version string) *authv1alpha1.User {
	return &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, ResourceVersion: version}}
}

// newFilled returns a follower of Users with two of them, and what its handler is told.
func newFilled(t *testing.T) (*follower, *delivery.Progress, *told) {
	t.Helper()
	progress, heard := delivery.NewProgress(), &told{}
	k := &kind{name: User, observed: func(p *delivery.Progress) *delivery.Observed { return p.Users }}
	f := newFollower(k, "team", true, progress)
	f.attach(heard.subscription(t.Context()))
	if f.synced() {
		t.Error("the cache is filled before the first list")
	}
	if f.replace([]client.Object{userAt("a", "3"), userAt("b", "4")}, "10"); !f.synced() {
		t.Error("the cache is not filled after the first list")
	}
	heard.want(t, "a created at 3, initial true", "b created at 4, initial true")
	return f, progress, heard
}

// sent returns the version up to which the directory would be in force if it applied everything.
func sent(p *delivery.Progress) uint64 { return p.Users.Sent("team") }

func TestHandlersHearOfEachChangeOnce(t *testing.T) {
	t.Parallel()
	f, progress, heard := newFilled(t)
	f.put(userAt("c", "11"))
	f.put(userAt("a", "12"))
	f.delete(userAt("b", "13"))
	f.delete(userAt("never-there", "14"))
	f.reached("20")
	heard.want(t, "a changed from 3 to 12", "b deleted at 13, last state unknown false", "c created at 11, initial false")
	if f.version != "20" || sent(progress) != 20 || progress.Pending("elsewhere") {
		t.Errorf("the cache is at %s, sent was %d", f.version, sent(progress))
	}
	for _, key := range []string{"a", "c"} {
		progress.Users.Record(types.NamespacedName{Namespace: "team", Name: key}, "12")
	}
	progress.Users.Forget(types.NamespacedName{Namespace: "team", Name: "b"})
	if progress.Pending("team") {
		t.Error("the directory waits for an object that was never there")
	}

	late := &told{}
	f.attach(late.subscription(t.Context()))
	late.want(t, "a created at 12, initial true", "c created at 11, initial true")
}

// A cache that was away too long lists again.
func TestSecondListReportsTheDifference(t *testing.T) {
	t.Parallel()
	f, progress, heard := newFilled(t)
	f.replace([]client.Object{userAt("a", "3"), userAt("c", "42")}, "50")
	heard.want(t, "b deleted at 4, last state unknown true", "c created at 42, initial false")
	if keys := f.versions(); len(keys) != 2 || f.version != "50" || sent(progress) != 50 {
		t.Errorf("the cache has %v at %s, sent was %d", keys, f.version, sent(progress))
	}
}

// asked keeps the queries of the requests for Users.
type asked struct {
	http.RoundTripper

	mu      sync.Mutex
	queries []url.Values
}

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/users") {
		a.mu.Lock()
		a.queries = append(a.queries, r.URL.Query())
		a.mu.Unlock()
	}
	return a.RoundTripper.RoundTrip(r)
}

// A watch that begins with all objects makes the API server read those of all namespaces.
func TestManyNamespacesAreListedInPages(t *testing.T) {
	w := apitest.NewWorld(t)
	jean, seen := w.NewUser("jean", `{}`), &asked{}
	api := w.Restricted()
	api.Wrap(func(to http.RoundTripper) http.RoundTripper { seen.RoundTripper = to; return seen })
	mgr, err := ctrl.NewManager(api, ctrl.Options{Scheme: apitest.Scheme(t), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	namespaces, err := NewNamespaces(mgr, delivery.NewProgress())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{w.NS}
	for i := range fewNamespaces {
		names = append(names, fmt.Sprint(w.NS, "-not-there-", i))
	}
	namespaces.Set(names)
	w.Run("the manager", mgr.Start)
	w.Eventually("the cache is filled", func() bool { return namespaces.States(w.NS)[User].Synced })
	if _, fresh := namespaces.of(w.NS).followers[User].listing(); !fresh {
		t.Error("the cache does not know that it is as new as the API server")
	}
	w.MustPatch(jean, `{"spec":{"revoked":true}}`)
	w.Eventually("the change is there", func() bool {
		return namespaces.User(types.NamespacedName{Namespace: w.NS, Name: "jean"}).Spec.Revoked
	})
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for _, query := range seen.queries {
		if query.Has("sendInitialEvents") || !query.Has("watch") && (query.Get("limit") == "" || query.Has("resourceVersion")) {
			t.Errorf("a request for Users: %v", query)
		}
	}
}
