package gitops

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/ssa"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
	"github.com/gatehouse-auth/gatehouse/test/apitest/tooltest"
)

// flux is the library with which Flux's kustomize-controller applies, waits and prunes.
type flux struct{}

func (flux) manager(c *tooltest.Cluster) *ssa.ResourceManager {
	poller := polling.NewStatusPoller(c.Client, c.RESTMapper(), polling.Options{})
	return ssa.NewResourceManager(c.Client, poller, ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"})
}

// owned returns copies of objects with the labels that Flux gives what it applies.
func (flux) owned(m *ssa.ResourceManager, objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	objects = tooltest.Copies(objects)
	m.SetOwnerLabels(objects, "users", "flux-system")
	return objects
}

func (f flux) Apply(c *tooltest.Cluster, git []*unstructured.Unstructured) {
	c.Helper()
	m := f.manager(c)
	if _, err := m.ApplyAll(c.Context(), f.owned(m, git), ssa.DefaultApplyOptions()); err != nil {
		c.Fatal(err)
	}
}

func (f flux) Wait(c *tooltest.Cluster, git []*unstructured.Unstructured, timeout time.Duration) error {
	return f.manager(c).Wait(git, ssa.WaitOptions{Interval: 100 * time.Millisecond, Timeout: timeout})
}

func (f flux) Drift(c *tooltest.Cluster, git []*unstructured.Unstructured) (drift []string) {
	c.Helper()
	m := f.manager(c)
	for _, o := range f.owned(m, git) {
		entry, _, _, err := m.Diff(c.Context(), o, ssa.DefaultDiffOptions())
		if err != nil {
			c.Fatal(err)
		}
		if entry.Action != ssa.UnchangedAction {
			drift = append(drift, entry.String())
		}
	}
	return drift
}

func (f flux) Prune(c *tooltest.Cluster, gone []*unstructured.Unstructured) {
	c.Helper()
	m := f.manager(c)
	o := ssa.DefaultDeleteOptions()
	o.Inclusions = m.GetOwnerLabels("users", "flux-system")
	if _, err := m.DeleteAll(c.Context(), tooltest.Copies(gone), o); err != nil {
		c.Fatal(err)
	}
	if err := m.WaitForTermination(tooltest.Copies(gone), ssa.WaitOptions{Interval: 100 * time.Millisecond, Timeout: apitest.Timeout}); err != nil {
		c.Fatal(err)
	}
}

// judge returns the status of each object by kstatus, and reports whether all are Current.
func judge(c *tooltest.Cluster, objects []*unstructured.Unstructured) (results []string, current bool) {
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

func TestGitsWordHolds(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(usersNamespace)
	for name, tool := range map[string]tooltest.Tool{"Flux": flux{}, "kubectl": kubectl{}} {
		t.Run(name, func(t *testing.T) { tooltest.TestGitsWordHolds(c.In(t), tool, tooltest.Jean(t)) })
	}
}

func TestGitUndoesAPatchAndRevivesNoToken(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(usersNamespace)
	for name, tool := range map[string]tooltest.Tool{"Flux": flux{}, "kubectl": kubectl{force: true}} {
		t.Run(name, func(t *testing.T) { tooltest.TestGitUndoesAPatchAndRevivesNoToken(c.In(t), tool, tooltest.Jean(t)) })
	}
}

func TestRestoreIntoAnEmptyClusterRevivesNoToken(t *testing.T) {
	for name, tool := range map[string]tooltest.Tool{"Flux": flux{}, "kubectl": kubectl{}} {
		t.Run(name, func(t *testing.T) { tooltest.TestRestoreRevivesNoToken(t, tool, tooltest.Jean(t)) })
	}
}

// A broken User is reported with its reason, by Flux, kstatus and kubectl, and is not waited for without one.
func TestToolsReportBrokenUsers(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(usersNamespace)
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
	tool := flux{}
	tool.Apply(c, broken)
	tool.Apply(c, missing)
	c.Eventually("the service has looked at both", func() bool {
		return c.User(usersNamespace, "broken").Status.State != "" && c.User(usersNamespace, "missing").Status.State != ""
	})
	says := func(who, said, name, want string) {
		t.Helper()
		if !strings.Contains(said, name) || !strings.Contains(said, want) {
			t.Errorf("%s says %q of the User %s, want %s", who, said, name, want)
		}
	}
	says("Flux", fmt.Sprint(tool.Wait(c, broken[1:], 2*time.Second)), "broken", "Failed")
	says("Flux", fmt.Sprint(tool.Wait(c, missing, 2*time.Second)), "missing", "InProgress")
	results, _ := judge(c, append(broken[1:], missing...))
	says("kstatus", results[0], "broken", "Failed")
	says("kstatus", results[1], "missing", "InProgress")
	runKubectl(c, "", "wait", "--for=condition=Stalled", "-n", usersNamespace, "user/broken", "--timeout="+apitest.Timeout.String())
	table := runKubectl(c, "", "get", "users", "-n", usersNamespace, "-o", "wide")
	says("kubectl", table, "broken", "InvalidHash")
	says("kubectl", table, "missing", "SecretNotFound")
	tool.Prune(c, append(broken, missing...))
}
