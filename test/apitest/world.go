package apitest

import (
	"context"
	"os"
	"path/filepath"
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
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
)

// Timeout is how long a test waits for what must happen.
const Timeout = 30 * time.Second

// World is a namespace of a real API server, and an administrator.
type World struct {
	T testing.TB
	client.Client
	NS string
}

func NewWorld(t testing.TB) *World {
	t.Helper()
	c, err := client.New(Config(t), client.Options{Scheme: Scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "users-"}}
	if err := c.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return &World{T: t, Client: c, NS: ns.Name}
}

func Scheme(t testing.TB) *runtime.Scheme {
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

// Run starts what runs until its context ends, which is with the test.
func (w *World) Run(name string, start func(context.Context) error) {
	w.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- start(ctx) }()
	w.T.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.T.Errorf("%s ended with %v", name, err)
		}
	})
}

// Restricted returns the connection of a user who has the generated role in the world's namespace and nothing else.
func (w *World) Restricted() *rest.Config {
	w.T.Helper()
	GrantRole(w.T, w.Client, "gatehouse-users", w.NS, w.NS)
	return User(w.T, w.NS)
}

// GrantRole gives a user in a namespace what the generated role gives in another.
func GrantRole(t testing.TB, c client.Client, as, namespace, user string) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(root, "config", "rbac", "role.yaml"))
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

// NewUser creates a User out of a spec in YAML.
func (w *World) NewUser(name, spec string) *authv1alpha1.User {
	w.T.Helper()
	u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: name}}
	if err := yaml.UnmarshalStrict([]byte(spec), &u.Spec); err != nil {
		w.T.Fatal(err)
	}
	w.MustCreate(u)
	return u
}

// NewSecret creates a Secret of the given values.
func (w *World) NewSecret(name string, values map[string]string) *corev1.Secret {
	w.T.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: name}, StringData: values}
	w.MustCreate(s)
	return s
}

func (w *World) MustCreate(o client.Object) {
	w.T.Helper()
	if err := w.Create(w.T.Context(), o); err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) MustDelete(o client.Object) {
	w.T.Helper()
	if err := w.Delete(w.T.Context(), o); err != nil {
		w.T.Fatal(err)
	}
}

// MustPatch is kubectl patch --type=merge.
func (w *World) MustPatch(o client.Object, patch string) {
	w.T.Helper()
	if err := w.Patch(w.T.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.T.Fatal(err)
	}
}

// MustPatchStatus is kubectl patch --type=merge --subresource=status.
func (w *World) MustPatchStatus(o client.Object, patch string) {
	w.T.Helper()
	if err := w.Status().Patch(w.T.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.T.Fatal(err)
	}
}

// ReadUser reads a User from the API server.
func (w *World) ReadUser(name string) *authv1alpha1.User {
	w.T.Helper()
	u := &authv1alpha1.User{}
	if err := w.Get(w.T.Context(), types.NamespacedName{Namespace: w.NS, Name: name}, u); err != nil {
		w.T.Fatal(err)
	}
	return u
}

// AwaitStatus waits until a User's status says this about this very generation, and returns the User.
func (w *World) AwaitStatus(name string, state authv1alpha1.UserState, reason string) *authv1alpha1.User {
	w.T.Helper()
	var u *authv1alpha1.User
	w.Eventually(name+" is "+string(state)+" for "+reason, func() bool {
		u = w.ReadUser(name)
		ready := meta.FindStatusCondition(u.Status.Conditions, authv1alpha1.ConditionReady)
		return ready != nil && u.Status.State == state && ready.Reason == reason &&
			u.Status.ObservedGeneration == u.Generation && ready.ObservedGeneration == u.Generation
	})
	return u
}

func (w *World) Eventually(what string, holds func() bool) {
	w.T.Helper()
	Eventually(w.T, what, holds)
}

func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(Timeout)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", Timeout, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Verifies says whether a login has a password in the directory, as the server would find it.
func Verifies(d *directory.Directory, login, secret string) bool {
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

// WeakHash is a bcrypt hash at the least cost, so a weak one.
func WeakHash(t testing.TB, secret string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func Condition(u *authv1alpha1.User, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(u.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}
