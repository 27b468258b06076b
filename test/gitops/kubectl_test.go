package gitops

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
	"github.com/gatehouse-auth/gatehouse/test/apitest/tooltest"
)

// asKubectl is the variable that makes the test binary kubectl. kubectl ends its process when a command fails, and
// its exit codes mean something, so that it needs a process of its own.
const asKubectl = "GATEHOUSE_TEST_AS_KUBECTL"

// beKubectl is the main function of kubectl.
func beKubectl() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		cmdutil.CheckErr(err)
	}
}

// kubectlCommand returns a kubectl of the administrator, with a manifest in a file as its last argument unless
// there is none.
func kubectlCommand(c *tooltest.Cluster, manifest string, args ...string) *exec.Cmd {
	c.Helper()
	home := c.TempDir()
	if manifest != "" {
		file := filepath.Join(home, "manifest.yaml")
		if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
			c.Fatal(err)
		}
		args = append(slices.Clip(args), "-f", file)
	}
	self, err := os.Executable()
	if err != nil {
		c.Fatal(err)
	}
	command := exec.CommandContext(c.Context(), self, args...)
	command.Env = append(os.Environ(), asKubectl+"=1", "KUBECONFIG="+c.Kubeconfig, "HOME="+home, "KUBECTL_EXTERNAL_DIFF=")
	return command
}

// runKubectl returns what a kubectl command prints, which must succeed.
func runKubectl(c *tooltest.Cluster, manifest string, args ...string) string {
	c.Helper()
	out, err := tryKubectl(c, manifest, args...)
	if err != nil {
		c.Fatal(err)
	}
	return out
}

// tryKubectl returns what a kubectl command prints, and an error with what it says if it fails.
func tryKubectl(c *tooltest.Cluster, manifest string, args ...string) (string, error) {
	c.Helper()
	command := kubectlCommand(c, manifest, args...)
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	err := command.Run()
	if err != nil {
		err = errors.Join(err, errors.New(said.String()))
	}
	return out.String(), err
}

// inYAML returns objects as one file in Git.
func inYAML(c *tooltest.Cluster, objects []*unstructured.Unstructured) string {
	c.Helper()
	var all strings.Builder
	for _, o := range objects {
		raw, err := yaml.Marshal(o.Object)
		if err != nil {
			c.Fatal(err)
		}
		all.WriteString("---\n" + string(raw))
	}
	return all.String()
}

// kubectl is kubectl apply --server-side, in the hands of a person or of a pipeline.
type kubectl struct{ force bool }

func (k kubectl) Apply(c *tooltest.Cluster, git []*unstructured.Unstructured) {
	c.Helper()
	args := []string{"apply", "--server-side"}
	if k.force {
		args = append(args, "--force-conflicts")
	}
	runKubectl(c, inYAML(c, git), args...)
}

// Wait waits for the Users alone: a Secret has no conditions.
func (kubectl) Wait(c *tooltest.Cluster, git []*unstructured.Unstructured, timeout time.Duration) error {
	c.Helper()
	args := []string{"wait", "--for=condition=Ready", "--timeout=" + timeout.String(), "-n", usersNamespace}
	for _, o := range git {
		if o.GetKind() == "User" {
			args = append(args, "user/"+o.GetName())
		}
	}
	_, err := tryKubectl(c, "", args...)
	return err
}

// Drift returns a line of kubectl diff for each object that differs. Its exit code is 1 then.
func (k kubectl) Drift(c *tooltest.Cluster, git []*unstructured.Unstructured) (drift []string) {
	c.Helper()
	args := []string{"diff", "--server-side"}
	if k.force {
		args = append(args, "--force-conflicts")
	}
	out, err := tryKubectl(c, inYAML(c, git), args...)
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "diff ") {
			drift = append(drift, strings.TrimSpace(line))
		}
	}
	var exit *exec.ExitError
	if differs := errors.As(err, &exit) && exit.ExitCode() == 1; differs != (len(drift) > 0) || err != nil && !differs {
		c.Fatalf("kubectl diff: %v, %s", err, out)
	}
	return drift
}

func (kubectl) Prune(c *tooltest.Cluster, gone []*unstructured.Unstructured) {
	c.Helper()
	runKubectl(c, inYAML(c, gone), "delete", "--wait", "--timeout="+apitest.Timeout.String())
}

const (
	revocationOfJean = `
apiVersion: auth.gatehouse.dev/v1alpha1
kind: Revocation
metadata: {name: jean, namespace: gatehouse-users}
spec: {userRef: {name: jean}, reason: "laptop stolen, ticket 4711"}
`
	revoke = `{"spec":{"revoked":true}}`
)

// jeanByKubectl applies Jean, with a spec that says she is not revoked, and logs her in.
func jeanByKubectl(c *tooltest.Cluster) (git []*unstructured.Unstructured, tokens []string) {
	c.Helper()
	git = tooltest.Jean(c.T)
	if err := unstructured.SetNestedField(git[1].Object, false, "spec", "revoked"); err != nil {
		c.Fatal(err)
	}
	kubectl{}.Apply(c, git)
	c.MustWait(kubectl{}, git)
	return git, c.MustLogIn()
}

// The emergency as docs/how-to/revoke-at-once.md has it: someone applies a Revocation by hand, and the pipeline goes on.
func TestRevocationByKubectlOutlivesEveryApply(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(usersNamespace)
	git, tokens := jeanByKubectl(c)
	runKubectl(c, revocationOfJean, "apply", "--server-side")
	c.AwaitVoid(tokens)
	for _, tool := range []kubectl{{}, {force: true}} {
		c.MustNotDrift(tool, git)
		c.MustWait(tool, git)
		c.MustBeLockedOut(tokens)
	}
	runKubectl(c, revocationOfJean, "delete")
	c.AwaitLogIn()
	c.MustBeVoid(tokens)
	kubectl{}.Prune(c, git)
}

// A pipeline without --force-conflicts cannot end the emergency, and says who is in its way. With it, the user can
// log in again, and her tokens from before stay void.
func TestPatchByKubectlIsAConflictUntilForced(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(usersNamespace)
	git, tokens := jeanByKubectl(c)
	runKubectl(c, "", "patch", "-n", usersNamespace, "user/jean", "--type", "merge", "-p", revoke)
	c.AwaitVoid(tokens)
	_, err := tryKubectl(c, inYAML(c, git), "apply", "--server-side")
	if err == nil || !strings.Contains(err.Error(), "kubectl-patch") || !strings.Contains(err.Error(), ".spec.revoked") {
		t.Errorf("an apply without force says %v, want a conflict about .spec.revoked", err)
	}
	c.MustBeLockedOut(tokens)
	forced := kubectl{force: true}
	forced.Apply(c, git)
	c.MustWait(forced, git)
	c.AwaitLogIn()
	if c.User(usersNamespace, "jean").Status.TokensRevokedAt == nil {
		t.Error("status does not say when the tokens were revoked")
	}
	c.MustBeVoid(tokens)
	c.MustNotDrift(forced, git)
	forced.Prune(c, git)
}

// kubectl prunes what left a set of objects, which it marks with labels.
func TestKubectlPrunesAUserWhoLeftTheSet(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(usersNamespace)
	t.Setenv("KUBECTL_APPLYSET", "true")
	git := append(tooltest.Jean(t), decode(t, `
apiVersion: v1
kind: ConfigMap
metadata: {name: stays, namespace: gatehouse-users}
`)...)
	apply := func(objects []*unstructured.Unstructured) {
		t.Helper()
		runKubectl(c, inYAML(c, objects), "apply", "--server-side", "-n", usersNamespace, "--prune", "--applyset=in-git")
	}
	apply(git)
	c.MustWait(kubectl{}, git)
	tokens := c.MustLogIn()
	apply(git)
	if n := c.Good(tokens); n != len(tokens) {
		t.Errorf("%d of %d tokens are good after the set was applied again", n, len(tokens))
	}
	apply(git[2:])
	c.AwaitVoid(tokens)
	c.MustBeLockedOut(tokens)
	apply(git)
	c.MustWait(kubectl{}, git)
	if again := c.MustLogIn(); c.UID(again) == c.UID(tokens) {
		t.Error("the user has the identity of the pruned one")
	}
	c.MustBeVoid(tokens)
	kubectl{}.Prune(c, git)
	runKubectl(c, "", "delete", "secret", "-n", usersNamespace, "in-git")
}

// A person saves everything in the namespace with kubectl get, Tokens and status too, and creates it again.
func TestRestoreFromKubectlGetRevivesNoToken(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(usersNamespace)
	git, first := jeanByKubectl(c)
	second := c.MustLogIn()
	backup := runKubectl(c, "", "get", "-n", usersNamespace, "-o", "yaml", "secret/jean", "user/jean")
	records := runKubectl(c, "", "get", "tokens", "-n", usersNamespace, "-o", "yaml")
	if !strings.Contains(records, "kind: Token\n") {
		t.Fatalf("there are no Tokens to save: %s", records)
	}
	kubectl{}.Prune(c, git)
	runKubectl(c, "", "delete", "tokens", "-n", usersNamespace, "--all")
	c.AwaitVoid(append(first, second...))

	if _, err := tryKubectl(c, backup, "apply", "--server-side"); err == nil {
		t.Error("a server-side apply of objects with the uid of deleted ones succeeds")
	}
	runKubectl(c, backup, "create")
	runKubectl(c, records, "create")
	c.MustWait(kubectl{}, git)
	tokens := c.MustLogIn()
	if c.UID(tokens) == c.UID(first) {
		t.Error("the restored user has the identity of the lost one")
	}
	c.MustBeVoid(append(first, second...))
	kubectl{force: true}.Apply(c, git)
	c.MustNotDrift(kubectl{}, git)
	if n := c.Good(tokens); n != len(tokens) {
		t.Errorf("%d of %d tokens of the restored user are good", n, len(tokens))
	}
	c.MustBeVoid(append(first, second...))
	kubectl{}.Prune(c, git)
	runKubectl(c, "", "delete", "tokens", "-n", usersNamespace, "--all")
}
