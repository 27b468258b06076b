package apitest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	coordinationv1 "k8s.io/api/coordination/v1"
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

// Timeout is how long a test waits for a condition that must become true.
const Timeout = 30 * time.Second

// World is a namespace on a real API server that belongs to the test, with the client of an
// administrator.
type World struct {
	T testing.TB
	client.Client
	NS string
}

// NewWorld makes a namespace on the API server of the test binary.
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

// Scheme returns a scheme with all types that the tests use.
func Scheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		coordinationv1.AddToScheme, corev1.AddToScheme, eventsv1.AddToScheme, rbacv1.AddToScheme, authv1alpha1.AddToScheme,
	} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Run calls start in a goroutine, with a context that ends with the test. The test fails if start
// returns an error.
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

// Restricted returns the connection of a user that has the rights of the generated role in the
// namespace of w and no other rights.
func (w *World) Restricted() *rest.Config {
	w.T.Helper()
	GrantRole(w.T, w.Client, UsersRole, w.NS, w.NS)
	return User(w.T, w.NS)
}

// The namespaces of the roles in config/rbac/role.yaml.
const (
	UsersRole  = "gatehouse-users"
	SystemRole = "gatehouse-system"
)

// GrantRole grants a user in a namespace the rights that the generated role grants in
// roleNamespace.
func GrantRole(t testing.TB, c client.Client, roleNamespace, namespace, user string) {
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
		if role.Namespace != roleNamespace {
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

// NewUser creates a User from a spec in YAML.
func (w *World) NewUser(name, spec string) *authv1alpha1.User {
	w.T.Helper()
	u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: name}}
	if err := yaml.UnmarshalStrict([]byte(spec), &u.Spec); err != nil {
		w.T.Fatal(err)
	}
	w.MustCreate(u)
	return u
}

// NewSecret creates a Secret with the given values.
func (w *World) NewSecret(name string, values map[string]string) *corev1.Secret {
	w.T.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: name}, StringData: values}
	w.MustCreate(s)
	return s
}

// MustCreate creates an object or fails the test.
func (w *World) MustCreate(o client.Object) {
	w.T.Helper()
	if err := w.Create(w.T.Context(), o); err != nil {
		w.T.Fatal(err)
	}
}

// MustDelete deletes an object or fails the test.
func (w *World) MustDelete(o client.Object) {
	w.T.Helper()
	if err := w.Delete(w.T.Context(), o); err != nil {
		w.T.Fatal(err)
	}
}

// MustPatch does what kubectl patch --type=merge does, or fails the test.
func (w *World) MustPatch(o client.Object, patch string) {
	w.T.Helper()
	if err := w.Patch(w.T.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.T.Fatal(err)
	}
}

// MustPatchStatus does what kubectl patch --type=merge --subresource=status does, or fails the
// test.
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

// AwaitStatus waits until a User's status has this state and reason for the current generation, and
// returns the User.
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

// Eventually waits until holds returns true, or fails the test after Timeout.
func (w *World) Eventually(what string, holds func() bool) {
	w.T.Helper()
	Eventually(w.T, what, holds)
}

// Eventually waits until holds returns true, or fails the test after Timeout.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	if !poll(Timeout, holds) {
		t.Fatalf("not within %v: %s", Timeout, what)
	}
}

// Consistently fails the test if holds returns false within a duration.
func (w *World) Consistently(what string, duration time.Duration, holds func() bool) {
	w.T.Helper()
	if poll(duration, func() bool { return !holds() }) {
		w.T.Fatalf("not for %v: %s", duration, what)
	}
}

// pollInterval is the time between two checks of a condition.
const pollInterval = 5 * time.Millisecond

// poll checks a condition repeatedly and reports whether it became true within a duration.
func poll(duration time.Duration, holds func() bool) bool {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for deadline := time.Now().Add(duration); !holds(); <-ticker.C {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Verifies reports whether the user with a login in the directory has a password, as the server
// would check it.
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

// WeakHash returns a bcrypt hash with the minimum cost, which counts as weak.
func WeakHash(t testing.TB, secret string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// Condition returns the condition of a type, or the zero Condition if the User does not have it.
func Condition(u *authv1alpha1.User, kind string) metav1.Condition {
	if c := meta.FindStatusCondition(u.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}
