package apitest

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
)

// Restricted is a namespace on a real API server that belongs to the test. Its Client is an
// administrator. Config is the connection of the service, a user that has in this namespace the
// rights of one generated role, and no other rights.
type Restricted struct {
	client.Client
	Config    *rest.Config // the service's
	user      string
	Namespace string
}

// NewRestricted makes a namespace and a service with the rights that the generated role grants in
// the namespace role.
func NewRestricted(t testing.TB, role string) Restricted {
	t.Helper()
	b := Restricted{Client: NewClient(t, Config(t), nil)}
	b.user = b.makeNamespace(t)
	b.Namespace = b.user
	b.Config = User(t, b.user)
	b.Config.QPS = -1
	GrantRole(t, b, role, b.Namespace, b.user)
	return b
}

// Another makes another namespace in which the service has the rights of a role, and returns its
// name.
func (b Restricted) Another(t testing.TB, role string) string {
	t.Helper()
	ns := b.makeNamespace(t)
	GrantRole(t, b, role, ns, b.user)
	return ns
}

func (b Restricted) makeNamespace(t testing.TB) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "restricted-"}}
	if err := b.Create(context.Background(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// NewClient returns a client. If mapper is not nil, the client need not discover the resources of
// the API server first.
func NewClient(t testing.TB, config *rest.Config, mapper meta.RESTMapper) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: Scheme(t), Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// AddUser creates a User and returns it as a directory would hold it.
func (b Restricted) AddUser(t testing.TB) *directory.User {
	t.Helper()
	u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{GenerateName: "jj-", Namespace: b.Namespace}}
	if err := b.Create(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	return &directory.User{Key: b.Namespace + "/" + u.Name, UID: string(u.UID), Login: u.Name}
}

// Key returns the namespace and name of a User that AddUser created.
func (b Restricted) Key(u *directory.User) client.ObjectKey {
	return client.ObjectKey{Namespace: b.Namespace, Name: u.Login}
}
