package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// story is the whole service on a real API server, with clients of both.
type story struct {
	*testing.T
	api  client.Client
	base string
	http *http.Client
}

const (
	storyLogin    = "jeanjackson@example.com"
	storyPassword = "a password for the story"
)

// TestUserLifecycle follows a user who is declared, gets tokens from both login APIs, has them
// verified, is revoked, deleted and declared again.
func TestUserLifecycle(t *testing.T) {
	s := newStory(t)
	user := s.declare()
	jwt, opaque := s.authorize(), s.authToken()
	s.mustVerify(jwt, http.StatusOK)
	s.mustVerify(opaque, http.StatusOK)

	start := time.Now()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"revoked":true}}`))
	if err := s.api.Patch(t.Context(), user, patch); err != nil {
		t.Fatal(err)
	}
	s.eventually("the token is refused", func() bool { return s.verify(jwt) == http.StatusUnauthorized })
	t.Logf("from the patch to the first refused request: %s", time.Since(start))
	s.mustVerify(opaque, http.StatusUnauthorized)
	if status, _ := s.post("/v1/users/authorize", ""); status != http.StatusUnauthorized {
		t.Errorf("a revoked user logs in: got status %d, want 401", status)
	}

	if err := s.api.Delete(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	s.declare()
	s.mustVerify(s.authorize(), http.StatusOK)
	s.mustVerify(jwt, http.StatusUnauthorized)
	s.mustVerify(opaque, http.StatusUnauthorized)
}

// The record of a revoked token stays when it is deleted, unless its finalizer is removed too
// (docs/how-to/install.md). Then the directory of the service follows.
func TestDeletedRecordLeavesTheDirectory(t *testing.T) {
	s := newStory(t)
	s.declare()
	opaque := s.authToken()
	if status, body := s.send(http.MethodDelete, "/rbac-api/v2/tokens/"+opaque, "", func(*http.Request) {}); status != http.StatusNoContent {
		t.Fatalf("revoke: %d %s", status, body)
	}
	s.mustVerify(opaque, http.StatusUnauthorized)
	if err := s.api.DeleteAllOf(t.Context(), &authv1alpha1.Token{}, client.InNamespace("gatehouse-users")); err != nil {
		t.Fatal(err)
	}
	s.mustVerify(opaque, http.StatusUnauthorized) // the record is held
	var held authv1alpha1.TokenList
	if err := s.api.List(t.Context(), &held, client.InNamespace("gatehouse-users")); err != nil || len(held.Items) == 0 {
		t.Fatalf("%d records, error %v", len(held.Items), err)
	}
	for i := range held.Items {
		letGo := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
		if err := s.api.Patch(t.Context(), &held.Items[i], letGo); err != nil {
			t.Fatal(err)
		}
	}
	s.eventually("the record is forgotten", func() bool { return s.verify(opaque) == http.StatusOK })
}

// newStory starts the service on the API server and waits until it is running.
func newStory(t *testing.T) *story {
	t.Helper()
	s, _ := newStoryWith(t, NewOptions(), apitest.Kubeconfig(t))
	return s
}

// newStoryWith is newStory with options and a way to reach the API server. It also returns the
// service itself.
func newStoryWith(t *testing.T, o *Options, kubeconfig string) (*story, *App) {
	t.Helper()
	t.Setenv("KUBECONFIG", kubeconfig)
	t.Setenv("POD_NAMESPACE", "gatehouse-system")
	s := &story{T: t, api: storyClient(t)}
	for _, name := range []string{"gatehouse-system", "gatehouse-users"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := s.api.Create(t.Context(), ns); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress, o.DrainDelay = "127.0.0.1:0", "127.0.0.1:0", noAddress, 0
	app := startApp(t, o)
	s.base = "https://" + app.Address().String()
	s.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.publishedCA()}}}
	s.eventually("the service is running", func() bool {
		status, body := s.get("/status/v1/simple", "")
		return status == http.StatusOK && body == "running"
	})
	return s, app
}

func storyClient(t *testing.T) client.Client {
	t.Helper()
	c, err := client.New(apitest.Config(t), client.Options{Scheme: apitest.Scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// publishedCA waits until the service has published its CA and returns it.
func (s *story) publishedCA() *x509.CertPool {
	s.Helper()
	pool := x509.NewCertPool()
	s.eventually("the CA is published", func() bool {
		var published corev1.ConfigMap
		err := s.api.Get(s.Context(), client.ObjectKey{Namespace: "gatehouse-users", Name: "gatehouse-ca"}, &published)
		return err == nil && pool.AppendCertsFromPEM([]byte(published.Data["ca.crt"]))
	})
	return pool
}

// declare creates a User and its Secret, and waits until the user can log in. It deletes the User
// when the test ends.
func (s *story) declare() *authv1alpha1.User {
	s.Helper()
	meta := metav1.ObjectMeta{Name: "story", Namespace: "gatehouse-users"}
	secret := &corev1.Secret{ObjectMeta: meta, Type: corev1.SecretTypeBasicAuth, StringData: map[string]string{"username": storyLogin, "password": storyPassword}}
	if err := s.api.Create(s.Context(), secret); err != nil && !apierrors.IsAlreadyExists(err) {
		s.Fatal(err)
	}
	user := &authv1alpha1.User{ObjectMeta: meta, Spec: authv1alpha1.UserSpec{Login: storyLogin, Passwords: []authv1alpha1.Password{{
		PlaintextFrom: &authv1alpha1.SecretSource{SecretKeyRef: authv1alpha1.SecretKeyRef{Name: "story", Key: "password"}},
	}}}}
	if err := s.api.Create(s.Context(), user); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := s.api.Delete(context.Background(), user); client.IgnoreNotFound(err) != nil {
			s.Error(err)
		}
	})
	s.eventually("the user can log in", func() bool { status, _ := s.post("/v1/users/authorize", ""); return status == http.StatusOK })
	return user
}

// authorize gets a JWT.
func (s *story) authorize() string {
	s.Helper()
	return s.member("access_token", "/v1/users/authorize", "")
}

// authToken gets an opaque token with a label.
func (s *story) authToken() string {
	s.Helper()
	return s.member("token", "/rbac-api/v1/auth/token", `{"login":"`+storyLogin+`","password":"`+storyPassword+`","label":"story"}`)
}

// member posts a request and returns one member of the JSON response.
func (s *story) member(name, path, body string) string {
	s.Helper()
	status, text := s.post(path, body)
	var response map[string]string
	if err := json.Unmarshal([]byte(text), &response); status != http.StatusOK || err != nil || response[name] == "" {
		s.Fatalf("%s: got status %d, %s", path, status, text)
	}
	return response[name]
}

func (s *story) mustVerify(token string, want int) {
	s.Helper()
	if got := s.verify(token); got != want {
		s.Errorf("verify: got status %d, want %d", got, want)
	}
}

func (s *story) verify(token string) int {
	status, _ := s.get("/auth/verify", "Bearer "+token)
	return status
}

func (s *story) get(path, authorization string) (int, string) {
	return s.send(http.MethodGet, path, "", func(r *http.Request) { r.Header.Set("Authorization", authorization) })
}

func (s *story) post(path, body string) (int, string) {
	return s.send(http.MethodPost, path, body, func(r *http.Request) {
		r.SetBasicAuth(storyLogin, storyPassword)
		r.Header.Set("Content-Type", "application/json")
	})
}

// send returns the status and the body of a response. Without a response the status is 0.
func (s *story) send(method, path, body string, change func(*http.Request)) (int, string) {
	r, err := http.NewRequestWithContext(s.Context(), method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	change(r)
	response, err := s.http.Do(r)
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

// eventually waits until a condition holds, or fails the test.
func (s *story) eventually(what string, holds func() bool) {
	s.Helper()
	apitest.Eventually(s.T, what, holds)
}
