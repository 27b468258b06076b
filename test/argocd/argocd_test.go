package argocd

import (
	"strings"
	"testing"

	"github.com/argoproj/gitops-engine/pkg/health"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
	"github.com/gatehouse-auth/gatehouse/test/apitest/tooltest"
)

// application is a way in which people let Argo CD apply and compare.
type application struct {
	options
	git []*unstructured.Unstructured
}

// applications returns the ways by name.
func applications(t *testing.T) map[string]application {
	t.Helper()
	return map[string]application{
		"without options":      {options{}, tooltest.Jean(t)},
		"ServerSideApply=true": {options{ServerSideApply: true}, jeanWithNamedPassword(t)},
		"ServerSideDiff=true":  {options{ServerSideApply: true, ServerSideDiff: true}, jeanWithNamedPassword(t)},
	}
}

// jeanWithNamedPassword returns Jean with a name for her password, which Git leaves out otherwise.
func jeanWithNamedPassword(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	git := tooltest.Jean(t)
	passwords, _, err := unstructured.NestedSlice(git[1].Object, "spec", "passwords")
	if err != nil {
		t.Fatal(err)
	}
	first, _ := passwords[0].(map[string]any)
	first["name"] = "default"
	if err := unstructured.SetNestedSlice(git[1].Object, passwords, "spec", "passwords"); err != nil {
		t.Fatal(err)
	}
	return git
}

func TestGitsWordHolds(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(tooltest.UsersNamespace)
	for name, way := range applications(t) {
		t.Run(name, func(t *testing.T) { tooltest.TestGitsWordHolds(c.In(t), newArgoCD(way.options), way.git) })
	}
}

func TestSelfHealUndoesAPatchAndRevivesNoToken(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(tooltest.UsersNamespace)
	for name, way := range applications(t) {
		t.Run(name, func(t *testing.T) {
			tooltest.TestGitUndoesAPatchAndRevivesNoToken(c.In(t), newArgoCD(way.options), way.git)
		})
	}
}

func TestRestoreIntoAnEmptyClusterRevivesNoToken(t *testing.T) {
	tooltest.TestRestoreRevivesNoToken(t, newArgoCD(options{ServerSideApply: true}), jeanWithNamedPassword(t))
}

// docs/gitops.md tells people to name passwords if they use server-side apply. Once this test fails, Argo CD compares
// elements of lists whose key is a default, and the advice can go.
func TestServerSideApplyNeedsNamesOfPasswords(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(tooltest.UsersNamespace)
	for name, way := range applications(t) {
		argo := newArgoCD(way.options)
		for _, tc := range []struct {
			git   []*unstructured.Unstructured
			fails bool
		}{{jeanWithNamedPassword(t), false}, {tooltest.Jean(t), way.ServerSideApply}} {
			argo.Apply(c, tc.git)
			c.MustWait(argo, tc.git)
			if failed := fails(c, argo, tc.git); failed != tc.fails {
				t.Errorf("%s: the comparison failed: %t, want %t", name, failed, tc.fails)
			}
			argo.Prune(c, tc.git)
		}
	}
}

// fails reports whether Argo CD cannot compare objects with the cluster.
func fails(c *tooltest.Cluster, argo *argoCD, git []*unstructured.Unstructured) (failed bool) {
	c.Helper()
	defer func() { failed = failed || recover() != nil }() // the engine goes on after the error of a merge
	_, err := argo.compare(c, git)
	return err != nil
}

// inWave returns an object of a later sync wave: it is applied once all before it are healthy.
func inWave(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := tooltest.Decode(t, text)[0]
	o.SetAnnotations(map[string]string{"argocd.argoproj.io/sync-wave": "1"})
	return o
}

const appOfJean = `
apiVersion: v1
kind: ConfigMap
metadata: {name: app-of-jean, namespace: gatehouse-users}
`

// What needs a login comes in a later wave, and must not start before the login works.
func TestSyncWaveWaitsUntilTheUserCanLogIn(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(tooltest.UsersNamespace)
	argo := newArgoCD(options{ServerSideApply: true})
	jean := tooltest.Jean(t)
	secret, user, app := jean[0], jean[1], inWave(t, appOfJean)
	git := []*unstructured.Unstructured{user, app}
	argo.watch(c)
	synced := make(chan error, 1)
	go func() { synced <- argo.sync(c, git) }()
	c.Eventually("the User waits for its Secret", func() bool {
		worst := worstHealth(c, []*unstructured.Unstructured{user})
		return worst.Status == health.HealthStatusProgressing && strings.Contains(worst.Message, "SecretNotFound")
	})
	key := client.ObjectKeyFromObject(app)
	if err := c.Get(t.Context(), key, &corev1.ConfigMap{}); !apierrors.IsNotFound(err) {
		t.Errorf("the next wave has begun before the User is healthy: %v", err)
	}
	select {
	case err := <-synced:
		t.Fatalf("the sync has ended before the User is healthy: %v", err)
	default:
	}
	if err := c.Create(t.Context(), secret.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := <-synced; err != nil {
		t.Fatal(err)
	}
	c.MustLogIn()
	if err := c.Get(t.Context(), key, &corev1.ConfigMap{}); err != nil {
		t.Error(err)
	}
	argo.Prune(c, git)
	if err := c.Delete(t.Context(), secret.DeepCopy()); err != nil {
		t.Fatal(err)
	}
}

// A User that only an edit can mend is Degraded, with the reason, and what comes after it is not applied.
func TestSyncFailsAtABrokenUserWithTheReason(t *testing.T) {
	c := tooltest.SharedCluster(t)
	c.Serve(tooltest.UsersNamespace)
	argo := newArgoCD(options{ServerSideApply: true})
	broken := tooltest.Decode(t, `
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
	app := inWave(t, appOfJean)
	err := argo.sync(c, append(tooltest.Copies(broken), app))
	if err == nil || !strings.Contains(err.Error(), "broken") || !strings.Contains(err.Error(), "InvalidHash") {
		t.Errorf("the sync says %v, want the User and InvalidHash", err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(app), &corev1.ConfigMap{}); !apierrors.IsNotFound(err) {
		t.Errorf("what comes after a broken User is there: %v", err)
	}
	argo.Prune(c, broken)
}

// An Application that loses its source, or its path, prunes what it has applied. With the definitions, every User and
// every revocation in the cluster would go.
func TestPruneKeepsTheDefinitions(t *testing.T) {
	c := tooltest.NewCluster(t)
	c.Serve(tooltest.UsersNamespace)
	argo := newArgoCD(options{ServerSideApply: true})
	definitions := definitionsInGit(t)
	other := tooltest.Decode(t, appOfJean)
	jean := tooltest.Jean(t)
	for _, o := range jean {
		if err := c.Create(t.Context(), o.DeepCopy()); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range inApplication(definitions) {
		if err := c.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(o), client.FieldOwner(manager), client.ForceOwnership); err != nil {
			t.Fatal(err)
		}
	}
	argo.Apply(c, other)
	c.MustWait(argo, jean)
	tokens := c.MustLogIn()
	argo.awaitSeen(c, definitions)
	argo.Prune(c, other)
	for _, o := range tooltest.Copies(definitions) {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Errorf("%s: %v", o.GetName(), err)
		} else if o.GetAnnotations()[tracking] == "" || o.GetDeletionTimestamp() != nil {
			t.Errorf("%s does not belong to the Application, or is being deleted", o.GetName())
		}
	}
	if n := c.Good(tokens); n != len(tokens) {
		t.Errorf("%d of %d tokens are good after the prune", n, len(tokens))
	}
}

// definitionsInGit returns the custom resource definitions as they are installed.
func definitionsInGit(t *testing.T) (git []*unstructured.Unstructured) {
	t.Helper()
	definitions, err := apitest.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	for _, definition := range definitions {
		definition.TypeMeta = metav1.TypeMeta{APIVersion: apiextensionsv1.SchemeGroupVersion.String(), Kind: "CustomResourceDefinition"}
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(definition)
		if err != nil {
			t.Fatal(err)
		}
		delete(object, "status")
		git = append(git, &unstructured.Unstructured{Object: object})
	}
	return git
}
