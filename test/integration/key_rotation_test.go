package integration_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/cmd/serve"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// rotatingServer is an API server that restarts with other keys for tokens of ServiceAccounts, at
// the same address and with the same certificates.
type rotatingServer struct {
	env *envtest.Environment
	*rest.Config
}

// startRotatingServer starts an API server with one key, and etcd, until the test ends.
func startRotatingServer(t *testing.T, key string) *rotatingServer {
	t.Helper()
	definitions, err := apitest.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	s := &rotatingServer{env: &envtest.Environment{
		BinaryAssetsDirectory:   apitest.Assets(t),
		CRDInstallOptions:       envtest.CRDInstallOptions{CRDs: definitions},
		ControlPlaneStopTimeout: 2 * time.Minute,
	}}
	first := s.env.ControlPlane.GetAPIServer()
	first.CertDir = t.TempDir() // one that envtest makes would go with the first API server
	setKeys(first, key, key)
	t.Cleanup(func() {
		if err := s.env.Stop(); err != nil {
			t.Log("stop the API server:", err)
		}
	})
	if s.Config, err = s.env.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// restart replaces the API server by one that accepts the given keys and signs with another one.
func (s *rotatingServer) restart(t *testing.T, signing string, accepted ...string) {
	t.Helper()
	old := s.env.ControlPlane.GetAPIServer()
	if err := old.Stop(); err != nil {
		t.Fatal(err)
	}
	next := &envtest.APIServer{
		SecureServing: old.SecureServing, Path: old.Path, CertDir: old.CertDir, EtcdURL: old.EtcdURL,
		StartTimeout: old.StartTimeout, StopTimeout: old.StopTimeout,
	}
	setKeys(next, signing, accepted...)
	s.env.ControlPlane.APIServer = next
	if err := next.Start(); err != nil {
		t.Fatal(err)
	}
}

// setKeys sets the keys of an API server. It gives up the watches of the service when it stops after
// as long as a request may take.
func setKeys(s *envtest.APIServer, signing string, accepted ...string) {
	s.Configure().Set("service-account-key-file", accepted...).Set("service-account-signing-key-file", signing).
		Set("request-timeout", "15s")
}

// newSigningKey writes a new key for tokens of ServiceAccounts to a file.
func newSigningKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, "sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
}

// workload logs in all the time with the newest token of its ServiceAccount.
type workload struct {
	loginClient
	token atomic.Pointer[string]

	logins  atomic.Int64
	refused sync.Map // answers other than 200
}

// loginClient logs in as one user.
type loginClient struct {
	client     *http.Client
	url, login string
}

// newLoginClient returns a client of the service at a URL whose CA is in a file, or soon will be.
func newLoginClient(t *testing.T, url, caFile, login string) loginClient {
	t.Helper()
	roots := x509.NewCertPool()
	eventually(t, 30*time.Second, func() bool {
		ca, err := os.ReadFile(filepath.Clean(caFile))
		return err == nil && roots.AppendCertsFromPEM(ca)
	})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	return loginClient{&http.Client{Transport: transport}, url, login}
}

// logIn returns the status of a login.
func (c loginClient) logIn(ctx context.Context, secret string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/users/authorize", http.NoBody)
	if err != nil {
		return 0, err
	}
	request.SetBasicAuth(c.login, secret)
	response, err := c.client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// run logs in until ctx ends.
func (w *workload) run(ctx context.Context) {
	for ctx.Err() == nil {
		token := *w.token.Load()
		status, err := w.logIn(ctx, token)
		if ctx.Err() != nil {
			return
		}
		if err != nil || status != http.StatusOK {
			w.refused.Store(keyIDOf(token), map[string]any{"status": status, "error": err, "logins before": w.logins.Load()})
			continue
		}
		w.logins.Add(1)
	}
}

// renew replaces the token every time that it was used, as fast as the API server issues them.
func (w *workload) renew(ctx context.Context, issue func() (string, error)) {
	for ctx.Err() == nil {
		before := w.logins.Load()
		if token, err := issue(); err == nil { // the API server is away while it restarts
			w.token.Store(&token)
		}
		for ctx.Err() == nil && w.logins.Load() < before+4 {
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// keyIDOf returns the id of the key that has signed a token.
func keyIDOf(token string) string {
	encoded, _, _ := strings.Cut(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(encoded)
	var header struct {
		KeyID string `json:"kid"`
	}
	_ = json.Unmarshal(raw, &header) // an empty id is that of no key
	return header.KeyID
}

// The API server gets a second key for tokens of ServiceAccounts, signs with it, and loses the first
// one. A workload that logs in all the time is not refused once. Then the first key is void.
func TestNoLoginIsRefusedWhileTheAPIServerChangesItsKey(t *testing.T) {
	if testing.Short() {
		t.Skip("restarts an API server twice")
	}
	first, second := newSigningKey(t), newSigningKey(t)
	cluster := startRotatingServer(t, first)
	t.Setenv("KUBECONFIG", writeFile(t, "kubeconfig", string(cluster.env.KubeConfig)))
	t.Setenv("POD_NAMESPACE", "gatehouse-system")
	api, err := client.New(cluster.Config, client.Options{Scheme: apitest.Scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gatehouse-system", "gatehouse-users", "shop"} {
		if err := api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	user := &authv1alpha1.User{}
	decode(t, docsBlock(t, identitiesPage, "user of the Pod"), user)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "billing", Namespace: "shop"}}
	for _, object := range []client.Object{user, account} {
		if err := api.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	base := runService(t, func(o *serve.Options) { o.Audience = []string{"gatehouse"} })
	issue := func() (string, error) {
		granted, err := kubernetes.NewForConfigOrDie(cluster.Config).CoreV1().ServiceAccounts("shop").
			CreateToken(t.Context(), "billing", &authenticationv1.TokenRequest{
				Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"gatehouse"}},
			}, metav1.CreateOptions{})
		if err != nil {
			return "", err
		}
		return granted.Status.Token, nil
	}
	old, err := issue()
	if err != nil {
		t.Fatal(err)
	}
	w := &workload{loginClient: newLoginClient(t, base, awaitCA(t, api), "shop-billing")}
	w.token.Store(&old)
	eventually(t, 60*time.Second, func() bool { status, err := w.logIn(t.Context(), old); return err == nil && status == http.StatusOK })

	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { w.run(ctx) })
	}
	all.Go(func() { w.renew(ctx, issue) })
	await := func(holds func() bool) {
		t.Helper()
		eventually(t, 120*time.Second, holds)
		more := w.logins.Load() + 100
		eventually(t, 60*time.Second, func() bool { return w.logins.Load() >= more })
	}
	// A key that is used within 10 seconds of a fetch is not known: the service fetches no more often.
	await(func() bool { return time.Since(begin) > 11*time.Second })
	cluster.restart(t, second, first, second)
	await(func() bool { return keyIDOf(*w.token.Load()) != keyIDOf(old) })
	if status, err := w.logIn(t.Context(), old); err != nil || status != http.StatusOK {
		t.Errorf("a token of the old key gets %d, %v while the API server has both keys", status, err)
	}
	cluster.restart(t, second, second)
	token := *w.token.Load()
	await(func() bool { return *w.token.Load() != token })
	stop()
	all.Wait()
	w.refused.Range(func(key, answer any) bool {
		t.Errorf("a good token of the key %s gets %v", key, answer)
		return true
	})
	t.Logf("%d logins", w.logins.Load())

	// An unknown key makes the service fetch the keys, among which the first one is no longer.
	_, rest, _ := strings.Cut(token, ".")
	unknown := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"unknown"}`)) + "." + rest
	eventually(t, 60*time.Second, func() bool {
		_, _ = w.logIn(t.Context(), unknown)
		status, err := w.logIn(t.Context(), old)
		return err == nil && status == http.StatusUnauthorized
	})
	if status, err := w.logIn(t.Context(), token); err != nil || status != http.StatusOK {
		t.Errorf("a token of the second key gets %d, %v after the first key is gone", status, err)
	}
}
