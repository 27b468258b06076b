package tooltest

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// Tool is something that makes a cluster look like Git. Its methods leave the objects that they are given as
// they are.
type Tool interface {
	// Apply makes the objects in the cluster those of Git.
	Apply(c *Cluster, git []*unstructured.Unstructured)
	// Wait waits until objects are as they are meant to be.
	Wait(c *Cluster, git []*unstructured.Unstructured, timeout time.Duration) error
	// Drift returns what differs from Git, in words.
	Drift(c *Cluster, git []*unstructured.Unstructured) []string
	// Prune deletes objects that left Git, and waits until they are gone.
	Prune(c *Cluster, gone []*unstructured.Unstructured)
}

// jeanInGit is a user as Git has her: her spec does not say whether she is revoked.
const jeanInGit = `
apiVersion: v1
kind: Secret
metadata: {name: jean, namespace: gatehouse-users}
type: kubernetes.io/basic-auth
data: {username: amVhbg==, password: SGFyYm91ci1UaGltYmxlLTU4}
---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: jean, namespace: gatehouse-users}
spec:
  login: jean@example.com
  groups: [operators]
  passwords:
  - plaintextFrom: {secretKeyRef: {name: jean, key: password}}
`

// someoneElse is another person, who gets Jean's login after her.
const someoneElse = `
apiVersion: v1
kind: Secret
metadata: {name: kim, namespace: gatehouse-users}
type: kubernetes.io/basic-auth
stringData: {username: kim, password: Anchor-Velvet-31}
---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: kim, namespace: gatehouse-users}
spec:
  login: jean@example.com
  passwords:
  - {name: default, plaintextFrom: {secretKeyRef: {name: kim, key: password}}}
`

// What the two log in with.
const (
	JeanLogin    = "jean@example.com"
	JeanPassword = "Harbour-Thimble-58"
	kimPassword  = "Anchor-Velvet-31"
)

// Jean returns the objects of a user in Git: a Secret and a User, both with the name jean.
func Jean(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	return Decode(t, jeanInGit)
}

// MustWait waits until the tool says that objects are as they are meant to be.
func (c *Cluster) MustWait(tool Tool, git []*unstructured.Unstructured) {
	c.Helper()
	if err := tool.Wait(c, git, apitest.Timeout); err != nil {
		c.Fatal(err)
	}
}

// MustNotDrift checks that the tool sees no difference from Git, and that applying Git again changes nothing.
func (c *Cluster) MustNotDrift(tool Tool, git []*unstructured.Unstructured) {
	c.Helper()
	if drift := c.drift(tool, git); len(drift) != 0 {
		c.Errorf("the cluster differs from Git: %q", drift)
	}
	before := c.live(git)
	tool.Apply(c, git)
	for i, after := range c.live(git) {
		if differ(before[i], after) {
			c.Errorf("applying %s %s again has changed it", after.GetKind(), after.GetName())
		}
	}
}

// drift asks the tool what differs from Git. The service writes status meanwhile; a diff that reads an object
// before and after such a write is of two versions and says nothing about Git, so the question is asked again.
func (c *Cluster) drift(tool Tool, git []*unstructured.Unstructured) (drift []string) {
	c.Helper()
	c.Eventually("a diff without a write in between", func() bool {
		before := c.live(git)
		drift = tool.Drift(c, git)
		for i, after := range c.live(git) {
			if before[i].GetResourceVersion() != after.GetResourceVersion() {
				return false
			}
		}
		return true
	})
	return drift
}

// live returns objects as they are in the cluster, without a resourceVersion if they are not there.
func (c *Cluster) live(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	c.Helper()
	all := Copies(objects)
	for _, o := range all {
		if err := c.Get(c.Context(), client.ObjectKeyFromObject(o), o); client.IgnoreNotFound(err) != nil {
			c.Fatal(err)
		}
	}
	return all
}

// differ reports whether an apply has changed an object. Others write the status of a User meanwhile, which
// changes its version and not its generation; a Secret has no generation.
func differ(before, after *unstructured.Unstructured) bool {
	if before.GetUID() != after.GetUID() || before.GetGeneration() != after.GetGeneration() {
		return true
	}
	return after.GetGeneration() == 0 && before.GetResourceVersion() != after.GetResourceVersion()
}

// MustLogIn logs Jean in and checks that the tokens are those of the User jean in the cluster.
func (c *Cluster) MustLogIn() []string {
	c.Helper()
	return c.mustLogInAs("jean", JeanPassword)
}

// mustLogInAs logs in with Jean's login and checks whose the tokens are.
func (c *Cluster) mustLogInAs(name, password string) []string {
	c.Helper()
	tokens := c.LogIn(JeanLogin, password)
	if n := c.Good(tokens); len(tokens) != 2 || n != 2 {
		c.Fatalf("%d of %d tokens are good, want 2 of 2", n, len(tokens))
	}
	if uid := string(c.User(UsersNamespace, name).UID); c.UID(tokens) != uid {
		c.Errorf("the tokens are those of %s, want %s", c.UID(tokens), uid)
	}
	return tokens
}

// MustBeLockedOut checks that Jean does not log in and that no token of hers is good.
func (c *Cluster) MustBeLockedOut(tokens []string) {
	c.Helper()
	if c.CanLogIn(JeanLogin, JeanPassword) {
		c.Error("a user who is revoked or gone logs in")
	}
	c.MustBeVoid(tokens)
}

// MustBeVoid checks that no token is good.
func (c *Cluster) MustBeVoid(tokens []string) {
	c.Helper()
	if n := c.Good(tokens); n != 0 {
		c.Errorf("%d of %d void tokens are good", n, len(tokens))
	}
}

// AwaitVoid waits until no token is good.
func (c *Cluster) AwaitVoid(tokens []string) {
	c.Helper()
	c.Eventually("the tokens are void", func() bool { return c.Good(tokens) == 0 })
}

// AwaitLogIn waits until both login APIs let Jean in, which is the end of an emergency.
func (c *Cluster) AwaitLogIn() {
	c.Helper()
	c.Eventually("the user can log in again", func() bool { return len(c.LogIn(JeanLogin, JeanPassword)) == 2 })
}

// copyKeys copies the signing keys of a cluster into one without the service, as a backup does.
func (c *Cluster) copyKeys(from *Cluster) {
	c.Helper()
	keys := &corev1.Secret{}
	if err := from.Get(c.Context(), client.ObjectKey{Namespace: SystemNamespace, Name: "gatehouse-keys"}, keys); err != nil {
		c.Fatal(err)
	}
	backup := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: SystemNamespace, Name: "gatehouse-keys"}, Type: keys.Type, Data: keys.Data}
	if err := c.Create(context.Background(), backup); err != nil {
		c.Fatal(err)
	}
}
