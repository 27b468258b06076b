package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// cluster is a real API server, of which each test has its own, and Helm for it. Tests with a
// cluster do not run in parallel, because each starts an etcd and a kube-apiserver.
type cluster struct {
	client.Client
	t          *testing.T
	kubeconfig string
}

// startCluster starts an API server until the test ends.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Skip("KUBEBUILDER_ASSETS is not set; make test-chart sets it")
	}
	env := &envtest.Environment{}
	rest, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := client.New(rest, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, env.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	return &cluster{Client: c, t: t, kubeconfig: kubeconfig}
}

func (c *cluster) helm(args ...string) string {
	c.t.Helper()
	return mustHelm(c.t, append(args, "--kubeconfig", c.kubeconfig)...)
}

func (c *cluster) get(kind, namespace, name string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	groups := map[string]string{
		"CustomResourceDefinition": "apiextensions.k8s.io/v1", "User": "auth.gatehouse.dev/v1alpha1", "Deployment": "apps/v1",
		"Role": "rbac.authorization.k8s.io/v1", "Namespace": "v1",
	}
	o.SetAPIVersion(groups[kind])
	o.SetKind(kind)
	return o, c.Get(c.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o)
}

// must returns an object that has to be there and may not be about to go.
func (c *cluster) must(kind, namespace, name string) *unstructured.Unstructured {
	c.t.Helper()
	o, err := c.get(kind, namespace, name)
	if err != nil {
		c.t.Fatal(err)
	}
	if o.GetDeletionTimestamp() != nil {
		c.t.Fatalf("%s %s is being deleted", kind, name)
	}
	return o
}

func (c *cluster) create(o client.Object) {
	c.t.Helper()
	if err := c.Create(c.t.Context(), o); err != nil {
		c.t.Fatal(err)
	}
}

func user(namespace, name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "auth.gatehouse.dev/v1alpha1", "kind": "User",
		"metadata": map[string]any{"namespace": namespace, "name": name}, "spec": map[string]any{"displayName": "Jean"},
	}}
}

func TestUsersOutliveTheRelease(t *testing.T) {
	c := startCluster(t)
	install := []string{"install", "gatehouse", chart, "--namespace", systemNamespace, "--create-namespace"}
	if out := c.helm(install...); !strings.Contains(out, "https://gatehouse.gatehouse-system.svc") {
		t.Errorf("the notes do not have the URL of the service: %s", out)
	}
	c.must("Deployment", systemNamespace, "gatehouse")
	c.create(user(usersNamespace, "jeanjackson"))

	c.helm("uninstall", "gatehouse", "--namespace", systemNamespace)
	if _, err := c.get("Deployment", systemNamespace, "gatehouse"); !apierrors.IsNotFound(err) {
		t.Errorf("the Deployment is still there: %v", err)
	}
	c.must("CustomResourceDefinition", "", "users.auth.gatehouse.dev")
	c.must("Namespace", "", usersNamespace)
	before := c.must("User", usersNamespace, "jeanjackson")

	c.helm(install...)
	if after := c.must("User", usersNamespace, "jeanjackson"); after.GetUID() != before.GetUID() {
		t.Error("the User has another UID, so all tokens of the old one are void")
	}
	c.must("Role", usersNamespace, "gatehouse")
}

func TestUpgradeInstallsNewCRDs(t *testing.T) {
	c := startCluster(t)
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(old, "templates", "crds.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := strings.Replace(string(text), "categories:\n    - gatehouse", "categories:\n    - before", 1)
	if before == string(text) {
		t.Fatal("the CRD has no category to change")
	}
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	category := func() string {
		crd := c.must("CustomResourceDefinition", "", "users.auth.gatehouse.dev")
		names, _, err := unstructured.NestedStringSlice(crd.Object, "spec", "names", "categories")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names, ",")
	}
	c.helm("install", "gatehouse", old, "--namespace", systemNamespace, "--create-namespace")
	if got := category(); got != "before" {
		t.Fatalf("the CRD has category %q, want before", got)
	}
	c.create(user(usersNamespace, "jeanjackson"))
	c.helm("upgrade", "gatehouse", chart, "--namespace", systemNamespace)
	if got := category(); got != "gatehouse" {
		t.Errorf("after the upgrade the CRD has category %q, want gatehouse", got)
	}
	c.must("User", usersNamespace, "jeanjackson")
}

func TestTwoReleasesServeTheirOwnUsers(t *testing.T) {
	c := startCluster(t)
	c.helm("install", "gatehouse", chart, "--namespace", systemNamespace, "--create-namespace")
	c.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", Labels: map[string]string{"owner": "team-a"}}})
	c.helm("install", "other", chart, "--namespace", "auth", "--create-namespace", "--set", "users.namespaces={team-a,team-b},crds.install=false")
	c.must("Role", "team-a", "gatehouse")
	c.must("Role", "team-b", "gatehouse")
	if ns := c.must("Namespace", "", "team-a"); ns.GetLabels()["app.kubernetes.io/managed-by"] == "Helm" {
		t.Error("the release took over a namespace that it did not create")
	}
	c.helm("upgrade", "other", chart, "--namespace", "auth", "--set", "users.namespaces={team-a,team-b},crds.install=false,replicas=2")
	c.must("Namespace", "", "team-b")
}

func TestReleaseTakesOverWhatKustomizeInstalled(t *testing.T) {
	c := startCluster(t)
	nodes, err := build(config + "/default")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		data, err := n.MarshalJSON()
		o := &unstructured.Unstructured{}
		if err := errors.Join(err, o.UnmarshalJSON(data)); err != nil {
			t.Fatal(err)
		}
		if err := c.Patch(t.Context(), o, client.Apply, client.FieldOwner("kubectl")); err != nil { //nolint:staticcheck // any kind
			t.Fatal(err)
		}
	}
	before := c.must("Deployment", systemNamespace, "gatehouse")
	c.helm("install", "gatehouse", chart, "--namespace", systemNamespace, "--take-ownership", "--force-conflicts", "--set", "image.tag=2")
	after := c.must("Deployment", systemNamespace, "gatehouse")
	if after.GetUID() != before.GetUID() || after.GetLabels()["app.kubernetes.io/managed-by"] != "Helm" {
		t.Errorf("the release did not take over the Deployment: %v", after.GetLabels())
	}
}

// TestPodsPassPodSecurityRestricted asks the API server itself, in a namespace that enforces it.
func TestPodsPassPodSecurityRestricted(t *testing.T) {
	c := startCluster(t)
	c.helm("install", "gatehouse", chart, "--namespace", systemNamespace, "--create-namespace")
	var d appsv1.Deployment
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: systemNamespace, Name: "gatehouse"}, &d); err != nil {
		t.Fatal(err)
	}
	createPod := func(name string, change func(*corev1.PodSpec)) error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: name}, Spec: *d.Spec.Template.Spec.DeepCopy()}
		change(&pod.Spec)
		return c.Create(context.Background(), pod)
	}
	if err := createPod("as-it-is", func(*corev1.PodSpec) {}); err != nil {
		t.Error(err)
	}
	err := createPod("as-root", func(s *corev1.PodSpec) { s.SecurityContext = nil })
	if err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("the namespace does not enforce the restricted level: %v", err)
	}
}
