package informer

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// cacheOfUsers starts a manager that has nothing but the cache, over connections to the API server that a test may disturb.
func cacheOfUsers(w *apitest.World, disturb func(http.RoundTripper) http.RoundTripper) *Users {
	w.T.Helper()
	api := w.Restricted()
	api.Wrap(disturb)
	mgr, err := ctrl.NewManager(api, ctrl.Options{Scheme: apitest.Scheme(w.T), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		w.T.Fatal(err)
	}
	users, err := NewUsers(mgr, []string{w.NS})
	if err != nil {
		w.T.Fatal(err)
	}
	w.Run("the manager", mgr.Start)
	w.Eventually("the cache is filled", users.namespaces[w.NS].HasSynced)
	return users
}

func undisturbed(to http.RoundTripper) http.RoundTripper { return to }

// brittle is the way to an API server that can be cut. After that the next connection for a watch of Users breaks too.
type brittle struct {
	http.RoundTripper

	mu      sync.Mutex
	body    *brittleBody // of the last watch of Users
	watches []url.Values // what was asked for
	broken  bool
}

func (b *brittle) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/users") || !r.URL.Query().Has("watch") {
		return b.RoundTripper.RoundTrip(r)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watches = append(b.watches, r.URL.Query())
	if b.broken {
		b.broken = false
		return nil, io.EOF
	}
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		b.body = &brittleBody{ReadCloser: answer.Body}
		answer.Body = b.body
	}
	return answer, err
}

// brittleBody ends as a connection does that is lost.
type brittleBody struct {
	io.ReadCloser
	lost atomic.Bool
}

func (b *brittleBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.lost.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *brittle) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = true
	b.body.lost.Store(true)
	_ = b.body.Close() // which is the point
}

func (b *brittle) asked() []url.Values {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watches
}

func TestABrokenConnectionIsNoReasonToReadAllUsersAgain(t *testing.T) {
	w := apitest.NewWorld(t)
	jean, way := w.NewUser("jean", `{}`), &brittle{}
	users := cacheOfUsers(w, func(to http.RoundTripper) http.RoundTripper { way.RoundTripper = to; return way })
	key := client.ObjectKeyFromObject(jean)
	w.MustPatch(jean, `{"spec":{"displayName":"Jean"}}`) // a watch that brought nothing is given up
	w.Eventually("the change is there", func() bool { return users.Get(key).Spec.DisplayName == "Jean" })
	way.cut()
	w.MustPatch(jean, `{"spec":{"revoked":true}}`)
	w.Eventually("what changed meanwhile is there", func() bool { return users.Get(key).Spec.Revoked })
	for i, query := range way.asked() {
		if all := query.Has("sendInitialEvents"); all != (i == 0) {
			t.Errorf("watch %d asks for %v", i, query)
		}
	}
	if n := len(way.asked()); n < 3 {
		t.Errorf("%d watches, want the first, one that broke and one more", n)
	}
}

func TestTheCacheOfUsersFollowsTheAPIServer(t *testing.T) {
	w := apitest.NewWorld(t)
	jean := w.NewUser("jean", `{groups: [a]}`)
	users := cacheOfUsers(w, undisturbed)
	key := client.ObjectKeyFromObject(jean)
	got := users.Get(key)
	if got == nil || got.ResourceVersion != jean.ResourceVersion || len(got.Spec.Groups) != 1 {
		t.Fatalf("the cache has %+v, want %+v", got, jean)
	}
	if got.ManagedFields != nil || got.Kind != "User" {
		t.Errorf("the cache keeps managed fields %v, kind %q", got.ManagedFields, got.Kind)
	}
	w.MustPatch(jean, `{"spec":{"revoked":true}}`)
	w.Eventually("the change is there", func() bool { return users.Get(key).Spec.Revoked })
	w.MustDelete(jean)
	w.Eventually("the user is gone", func() bool { return users.Get(key) == nil })
	if other := users.Get(types.NamespacedName{Namespace: "elsewhere", Name: "jean"}); other != nil {
		t.Errorf("the cache has %+v of a namespace that is none of its own", other)
	}
}

func TestTheCacheOfUsersKnowsWhetherItIsAsNewAsTheAPIServerWas(t *testing.T) {
	w := apitest.NewWorld(t)
	jean := w.NewUser("jean", `{}`)
	users := cacheOfUsers(w, undisturbed)
	held, fresh := users.listing()
	if version := held.objects[client.ObjectKeyFromObject(jean)]; !fresh || len(held.objects) != 1 || version != jean.ResourceVersion {
		t.Errorf("the cache says %v, fresh: %v; want only %s of version %s", held.objects, fresh, jean.Name, jean.ResourceVersion)
	}
	u := users.namespaces[w.NS]
	if u.atStart == "" || older(held.versions[w.NS], u.atStart) || older(u.atStart, jean.ResourceVersion) {
		t.Errorf("version at start %q, of the list %q, of the user %q", u.atStart, held.versions[w.NS], jean.ResourceVersion)
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
