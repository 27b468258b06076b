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

	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// startUsers starts a manager that runs only the caches of one namespace. A test may wrap the
// transport to the API server.
func startUsers(w *apitest.World, wrap func(http.RoundTripper) http.RoundTripper) *Namespaces {
	w.T.Helper()
	api := w.Restricted()
	api.Wrap(wrap)
	mgr, err := ctrl.NewManager(api, ctrl.Options{Scheme: apitest.Scheme(w.T), Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		w.T.Fatal(err)
	}
	namespaces, err := NewNamespaces(mgr, delivery.NewProgress())
	if err != nil {
		w.T.Fatal(err)
	}
	namespaces.Set([]string{w.NS})
	w.Run("the manager", mgr.Start)
	w.Eventually("the cache is filled", func() bool { return namespaces.States(w.NS)[User].Synced })
	return namespaces
}

func unchangedTransport(to http.RoundTripper) http.RoundTripper { return to }

// flakyTransport is a transport to an API server whose current watch of Users can be cut. The next
// attempt to watch Users then fails too.
type flakyTransport struct {
	http.RoundTripper

	mu      sync.Mutex
	body    *flakyBody   // of the last watch of Users
	watches []url.Values // queries of all watches
	broken  bool
}

func (b *flakyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
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
		b.body = &flakyBody{ReadCloser: answer.Body}
		answer.Body = b.body
	}
	return answer, err
}

// flakyBody is a response body whose connection can be lost.
type flakyBody struct {
	io.ReadCloser
	lost atomic.Bool
}

func (b *flakyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.lost.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *flakyTransport) cut() {
	b.mu.Lock()
	b.broken = true
	b.mu.Unlock()
	b.end()
}

// end ends the current watch, as the API server does after some minutes.
func (b *flakyTransport) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.body.lost.Store(true)
	_ = b.body.Close() // ends the read in progress
}

func (b *flakyTransport) queries() []url.Values {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watches
}

func TestReconnectResumesWatch(t *testing.T) {
	w := apitest.NewWorld(t)
	jean, transport := w.NewUser("jean", `{}`), &flakyTransport{}
	users := startUsers(w, func(to http.RoundTripper) http.RoundTripper { transport.RoundTripper = to; return transport })
	key := client.ObjectKeyFromObject(jean)
	w.MustPatch(jean, `{"spec":{"displayName":"Jean"}}`) // a watch that ends at once is resumed only after a while
	w.Eventually("the change is there", func() bool { return users.User(key).Spec.DisplayName == "Jean" })
	transport.cut()
	w.MustPatch(jean, `{"spec":{"revoked":true}}`)
	w.Eventually("the change made meanwhile is there", func() bool { return users.User(key).Spec.Revoked })
	for i, query := range transport.queries() {
		if all := query.Has("sendInitialEvents"); all != (i == 0) {
			t.Errorf("query of watch %d = %v, want all Users only from the first", i, query)
		}
	}
	if n := len(transport.queries()); n < 3 {
		t.Errorf("%d watches, want at least 3: the first, a failed one and another", n)
	}
}

func TestUsersFollowsAPIServer(t *testing.T) {
	w := apitest.NewWorld(t)
	jean := w.NewUser("jean", `{groups: [a]}`)
	users := startUsers(w, unchangedTransport)
	key := client.ObjectKeyFromObject(jean)
	got := users.User(key)
	if got == nil || got.ResourceVersion != jean.ResourceVersion || len(got.Spec.Groups) != 1 {
		t.Fatalf("the cache has %+v, want %+v", got, jean)
	}
	if got.ManagedFields != nil || got.Kind != "User" {
		t.Errorf("the cache keeps managed fields %v, kind %q", got.ManagedFields, got.Kind)
	}
	w.MustPatch(jean, `{"spec":{"revoked":true}}`)
	w.Eventually("the change is there", func() bool { return users.User(key).Spec.Revoked })
	w.MustDelete(jean)
	w.Eventually("the user is gone", func() bool { return users.User(key) == nil })
	if other := users.User(types.NamespacedName{Namespace: "elsewhere", Name: "jean"}); other != nil {
		t.Errorf("the cache has %+v of another namespace", other)
	}
}

func TestListingKnowsWhetherItIsFresh(t *testing.T) {
	w := apitest.NewWorld(t)
	jean := w.NewUser("jean", `{}`)
	users := startUsers(w, unchangedTransport)
	u := users.of(w.NS).followers[User]
	cached, fresh := u.listing()
	if version := cached.objects[client.ObjectKeyFromObject(jean)]; !fresh || len(cached.objects) != 1 || version != jean.ResourceVersion {
		t.Errorf("listing = %v, fresh = %v; want only %s of version %s", cached.objects, fresh, jean.Name, jean.ResourceVersion)
	}
	if u.versionAtStart == "" || delivery.Older(cached.version, u.versionAtStart) || delivery.Older(u.versionAtStart, jean.ResourceVersion) {
		t.Errorf("version at start %q, of the list %q, of the user %q", u.versionAtStart, cached.version, jean.ResourceVersion)
	}
	for _, versionAtStart := range []string{"", "x", u.versionAtStart + "0"} {
		u.mu.Lock()
		u.versionAtStart = versionAtStart
		u.mu.Unlock()
		if _, fresh := u.listing(); fresh {
			t.Errorf("the cache counts as fresh although the API server was at %q at start", versionAtStart)
		}
	}
}
