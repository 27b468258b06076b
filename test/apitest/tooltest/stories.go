package tooltest

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

// TestGitsWordHolds takes one user through everything that a GitOps tool does: apply, an emergency of each
// kind, the next reconciliation, restarts of the service, the end of the emergency, pruning and creation
// again. The service runs, and serves UsersNamespace. What Git says is Jean, or means the same.
func TestGitsWordHolds(c *Cluster, tool Tool, git []*unstructured.Unstructured) {
	if drift := tool.Drift(c, git); len(drift) != len(git) {
		c.Errorf("before the first apply, %q differ from Git, want %d objects", drift, len(git))
	}
	tool.Apply(c, git)
	c.MustWait(tool, git)
	first := c.MustLogIn()
	c.MustNotDrift(tool, git)
	revocationBesideGit(c, tool, git)
	patchBesideGit(c, tool, git)
	pruneAndCreateAgain(c, tool, git)
	loginOfSomeoneElse(c, tool, git)
	c.MustBeVoid(first)
}

// revocationBesideGit revokes the user with a Revocation, lets the tool reconcile, and deletes it.
func revocationBesideGit(c *Cluster, tool Tool, git []*unstructured.Unstructured) {
	c.Helper()
	tokens := c.MustLogIn()
	r := &authv1alpha1.Revocation{ObjectMeta: metav1.ObjectMeta{Namespace: UsersNamespace, Name: "jean"}}
	r.Spec.UserRef.Name, r.Spec.Reason = "jean", "laptop stolen"
	if err := c.Create(c.Context(), r); err != nil {
		c.Fatal(err)
	}
	c.staysRevoked(tool, git, tokens)
	if err := c.Delete(c.Context(), r); err != nil {
		c.Fatal(err)
	}
	c.emergencyIsOver(tool, git, tokens)
}

// patchBesideGit revokes the user with a change of a field of which Git says nothing, under the name of another
// field manager, lets the tool reconcile, and undoes the change.
func patchBesideGit(c *Cluster, tool Tool, git []*unstructured.Unstructured) {
	c.Helper()
	tokens := c.MustLogIn()
	c.patchRevoked("true")
	c.staysRevoked(tool, git, tokens)
	c.patchRevoked("null")
	c.emergencyIsOver(tool, git, tokens)
}

// patchRevoked sets spec.revoked of Jean as someone does with kubectl patch --type merge.
func (c *Cluster) patchRevoked(value string) {
	c.Helper()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"revoked":`+value+`}}`))
	if err := c.Patch(c.Context(), c.User(UsersNamespace, "jean"), patch, client.FieldOwner("kubectl-patch")); err != nil {
		c.Fatal(err)
	}
}

func (c *Cluster) staysRevoked(tool Tool, git []*unstructured.Unstructured, tokens []string) {
	c.Helper()
	c.AwaitVoid(tokens)
	for _, between := range []func(){c.Restart, func() {}, func() {}} {
		c.MustNotDrift(tool, git)
		c.MustWait(tool, git)
		c.MustBeLockedOut(tokens)
		between()
	}
	c.MustBeLockedOut(tokens)
}

func (c *Cluster) emergencyIsOver(tool Tool, git []*unstructured.Unstructured, tokens []string) {
	c.Helper()
	c.AwaitLogIn()
	c.MustBeVoid(tokens)
	c.MustNotDrift(tool, git)
	c.MustWait(tool, git)
	c.MustBeVoid(tokens)
	c.Restart()
	c.AwaitLogIn()
	c.MustBeVoid(tokens)
}

// pruneAndCreateAgain lets the user leave Git and come back. The tokens of the first one stay void, and the
// second one is another user.
func pruneAndCreateAgain(c *Cluster, tool Tool, git []*unstructured.Unstructured) {
	c.Helper()
	before := c.MustLogIn()
	tool.Prune(c, git)
	c.AwaitVoid(before)
	c.MustBeLockedOut(before)
	tool.Apply(c, git)
	c.MustWait(tool, git)
	if c.UID(c.MustLogIn()) == c.UID(before) {
		c.Error("the user has the identity of the deleted one")
	}
	c.MustBeVoid(before)
	c.MustNotDrift(tool, git)
}

// loginOfSomeoneElse gives Jean's login to another person once Jean has left Git. Her password and her tokens are
// worth nothing then, and the tokens of the login are those of the other person.
func loginOfSomeoneElse(c *Cluster, tool Tool, git []*unstructured.Unstructured) {
	c.Helper()
	before := c.MustLogIn()
	tool.Prune(c, git)
	c.AwaitVoid(before)
	other := Decode(c.T, someoneElse)
	tool.Apply(c, other)
	c.MustWait(tool, other)
	if tokens := c.mustLogInAs("kim", kimPassword); c.UID(tokens) == c.UID(before) {
		c.Error("the new owner of the login has the identity of the old one")
	}
	c.MustBeLockedOut(before)
	c.MustNotDrift(tool, other)
	tool.Prune(c, other)
	if c.CanLogIn(JeanLogin, kimPassword) {
		c.Error("a user who left Git logs in")
	}
}

// TestGitUndoesAPatchAndRevivesNoToken revokes a user of whom Git says that she is not revoked. The tool sees the
// difference and undoes it, as it must; the tokens from before stay void.
func TestGitUndoesAPatchAndRevivesNoToken(c *Cluster, tool Tool, git []*unstructured.Unstructured) {
	git = Copies(git)
	if err := unstructured.SetNestedField(git[1].Object, false, "spec", "revoked"); err != nil {
		c.Fatal(err)
	}
	tool.Apply(c, git)
	c.MustWait(tool, git)
	tokens := c.MustLogIn()
	c.patchRevoked("true")
	c.AwaitVoid(tokens)
	c.MustBeLockedOut(tokens)
	if drift := c.drift(tool, git); len(drift) != 1 {
		c.Errorf("%q differ from Git, want the User alone", drift)
	}
	tool.Apply(c, git)
	c.MustWait(tool, git)
	c.emergencyIsOver(tool, git, tokens)
	tool.Prune(c, git)
	c.MustBeVoid(tokens)
}

// TestRestoreRevivesNoToken applies Git to a cluster that has neither Users nor records, after the keys came back
// from a backup.
func TestRestoreRevivesNoToken(t *testing.T, tool Tool, git []*unstructured.Unstructured) {
	lost := SharedCluster(t)
	lost.Serve(UsersNamespace)
	tool.Apply(lost, git)
	lost.MustWait(tool, git)
	old := lost.MustLogIn()

	restored := NewCluster(t)
	for _, name := range []string{SystemNamespace, UsersNamespace} {
		if err := restored.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	restored.copyKeys(lost)
	tool.Apply(restored, git)
	restored.Serve(UsersNamespace)
	restored.MustWait(tool, git)
	restored.MustBeVoid(old)
	restored.MustLogIn()
	restored.MustBeVoid(old)
	restored.MustNotDrift(tool, git)
	tool.Prune(lost, git)
}
