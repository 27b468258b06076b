package controllers

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/delivery"
	"github.com/gatehouse-auth/gatehouse/controllers/informer"
	"github.com/gatehouse-auth/gatehouse/controllers/replica"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// newReplica starts a manager with all controllers, with the rights of config/rbac/role.yaml and no
// others, and returns the directory that they fill. It stops with the test.
func newReplica(w *apitest.World) *directory.Directory {
	w.T.Helper()
	d, _ := startReplica(w, w.Restricted(), systemOf(w), "")
	return d
}

// startReplica is newReplica with a connection. A replica with a name has a Lease in the namespace
// system; its set of replicas is returned.
func startReplica(w *apitest.World, connection *rest.Config, system, name string) (*directory.Directory, *replica.Set) {
	w.T.Helper()
	d, set := launchReplica(w, connection, system, name, func(*Config) {})
	w.Eventually("the directory is synced", d.HasSynced)
	return d, set
}

// launchReplica is startReplica with a configuration that the test changes. It does not wait for the
// directory.
func launchReplica(w *apitest.World, connection *rest.Config, system, name string, configure func(*Config)) (*directory.Directory, *replica.Set) {
	w.T.Helper()
	progress, d := delivery.NewProgress(), directory.New()
	options := ctrl.Options{
		Scheme:     apitest.Scheme(w.T),
		Cache:      informer.CacheOptions(system),
		Client:     informer.ClientOptions(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	}
	mgr, err := ctrl.NewManager(connection, options)
	if err != nil {
		w.T.Fatal(err)
	}
	cfg := Config{
		Directory: d, Keyer: password.NewKeyer(), Now: time.Now, Namespaces: []string{w.NS}, System: system, AdminGroups: []string{"gatehouse-admins"},
		Progress: progress,
	}
	configure(&cfg)
	if name != "" {
		cfg.Replicas, err = replica.Setup(mgr, replica.Config{
			Namespace: system, Pod: name, Now: cfg.Now, Progress: progress, HasSynced: d.HasSynced,
		})
		if err != nil {
			w.T.Fatal(err)
		}
	}
	if _, err := Setup(mgr, cfg); err != nil {
		w.T.Fatal(err)
	}
	w.Run("the manager", mgr.Start)
	return d, cfg.Replicas
}

// systemOf makes the namespace of the service, unless it is there, with the rights of
// config/rbac/role.yaml in it.
func systemOf(w *apitest.World) string {
	w.T.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.NS + "-system"}}
	if err := w.Create(w.T.Context(), ns); client.IgnoreAlreadyExists(err) != nil {
		w.T.Fatal(err)
	}
	apitest.GrantRole(w.T, w.Client, apitest.SystemRole, ns.Name, w.NS)
	return ns.Name
}

// statusWrites counts the attempts to write the status of a User through a connection.
func statusWrites(connection *rest.Config, count *atomic.Int32) {
	connection.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/status") {
				count.Add(1)
			}
			return next.RoundTrip(r)
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Of three replicas that compute the same status, one writes it: once when it is in force on that one,
// and once when it is on all.
func TestEachStatusHasOneWriter(t *testing.T) {
	w := apitest.NewWorld(t)
	connection := w.Restricted()
	system := systemOf(w)
	var writes atomic.Int32
	statusWrites(connection, &writes)
	for i := range 3 {
		startReplica(w, connection, system, fmt.Sprint("replica-", i))
	}
	const users = 50
	for i := range users {
		w.NewUser(fmt.Sprint("user-", i), `{}`)
	}
	w.Eventually("every User has a status", func() bool {
		list := &authv1alpha1.UserList{}
		if err := w.List(t.Context(), list, client.InNamespace(w.NS)); err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(list.Items, func(u authv1alpha1.User) bool { return u.Status.ObservedGeneration == 0 })
	})
	w.Consistently("no more writes", 3*informer.WriteJitter, func() bool { return writes.Load() <= users*24/10 })
}

// A replica that starts while others run leaves to them what is theirs to write, even before it has seen
// their Leases.
func TestStartingReplicaWaitsUntilItKnowsTheOthers(t *testing.T) {
	w := apitest.NewWorld(t)
	connection := w.Restricted()
	system := systemOf(w)
	var users []types.UID
	for i := range 50 {
		users = append(users, w.NewUser(fmt.Sprint("user-", i), `{}`).UID)
	}
	other := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "gatehouse-other"}}
	other.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
	w.MustCreate(other)
	var written sync.Map // the paths of the statuses that it writes: one may be written again, when Enforced gets a value
	seen := make(chan struct{})
	connection.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			switch {
			case r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/status"):
				written.Store(r.URL.Path, true)
			case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/leases"):
				select {
				case <-seen:
				case <-r.Context().Done():
				}
			}
			return next.RoundTrip(r)
		})
	})
	writes := func() (n int) { written.Range(func(any, any) bool { n++; return true }); return n }
	d, set := launchReplica(w, connection, system, "starting", func(*Config) {})
	w.Eventually("the directory is synced", d.HasSynced)
	w.Consistently("nobody writes", 3*informer.WriteJitter, func() bool { return writes() == 0 })
	close(seen)
	w.Eventually("the Lease is known", func() bool { return knows(set) })
	own := 0
	for _, uid := range users {
		if set.Rank(uid) == 0 {
			own++
		}
	}
	w.Eventually("it writes what is its own", func() bool { return writes() == own })
	w.Consistently("it writes nothing else", 3*informer.WriteJitter, func() bool { return writes() == own })
}

// Three replicas whose clocks and flags differ compute other statuses of the same users. One of them
// writes each, and the others leave it alone.
func TestReplicasThatDifferDoNotWriteOverEachOther(t *testing.T) {
	w := apitest.NewWorld(t)
	connection := w.Restricted()
	system := systemOf(w)
	var writes atomic.Int32
	statusWrites(connection, &writes)
	for name, configure := range map[string]func(*Config){
		"usual": func(*Config) {},
		"ahead": func(c *Config) { c.Now = func() time.Time { return time.Now().Add(3 * time.Second) } },
		"small": func(c *Config) { c.HashMemory = 1 << 20; c.Trusts = func(string) bool { return false } },
	} {
		d, _ := launchReplica(w, connection, system, name, configure)
		w.Eventually("the directory is synced", d.HasSynced)
	}
	w.NewSecret("s", map[string]string{"k": "$argon2id$v=19$m=65536,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAphArZDZ2YHeoBE"})
	const users = 200
	expiry := time.Now().Add(35 * time.Second).Truncate(time.Second)
	for i := range users {
		spec := `identities: [{federated: {issuer: https://ci.test, subject: "` + fmt.Sprint(i) + `"}}], passwords: [{hashFrom: {secretKeyRef: {name: s, key: k}}}]`
		if i%2 == 0 {
			spec += `, expiresAt: "` + expiry.UTC().Format(time.RFC3339) + `"`
		}
		w.NewUser(fmt.Sprint("user-", i), "{"+spec+"}")
	}
	for i := range users {
		awaitEnforced(w, fmt.Sprint("user-", i))
	}
	before := writes.Load()
	if before > users*24/10 {
		t.Errorf("%d writes for %d new users", before, users)
	}
	w.Consistently("nobody writes", 12*time.Second, func() bool { return writes.Load() == before }) // longer than one waits for another
	w.Eventually("half of the users have expired", func() bool {
		list := &authv1alpha1.UserList{}
		if err := w.List(t.Context(), list, client.InNamespace(w.NS)); err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(list.Items, func(u authv1alpha1.User) bool {
			return u.Spec.ExpiresAt != nil && u.Status.State != authv1alpha1.UserExpired
		})
	})
	w.Consistently("nobody writes twice", 5*time.Second, func() bool { return writes.Load()-before <= users/2*12/10 })
}

// A replica whose Lease lives may still be unable to write.
func TestAnotherReplicaWritesAfterAWhile(t *testing.T) {
	w := apitest.NewWorld(t)
	connection := w.Restricted()
	system := systemOf(w)
	_, set := startReplica(w, connection, system, "running")
	silent := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "gatehouse-silent"}}
	silent.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
	w.MustCreate(silent)
	w.Eventually("the Lease is known", func() bool { return knows(set) })
	for i := 0; ; i++ {
		u := w.NewUser(fmt.Sprint("user-", i), `{}`)
		if set.Rank(u.UID) == 0 {
			continue
		}
		w.Eventually("the other replica writes", func() bool { return w.ReadUser(u.Name).Status.ObservedGeneration != 0 })
		return
	}
}

// knows reports whether a set has another replica: of a hundred objects, some belong to that.
func knows(set *replica.Set) bool {
	for i := range 100 {
		if set.Rank(types.UID(fmt.Sprint(i))) != 0 {
			return true
		}
	}
	return false
}

// staysUnchanged checks that no replica writes to a User until the queues are empty: no item waits
// in a queue for longer than WriteJitter, and a write in that time can enqueue its user once more.
func staysUnchanged(w *apitest.World, name string) {
	w.T.Helper()
	version := w.ReadUser(name).ResourceVersion
	w.Consistently("no write to "+name, 3*informer.WriteJitter, func() bool {
		return w.ReadUser(name).ResourceVersion == version
	})
}
