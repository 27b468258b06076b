package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// edit is a difference between two versions of the source.
type edit struct{ file, from, to string }

// Differences as there are between two releases: texts, a condition that only one knows, and a clock.
var (
	otherTexts = []edit{
		{"controllers/projection/status.go", `"logs in as %q"`, `"may log in as %q"`},
		{"controllers/enforcement.go", `"every replica answers accordingly"`, `"in force everywhere"`},
	}
	anotherCondition = []edit{{
		"controllers/projection/status.go", "func notAllowed(reason, message string) metav1.Condition {\n",
		"func notAllowed(reason, message string) metav1.Condition {\n\tmessage = \"Refused: \" + message\n\treason += \"InThisVersion\"\n",
	}}
	threeSecondsAhead = []edit{{"cmd/serve/app.go", "now:        time.Now,", "now:        func() time.Time { return time.Now().Add(3 * time.Second) },"}}
)

// buildVersion builds the binary from the source with some edits, which leave the source as it is.
func buildVersion(t *testing.T, edits ...edit) string {
	t.Helper()
	folder := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	sources := map[string]string{}
	for _, e := range edits {
		path, err := filepath.Abs(filepath.Join(root, e.file))
		if err != nil {
			t.Fatal(err)
		}
		if sources[path] == "" {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sources[path] = string(text)
		}
		if strings.Count(sources[path], e.from) != 1 {
			t.Fatalf("%s does not have %q once", e.file, e.from)
		}
		sources[path] = strings.Replace(sources[path], e.from, e.to, 1)
	}
	for path, text := range sources {
		edited := filepath.Join(folder, fmt.Sprint(len(overlay.Replace), ".go"))
		overlay.Replace[path] = edited
		if err := os.WriteFile(edited, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(list, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return buildBinary(t, folder, "-overlay", list)
}

// countingAPI is the API server as an administrator reaches it. It counts attempts to write the status of a User.
type countingAPI struct {
	kubeconfig string
	writes     atomic.Int32
}

func newCountingAPI(t *testing.T) *countingAPI {
	t.Helper()
	config := apitest.Config(t)
	to, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	api := &countingAPI{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/users/") && strings.HasSuffix(r.URL.Path, "/status") {
			api.writes.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { front.CloseClientConnections(); front.Close() })
	file := clientcmdapi.NewConfig()
	file.Clusters["test"] = &clientcmdapi.Cluster{Server: front.URL}
	file.Contexts["test"] = &clientcmdapi.Context{Cluster: "test"}
	file.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*file, api.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return api
}

// startVersion starts a replica until the test ends, and waits until it is ready.
func (api *countingAPI) startVersion(t *testing.T, w *apitest.World, name, binary string, variables ...string) {
	t.Helper()
	probe := freePort(t)
	startBinary(t, binary, append(variables, "KUBECONFIG="+api.kubeconfig, "POD_NAMESPACE="+w.NS+"-system", "POD_NAME="+name),
		"--namespaces", w.NS, "--bind-address", "127.0.0.1:"+freePort(t), "--health-probe-bind-address", "127.0.0.1:"+probe,
		"--metrics-bind-address", "0", "--drain-delay", "0s")
	w.Eventually(name+" is ready", func() bool {
		response, err := http.Get("http://127.0.0.1:" + probe + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// flaps watches the Users of a namespace, and keeps the conditions that became what they had been before. It
// returns a function that ends the watch and returns them.
func flaps(t *testing.T, namespace string) func() []string {
	t.Helper()
	api, err := client.NewWithWatch(apitest.Config(t), client.Options{Scheme: apitest.Scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watched, err := api.Watch(ctx, &authv1alpha1.UserList{}, client.InNamespace(namespace))
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	var found []string
	done.Go(func() {
		was := map[string][]string{}
		for event := range watched.ResultChan() {
			u, ok := event.Object.(*authv1alpha1.User)
			if !ok {
				continue
			}
			for _, c := range u.Status.Conditions {
				key, now := u.Name+" "+c.Type, fmt.Sprint(c.Status, c.Reason, c.ObservedGeneration)
				if before := was[key]; len(before) == 0 || before[len(before)-1] != now {
					if slices.Contains(before, now) {
						found = append(found, fmt.Sprintf("%s is again %s after %q", key, now, before))
					}
					was[key] = append(before, now)
				}
			}
		}
	})
	return func() []string {
		watched.Stop()
		cancel()
		done.Wait()
		return found
	}
}

// Three replicas of three versions, with other limits of memory and one with a clock three seconds ahead, as in
// the middle of an upgrade.
func TestVersionsDoNotWriteOverEachOther(t *testing.T) {
	w, api := apitest.NewWorld(t), newCountingAPI(t)
	w.MustCreate(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.NS + "-system"}})
	api.startVersion(t, w, "this", buildVersion(t))
	api.startVersion(t, w, "texts", buildVersion(t, slices.Concat(otherTexts, threeSecondsAhead)...))
	api.startVersion(t, w, "conditions", buildVersion(t, anotherCondition...), "GOMEMLIMIT=96MiB")
	w.NewSecret("s", map[string]string{"k": "$argon2id$v=19$m=262144,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAphArZDZ2YHeoBE"})
	flapped := flaps(t, w.NS)
	const users = 200
	expiry := time.Now().Add(40 * time.Second).Truncate(time.Second)
	for i := range users {
		spec := `passwords: [{hashFrom: {secretKeyRef: {name: s, key: k}}}]`
		if i%2 == 0 {
			spec += `, expiresAt: "` + expiry.UTC().Format(time.RFC3339) + `"`
		}
		w.NewUser(fmt.Sprint("user-", i), "{"+spec+"}")
	}
	w.Eventually("every User is in force on all", func() bool {
		return every(w, func(u *authv1alpha1.User) bool {
			return apimeta.IsStatusConditionTrue(u.Status.Conditions, authv1alpha1.ConditionEnforced)
		})
	})
	created := api.writes.Load()
	if created > users*24/10 { // one when it is in force on one replica, and one when it is on all
		t.Errorf("%d writes for %d new users", created, users)
	}
	w.Consistently("nobody writes", 12*time.Second, func() bool { return api.writes.Load() == created })
	w.Eventually("half of the users have expired", func() bool {
		return every(w, func(u *authv1alpha1.User) bool {
			return u.Spec.ExpiresAt == nil || u.Status.State == authv1alpha1.UserExpired
		})
	})
	w.Consistently("nobody writes twice", 12*time.Second, func() bool { return api.writes.Load()-created <= users/2*12/10 })
	revoke := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"revoked":true}}`))
	if err := w.Patch(t.Context(), w.ReadUser("user-1"), revoke); err != nil {
		t.Fatal(err)
	}
	w.Eventually("a revocation is in force on all", func() bool {
		u := w.ReadUser("user-1")
		c := apimeta.FindStatusCondition(u.Status.Conditions, authv1alpha1.ConditionEnforced)
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == u.Generation
	})
	if found := flapped(); len(found) > 0 {
		t.Errorf("%d conditions flapped: %q", len(found), found[:min(len(found), 10)])
	}
	t.Logf("%d writes for %d new users, %d for %d that expire", created, users, api.writes.Load()-created, users/2)
}

// every reports whether something holds of every User.
func every(w *apitest.World, holds func(*authv1alpha1.User) bool) bool {
	w.T.Helper()
	list := &authv1alpha1.UserList{}
	if err := w.List(w.T.Context(), list, client.InNamespace(w.NS)); err != nil {
		w.T.Fatal(err)
	}
	return !slices.ContainsFunc(list.Items, func(u authv1alpha1.User) bool { return !holds(&u) })
}
