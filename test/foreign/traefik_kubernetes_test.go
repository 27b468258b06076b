package foreign_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// TestTraefikInKubernetes runs Traefik with the resources of its page in a real API server.
func TestTraefikInKubernetes(t *testing.T) {
	path := program(t, "traefik")
	env := &envtest.Environment{BinaryAssetsDirectory: apitest.Assets(t)}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Log("stop the API server:", err)
		}
	})
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	module := strings.TrimSpace(run(t, nil, "go", "-C", "programs/traefik", "list", "-m", "-f", "{{.Dir}}", "github.com/traefik/traefik/v3"))
	definitions := filepath.Join(module, "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml")
	if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: []string{definitions}}); err != nil {
		t.Fatal(err)
	}
	admin, err := env.AddUser(envtest.User{Name: "traefik", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := admin.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", writeFile(t, "kubeconfig", string(kubeconfig)))
	api, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	api = client.WithFieldValidation(api, client.FieldValidation(metav1.FieldValidationStrict)) // as kubectl does
	started := 0
	proxies{away: http.StatusInternalServerError, start: func(t *testing.T, url, ca string) proxy {
		started++
		return startTraefikInKubernetes(t, path, api, fmt.Sprintf("app-%d", started), url, ca)
	}}.test(t)
}

// startTraefikInKubernetes starts Traefik with the resources of the page in a namespace of their own.
func startTraefikInKubernetes(t *testing.T, path string, api client.Client, namespace, url, ca string) proxy {
	t.Helper()
	address := freeAddress(t)
	certificate, key, roots := newCertificate(t)
	port := startApplication(t).Listener.Addr().String()
	port = port[strings.LastIndex(port, ":")+1:]
	in := metav1.ObjectMeta{Namespace: namespace}
	named := func(name string) metav1.ObjectMeta { in := in; in.Name = name; return in }
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.Secret{ObjectMeta: named("gatehouse-ca"), Data: map[string][]byte{"ca.crt": readFile(t, ca)}},
		&corev1.Secret{
			ObjectMeta: named("app-tls"), Type: corev1.SecretTypeTLS,
			Data: map[string][]byte{"tls.crt": readFile(t, certificate), "tls.key": readFile(t, key)},
		},
		// No Pod runs here, so the Service leads out of the cluster, to the application of the test.
		&corev1.Service{ObjectMeta: named("app"), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"}},
	}
	page := docsBlock(t, "forward-auth.md", "app-route.yaml",
		"https://gatehouse.gatehouse-system.svc", url,
		"namespace: app", "namespace: "+namespace,
		"port: 8080", "port: "+port,
		"Host(`app.example.com`)", "Host(`127.0.0.1`)")
	for document := range strings.SplitSeq(page, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, object)
	}
	for _, object := range objects {
		if err := api.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	start(t, address, path, "--entryPoints.websecure.address="+address, "--entryPoints.websecure.http.aliasHeadersStrategy=delete",
		"--providers.kubernetesCRD.namespaces="+namespace, "--providers.kubernetesCRD.allowExternalNameServices=true")
	p := newProxy(t, address, roots)
	p.awaitRoutes(t)
	return p
}

// awaitRoutes waits until a proxy that listens before it has read its routes has them.
func (p proxy) awaitRoutes(t *testing.T) {
	t.Helper()
	eventually(t, 60*time.Second, func() bool {
		response, err := p.client.Get(p.url)
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode != http.StatusNotFound
	})
}
