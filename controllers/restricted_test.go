package controllers

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// The namespaces that the generated role speaks of.
const (
	usersRole  = "gatehouse-users"
	systemRole = "gatehouse-system"
)

// restricted is a namespace of the test's own, on a real API server, an administrator, and the service: a user who has there what
// the generated role gives in one of its namespaces, and no other rights.
type restricted struct {
	client.Client
	config    *rest.Config // the service's
	user      string
	namespace string
}

func newRestricted(t testing.TB, role string) restricted {
	t.Helper()
	b := restricted{Client: newClient(t, apitest.Config(t), nil)}
	b.user = b.makeNamespace(t)
	b.namespace = b.user
	b.config = apitest.User(t, b.user)
	b.config.QPS = -1
	apitest.GrantRole(t, b, role, b.namespace, b.user)
	return b
}

// another makes one more namespace in which the service has the rights of a role.
func (b restricted) another(t testing.TB, role string) string {
	t.Helper()
	ns := b.makeNamespace(t)
	apitest.GrantRole(t, b, role, ns, b.user)
	return ns
}

func (b restricted) makeNamespace(t testing.TB) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}
	if err := b.Create(context.Background(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// newClient returns a client. With a mapper it need not ask the API server for its resources first.
func newClient(t testing.TB, config *rest.Config, mapper meta.RESTMapper) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: apitest.Scheme(t), Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// addUser makes a User and returns it as a directory would hold it.
func (b restricted) addUser(t testing.TB) *directory.User {
	t.Helper()
	u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{GenerateName: "jj-", Namespace: b.namespace}}
	if err := b.Create(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	return &directory.User{Key: b.namespace + "/" + u.Name, UID: string(u.UID), Login: u.Name}
}

func (b restricted) key(u *directory.User) client.ObjectKey {
	return client.ObjectKey{Namespace: b.namespace, Name: u.Login}
}
