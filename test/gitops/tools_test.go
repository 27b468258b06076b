package gitops

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/ssa"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// tool is something that makes a cluster look like Git.
type tool interface {
	// apply applies objects and returns how many of them it created or changed.
	apply(c *cluster, objects []*unstructured.Unstructured) int
	// wait waits until objects are as they are meant to be.
	wait(c *cluster, objects []*unstructured.Unstructured, timeout time.Duration) error
	// prune deletes objects that left Git, and waits until they are gone.
	prune(c *cluster, objects []*unstructured.Unstructured)
}

// flux is the library with which Flux's kustomize-controller applies, waits and prunes.
type flux struct{}

func (flux) manager(c *cluster) *ssa.ResourceManager {
	poller := polling.NewStatusPoller(c.Client, c.RESTMapper(), polling.Options{})
	return ssa.NewResourceManager(c.Client, poller, ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"})
}

func (f flux) apply(c *cluster, objects []*unstructured.Unstructured) int {
	c.Helper()
	m := f.manager(c)
	objects = copies(objects)
	m.SetOwnerLabels(objects, "users", "flux-system")
	changes, err := m.ApplyAll(c.Context(), objects, ssa.DefaultApplyOptions())
	if err != nil {
		c.Fatal(err)
	}
	n := 0
	for _, entry := range changes.Entries {
		if entry.Action != ssa.UnchangedAction {
			n++
		}
	}
	return n
}

func (f flux) wait(c *cluster, objects []*unstructured.Unstructured, timeout time.Duration) error {
	return f.manager(c).Wait(objects, ssa.WaitOptions{Interval: 100 * time.Millisecond, Timeout: timeout})
}

func (f flux) prune(c *cluster, objects []*unstructured.Unstructured) {
	c.Helper()
	m := f.manager(c)
	o := ssa.DefaultDeleteOptions()
	o.Inclusions = m.GetOwnerLabels("users", "flux-system")
	if _, err := m.DeleteAll(c.Context(), copies(objects), o); err != nil {
		c.Fatal(err)
	}
	if err := m.WaitForTermination(copies(objects), ssa.WaitOptions{Interval: 100 * time.Millisecond, Timeout: apitest.Timeout}); err != nil {
		c.Fatal(err)
	}
}

// serverSideApply sends what kubectl apply --server-side and Argo CD's ServerSideApply send, under the name of
// a field manager, and judges with kstatus.
type serverSideApply struct{ manager string }

func (s serverSideApply) apply(c *cluster, objects []*unstructured.Unstructured) int {
	c.Helper()
	n := 0
	for _, o := range copies(objects) {
		before := o.DeepCopy()
		if err := c.Get(c.Context(), client.ObjectKeyFromObject(o), before); client.IgnoreNotFound(err) != nil {
			c.Fatal(err)
		}
		if err := c.Apply(c.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(s.manager)); err != nil {
			c.Fatal(err)
		}
		after := o.DeepCopy()
		if err := c.Get(c.Context(), client.ObjectKeyFromObject(o), after); err != nil {
			c.Fatal(err)
		}
		if differ(before, after) {
			n++
		}
	}
	return n
}

// differ reports whether an apply has changed an object. Others write the status of a User meanwhile, which
// changes its version and not its generation; a Secret has no generation.
func differ(before, after *unstructured.Unstructured) bool {
	if before.GetUID() != after.GetUID() || before.GetGeneration() != after.GetGeneration() {
		return true
	}
	return after.GetGeneration() == 0 && before.GetResourceVersion() != after.GetResourceVersion()
}

func (serverSideApply) wait(c *cluster, objects []*unstructured.Unstructured, timeout time.Duration) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(timeout); ; <-ticker.C {
		results, current := judge(c, objects)
		if current || time.Now().After(end) {
			if current {
				return nil
			}
			return fmt.Errorf("timeout: %s", strings.Join(results, "; "))
		}
	}
}

func (serverSideApply) prune(c *cluster, objects []*unstructured.Unstructured) {
	c.Helper()
	for _, o := range copies(objects) {
		if err := c.Delete(c.Context(), o); client.IgnoreNotFound(err) != nil {
			c.Fatal(err)
		}
		c.eventually(o.GetName()+" is gone", func() bool {
			err := c.Get(c.Context(), client.ObjectKeyFromObject(o), o.DeepCopy())
			return err != nil && client.IgnoreNotFound(err) == nil
		})
	}
}

// judge returns the status of each object by kstatus, and reports whether all are Current.
func judge(c *cluster, objects []*unstructured.Unstructured) (results []string, current bool) {
	c.Helper()
	current = true
	for _, o := range objects {
		live := o.DeepCopy()
		if err := c.Get(c.Context(), client.ObjectKeyFromObject(o), live); err != nil {
			c.Fatal(err)
		}
		result, err := status.Compute(live)
		if err != nil {
			c.Fatal(err)
		}
		current = current && result.Status == status.CurrentStatus
		results = append(results, fmt.Sprintf("%s %s is %s: %s", o.GetKind(), o.GetName(), result.Status, result.Message))
	}
	return results, current
}

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

const (
	jeanLogin    = "jean@example.com"
	jeanPassword = "Harbour-Thimble-58"
)

// TestGitsWordHolds takes one user through everything that a GitOps tool does: apply, an emergency, the next
// reconciliation, the end of the emergency, pruning and creation again.
func TestGitsWordHolds(t *testing.T) {
	shared := sharedCluster(t)
	shared.serve(usersNamespace)
	for name, tool := range map[string]tool{
		"Flux":                        flux{},
		"kubectl apply --server-side": serverSideApply{"kubectl"},
		"Argo CD's field manager":     serverSideApply{"argocd-controller"},
	} {
		t.Run(name, func(t *testing.T) {
			c := shared.in(t)
			git := decode(t, jeanInGit)
			if n := tool.apply(c, git); n != 2 {
				t.Errorf("applied %d objects, want 2", n)
			}
			c.mustWait(tool, git)
			first := c.mustLogIn()
			c.mustNotDrift(tool, git)
			c.emergency(tool, git, first)
			c.pruneAndCreateAgain(tool, git, first)
			tool.prune(c, git)
		})
	}
}

// emergency revokes the user beside Git, lets the tool reconcile, and ends the emergency.
func (c *cluster) emergency(tool tool, git []*unstructured.Unstructured, tokens []string) {
	c.Helper()
	r := &authv1alpha1.Revocation{ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: "jean"}}
	r.Spec.UserRef.Name, r.Spec.Reason = "jean", "laptop stolen"
	if err := c.Create(c.Context(), r); err != nil {
		c.Fatal(err)
	}
	c.eventually("the tokens are void", func() bool { return c.good(tokens) == 0 })
	for range 3 {
		c.mustNotDrift(tool, git)
		c.mustWait(tool, git)
		if c.canLogIn(jeanLogin, jeanPassword) || c.good(tokens) != 0 {
			c.Error("a reconciliation has undone the revocation")
		}
	}
	if err := c.Delete(c.Context(), r); err != nil {
		c.Fatal(err)
	}
	c.eventually("the user can log in again", func() bool { return len(c.login(jeanLogin, jeanPassword)) == 2 })
	if n := c.good(tokens); n != 0 {
		c.Errorf("%d tokens have come back to life", n)
	}
	c.mustNotDrift(tool, git)
}

// pruneAndCreateAgain lets the user leave Git and come back. The tokens of the first one stay void, and the
// second one is another user.
func (c *cluster) pruneAndCreateAgain(tool tool, git []*unstructured.Unstructured, old []string) {
	c.Helper()
	before := c.mustLogIn()
	tool.prune(c, git)
	c.eventually("the tokens of the deleted user are void", func() bool { return c.good(before) == 0 })
	if c.canLogIn(jeanLogin, jeanPassword) {
		c.Error("a user who left Git logs in")
	}
	if n := tool.apply(c, git); n != 2 {
		c.Errorf("applied %d objects, want 2", n)
	}
	c.mustWait(tool, git)
	after := c.mustLogIn()
	if c.uidOf(after) == c.uidOf(before) {
		c.Error("the user has the identity of the deleted one")
	}
	if n := c.good(before) + c.good(old); n != 0 {
		c.Errorf("%d tokens have come back to life", n)
	}
	c.mustNotDrift(tool, git)
}

func (c *cluster) mustWait(tool tool, git []*unstructured.Unstructured) {
	c.Helper()
	if err := tool.wait(c, git, apitest.Timeout); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) mustNotDrift(tool tool, git []*unstructured.Unstructured) {
	c.Helper()
	if n := tool.apply(c, git); n != 0 {
		c.Errorf("%d objects differ from Git", n)
	}
}

// mustLogIn logs Jean in and checks that the tokens are those of the User in the cluster.
func (c *cluster) mustLogIn() []string {
	c.Helper()
	tokens := c.login(jeanLogin, jeanPassword)
	if n := c.good(tokens); len(tokens) != 2 || n != 2 {
		c.Fatalf("%d of %d tokens are good, want 2 of 2", n, len(tokens))
	}
	if uid := string(c.user(usersNamespace, "jean").UID); c.uidOf(tokens) != uid {
		c.Errorf("the tokens are those of %s, want %s", c.uidOf(tokens), uid)
	}
	return tokens
}

// Disaster recovery: Git and a backup of the keys, in a cluster that has neither Users nor records.
func TestRestoreIntoAnEmptyClusterRevivesNoToken(t *testing.T) {
	lost := sharedCluster(t)
	lost.serve(usersNamespace)
	git := decode(t, jeanInGit)
	tool := flux{}
	tool.apply(lost, git)
	lost.mustWait(tool, git)
	old := lost.mustLogIn()
	keys := &corev1.Secret{}
	if err := lost.Get(t.Context(), client.ObjectKey{Namespace: systemNamespace, Name: "gatehouse-keys"}, keys); err != nil {
		t.Fatal(err)
	}

	restored := newCluster(t)
	for _, name := range []string{systemNamespace, usersNamespace} {
		if err := restored.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	backup := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "gatehouse-keys"}, Type: keys.Type, Data: keys.Data}
	if err := restored.Create(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	tool.apply(restored, git)
	restored.serve(usersNamespace)
	restored.mustWait(tool, git)
	if n := restored.good(old); n != 0 {
		t.Errorf("%d tokens of the lost cluster are good", n)
	}
	restored.mustLogIn()
	restored.mustNotDrift(tool, git)
	tool.prune(lost, git)
}

// A broken User is reported with its reason, by every tool, and is not waited for without one.
func TestToolsReportBrokenUsers(t *testing.T) {
	c := sharedCluster(t)
	c.serve(usersNamespace)
	broken := decode(t, `
apiVersion: v1
kind: Secret
metadata: {name: broken, namespace: gatehouse-users}
stringData: {passwordHash: no hash}
---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: broken, namespace: gatehouse-users}
spec: {passwords: [{hashFrom: {secretKeyRef: {name: broken, key: passwordHash}}}]}
`)
	missing := decode(t, `
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: missing, namespace: gatehouse-users}
spec: {passwords: [{hashFrom: {secretKeyRef: {name: not-there, key: passwordHash}}}]}
`)
	for name, tool := range map[string]tool{"Flux": flux{}, "kstatus": serverSideApply{"kubectl"}} {
		tool.apply(c, broken)
		tool.apply(c, missing)
		c.eventually("the service has looked at both", func() bool {
			return c.user(usersNamespace, "broken").Status.State != "" && c.user(usersNamespace, "missing").Status.State != ""
		})
		err := tool.wait(c, broken[1:], 2*time.Second)
		if err == nil || !strings.Contains(err.Error(), "broken") || !strings.Contains(err.Error(), "Failed") {
			t.Errorf("%s says %v of a User with a broken hash", name, err)
		}
		err = tool.wait(c, missing, 2*time.Second)
		if err == nil || !strings.Contains(err.Error(), "missing") || !strings.Contains(err.Error(), "InProgress") {
			t.Errorf("%s says %v of a User without its Secret", name, err)
		}
		tool.prune(c, append(broken, missing...))
	}
}
