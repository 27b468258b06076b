package controllers

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/password"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// longest is how long a test waits for what must happen.
const longest = 30 * time.Second

// world is a namespace of a real API server, and an administrator.
type world struct {
	t testing.TB
	client.Client
	ns string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c, err := client.New(apitest.Config(t), client.Options{Scheme: scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "users-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return &world{t: t, Client: c, ns: ns.Name}
}

func scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, eventsv1.AddToScheme, rbacv1.AddToScheme, authv1alpha1.AddToScheme,
	} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// replica starts a manager with all controllers, with the rights of config/rbac/role.yaml and no others, and returns the
// directory that they fill. It stops with the test.
func (w *world) replica() *directory.Directory {
	w.t.Helper()
	options := ctrl.Options{
		Scheme:     scheme(w.t),
		Cache:      CacheOptions([]string{w.ns}),
		Client:     ClientOptions(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: config.Controller{SkipNameValidation: new(true)},
	}
	mgr, err := ctrl.NewManager(w.restricted(), options)
	if err != nil {
		w.t.Fatal(err)
	}
	d := directory.New()
	cfg := Config{Directory: d, Keyer: password.NewKeyer(), Now: time.Now, Namespaces: []string{w.ns}}
	if err := Setup(w.t.Context(), mgr, cfg); err != nil {
		w.t.Fatal(err)
	}
	w.run("the manager", mgr.Start)
	w.eventually("the directory is synced", d.HasSynced)
	return d
}

// run starts what runs until its context ends, which is with the test.
func (w *world) run(name string, start func(context.Context) error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- start(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("%s ended with %v", name, err)
		}
	})
}

// restricted returns the connection of a user who has the generated role in the world's namespace and nothing else.
func (w *world) restricted() *rest.Config {
	w.t.Helper()
	grantRole(w.t, w.Client, "gatehouse-users", w.ns, w.ns)
	return apitest.User(w.t, w.ns)
}

// grantRole gives a user in a namespace what the generated role gives in another.
func grantRole(t testing.TB, c client.Client, as, namespace, user string) {
	t.Helper()
	raw, err := os.ReadFile("../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(raw), "\n---\n") {
		role := &rbacv1.Role{}
		if err := yaml.UnmarshalStrict([]byte(document), role); err != nil {
			t.Fatal(err)
		}
		if role.Namespace != as {
			continue
		}
		role.Namespace = namespace
		binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role.Name}}
		binding.RoleRef = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}
		binding.Subjects = []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}}
		for _, o := range []client.Object{role, binding} {
			if err := c.Create(t.Context(), o); client.IgnoreAlreadyExists(err) != nil {
				t.Fatal(err)
			}
		}
	}
}

// user creates a User out of a spec in YAML.
func (w *world) user(name, spec string) *authv1alpha1.User {
	w.t.Helper()
	u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	if err := yaml.UnmarshalStrict([]byte(spec), &u.Spec); err != nil {
		w.t.Fatal(err)
	}
	w.create(u)
	return u
}

// secret creates a Secret of the given values.
func (w *world) secret(name string, values map[string]string) *corev1.Secret {
	w.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}, StringData: values}
	w.create(s)
	return s
}

func (w *world) create(o client.Object) {
	w.t.Helper()
	if err := w.Create(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) delete(o client.Object) {
	w.t.Helper()
	if err := w.Delete(w.t.Context(), o); err != nil {
		w.t.Fatal(err)
	}
}

// patch is kubectl patch --type=merge.
func (w *world) patch(o client.Object, patch string) {
	w.t.Helper()
	if err := w.Patch(w.t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.t.Fatal(err)
	}
}

// patchStatus is kubectl patch --type=merge --subresource=status.
func (w *world) patchStatus(o client.Object, patch string) {
	w.t.Helper()
	if err := w.Status().Patch(w.t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.t.Fatal(err)
	}
}

// read reads a User from the API server.
func (w *world) read(name string) *authv1alpha1.User {
	w.t.Helper()
	u := &authv1alpha1.User{}
	if err := w.Get(w.t.Context(), types.NamespacedName{Namespace: w.ns, Name: name}, u); err != nil {
		w.t.Fatal(err)
	}
	return u
}

// stands waits until a User's status says this about this very generation, and returns the User.
func (w *world) stands(name string, state authv1alpha1.UserState, reason string) *authv1alpha1.User {
	w.t.Helper()
	var u *authv1alpha1.User
	w.eventually(name+" is "+string(state)+" for "+reason, func() bool {
		u = w.read(name)
		ready := meta.FindStatusCondition(u.Status.Conditions, authv1alpha1.ConditionReady)
		return ready != nil && u.Status.State == state && ready.Reason == reason &&
			u.Status.ObservedGeneration == u.Generation && ready.ObservedGeneration == u.Generation
	})
	return u
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	eventually(w.t, what, holds)
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(longest)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", longest, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// quiet waits until nothing is left in a queue for what has happened so far: nothing waits there for longer than spread, and
// a write made then can bring its user back once more.
func (w *world) quiet() { time.Sleep(3 * spread) }

// verifies says whether a login has a password in the directory, as the server would find it.
func verifies(d *directory.Directory, login, secret string) bool {
	u, ok := d.ByLogin(login)
	if !ok {
		return false
	}
	for _, p := range u.Credentials.Passwords {
		if p.Hash.Verify([]byte(secret)) {
			return true
		}
	}
	return false
}

// hashOf is a bcrypt hash at the least cost, so a weak one.
func hashOf(t testing.TB, secret string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func condition(u *authv1alpha1.User, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(u.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}
