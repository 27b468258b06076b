// Package tooltest tests what a tool makes of Users that it applies from Git. Each tool runs the same stories,
// against a real API server and a service that runs in the process of the test.
package tooltest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/cmd/serve"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// The namespaces of config/default.
const (
	SystemNamespace = "gatehouse-system"
	UsersNamespace  = "gatehouse-users"
)

// Cluster is an empty cluster that belongs to the test: an API server with the resources of Gatehouse, and
// the client of an administrator.
type Cluster struct {
	*testing.T
	client.Client
	Config     *rest.Config
	Kubeconfig string   // path of a kubeconfig of the administrator
	service    *service // once it runs
}

// service is the service that runs in the process of the test.
type service struct {
	namespaces []string
	base       string // URL
	http       *http.Client
	stop       func() error
}

// In returns the same cluster for a subtest.
func (c *Cluster) In(t *testing.T) *Cluster {
	sub := *c
	sub.T = t
	return &sub
}

// SharedCluster returns the cluster that several tests use, one after the other. It is empty for the next test
// after this one, also if it fails.
func SharedCluster(t *testing.T) *Cluster {
	t.Helper()
	c := &Cluster{T: t, Config: apitest.Config(t), Kubeconfig: apitest.Kubeconfig(t)}
	c.Config.QPS = -1 // a tool that waits for a slot says so at its deadline, and not what it waited for
	c.Client = apitest.NewClient(t, c.Config, nil)
	t.Cleanup(func() {
		for _, kind := range []client.Object{&authv1alpha1.User{}, &authv1alpha1.Revocation{}, &corev1.Secret{}} {
			if err := c.DeleteAllOf(context.Background(), kind, client.InNamespace(UsersNamespace)); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

// NewCluster starts an API server with the CRDs of Gatehouse and those in files. Tests with a cluster do
// not run in parallel.
func NewCluster(t *testing.T, crds ...string) *Cluster {
	t.Helper()
	assets := apitest.Assets(t)
	definitions, err := apitest.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: assets,
		CRDInstallOptions:     envtest.CRDInstallOptions{CRDs: definitions, Paths: crds, MaxTime: 4 * apitest.Timeout},
		ErrorIfCRDPathMissing: true,
	}
	config, err := env.Start()
	if err != nil {
		t.Fatal(errors.Join(err, env.Stop()))
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	config.QPS = -1
	c := &Cluster{T: t, Client: apitest.NewClient(t, config, nil), Config: config, Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	if err := os.WriteFile(c.Kubeconfig, env.KubeConfig, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// Serve starts the service, which serves the Users of namespaces until the test ends, and waits until it answers.
func (c *Cluster) Serve(namespaces ...string) {
	c.Helper()
	for _, name := range append([]string{SystemNamespace}, namespaces...) {
		err := c.Create(c.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			c.Fatal(err)
		}
	}
	c.Setenv("KUBECONFIG", c.Kubeconfig)
	c.Setenv("POD_NAMESPACE", SystemNamespace)
	c.service = &service{namespaces: namespaces}
	c.start()
	c.Cleanup(func() {
		if err := c.service.stop(); err != nil {
			c.Errorf("Run: %v", err)
		}
	})
}

// Restart stops the service, and starts it again.
func (c *Cluster) Restart() {
	c.Helper()
	if err := c.service.stop(); err != nil {
		c.Fatalf("Run: %v", err)
	}
	c.start()
}

func (c *Cluster) start() {
	c.Helper()
	o := serve.NewOptions()
	o.Namespaces = c.service.namespaces
	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress, o.DrainDelay = "127.0.0.1:0", "127.0.0.1:0", "0", 0
	if err := o.Validate(); err != nil {
		c.Fatal(err)
	}
	app, err := serve.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- app.Run(ctx) }()
	s := c.service
	s.stop = func() error {
		cancel()
		return <-stopped
	}
	s.base = "https://" + app.Address().String()
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.publishedCA(s.namespaces[0])}}}
	c.Eventually("the service answers logins", func() bool {
		status, _ := c.Send(http.MethodPost, "/v1/users/authorize", "", func(r *http.Request) { r.SetBasicAuth("nobody", "") })
		return status == http.StatusUnauthorized
	})
}

// publishedCA waits until the service has published its CA and returns it.
func (c *Cluster) publishedCA(namespace string) *x509.CertPool {
	c.Helper()
	pool := x509.NewCertPool()
	c.Eventually("the CA is published", func() bool {
		var published corev1.ConfigMap
		err := c.Get(c.Context(), client.ObjectKey{Namespace: namespace, Name: "gatehouse-ca"}, &published)
		return err == nil && pool.AppendCertsFromPEM([]byte(published.Data["ca.crt"]))
	})
	return pool
}

// Eventually waits until holds returns true, or fails the test after apitest.Timeout.
func (c *Cluster) Eventually(what string, holds func() bool) {
	c.Helper()
	apitest.Eventually(c.T, what, holds)
}

// Send returns the status and the body of a response, or 0 and the error.
func (c *Cluster) Send(method, path, body string, change func(*http.Request)) (int, string) {
	r, err := http.NewRequestWithContext(c.Context(), method, c.service.base+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	response, err := c.service.http.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// LogIn returns a JWT and an opaque token with a label, as far as the two login APIs accept the login.
func (c *Cluster) LogIn(login, password string) (tokens []string) {
	c.Helper()
	basic := func(r *http.Request) { r.SetBasicAuth(login, password) }
	credentials, err := json.Marshal(map[string]string{"login": login, "password": password, "label": "gitops"})
	if err != nil {
		c.Fatal(err)
	}
	for path, body := range map[string]string{"/v1/users/authorize": "", "/rbac-api/v1/auth/token": string(credentials)} {
		status, text := c.Send(http.MethodPost, path, body, basic)
		var response struct {
			JWT    string `json:"access_token"`
			Opaque string `json:"token"`
		}
		switch err := json.Unmarshal([]byte(text), &response); {
		case status == http.StatusOK && err == nil && response.JWT+response.Opaque != "":
			tokens = append(tokens, response.JWT+response.Opaque)
		case status != http.StatusUnauthorized:
			c.Fatalf("%s: status %d, %s", path, status, text)
		}
	}
	return tokens
}

// CanLogIn reports whether at least one login API accepts the login.
func (c *Cluster) CanLogIn(login, password string) bool {
	c.Helper()
	return len(c.LogIn(login, password)) > 0
}

// Good returns how many of the tokens the service accepts.
func (c *Cluster) Good(tokens []string) int {
	n := 0
	for _, token := range tokens {
		status, _ := c.Send(http.MethodGet, "/auth/verify", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
		if status == http.StatusOK {
			n++
		}
	}
	return n
}

// UID returns the user id in the JWT among tokens.
func (c *Cluster) UID(tokens []string) string {
	c.Helper()
	for _, token := range tokens {
		parts := strings.Split(token, ".")
		if len(parts) != 3 {
			continue
		}
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		var claims struct{ UID string }
		if err := errors.Join(err, json.Unmarshal(raw, &claims)); err != nil {
			c.Fatal(err)
		}
		return claims.UID
	}
	c.Fatal("there is no JWT")
	return ""
}

// User returns a User as it is.
func (c *Cluster) User(namespace, name string) *authv1alpha1.User {
	c.Helper()
	u := &authv1alpha1.User{}
	if err := c.Get(c.Context(), client.ObjectKey{Namespace: namespace, Name: name}, u); err != nil {
		c.Fatal(err)
	}
	return u
}

// Decode returns the objects in a text of YAML documents.
func Decode(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		switch err := decoder.Decode(o); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		case len(o.Object) > 0:
			all = append(all, o)
		}
	}
}

// Copies returns copies of objects, because tools write into what they apply.
func Copies(objects []*unstructured.Unstructured) []*unstructured.Unstructured {
	all := make([]*unstructured.Unstructured, len(objects))
	for i, o := range objects {
		all[i] = o.DeepCopy()
	}
	return all
}
