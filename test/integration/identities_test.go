package integration_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/cmd/serve"
	"github.com/gatehouse-auth/gatehouse/internal/assertion/assertiontest"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

const identitiesPage = "identities.md"

// runService runs the service until the test ends, and returns its URL.
func runService(t *testing.T, change func(*serve.Options)) string {
	t.Helper()
	o := serve.NewOptions()
	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress, o.DrainDelay, o.PrintCurl = "127.0.0.1:0", "127.0.0.1:0", "0", 0, ""
	change(o)
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	app, err := serve.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- app.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "https://" + app.Address().String()
}

// runStandalone runs the service on manifests and a file of trusted issuers until the test ends. It
// returns its URL and the file in which its CA soon is.
func runStandalone(t *testing.T, manifests, trusted string) (base, ca string) {
	t.Helper()
	users, state := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(users, "users.yaml"), []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	base = runService(t, func(o *serve.Options) {
		o.Manifests, o.StateDir, o.TrustedIssuers = users, state, writeFile(t, "trusted.yaml", trusted)
	})
	return base, filepath.Join(state, "ca.crt")
}

// script runs a script of the documentation and returns what it prints.
func script(t *testing.T, text string, environment ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "set -e\n"+text)
	cmd.Env = append(os.Environ(), environment...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%w: %s", err, &stderr)
	}
	return string(out), nil
}

func TestPodLogsInWithoutASecret(t *testing.T) {
	cluster := apitest.Config(t)
	t.Setenv("KUBECONFIG", apitest.Kubeconfig(t))
	t.Setenv("POD_NAMESPACE", "gatehouse-system")
	api, err := client.New(cluster, client.Options{Scheme: apitest.Scheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gatehouse-system", "gatehouse-users", "shop"} {
		err := api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	user := &authv1alpha1.User{}
	decode(t, docsBlock(t, identitiesPage, "user of the Pod"), user)
	if err := api.Create(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	decode(t, docsBlock(t, identitiesPage, "the Pod"), pod)
	projected := pod.Spec.Volumes[0].Projected.Sources[0].ServiceAccountToken
	base := runService(t, func(*serve.Options) {})
	ca := awaitCA(t, api)

	request := func(account string, audience string) string {
		object := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: "shop"}}
		if err := api.Create(t.Context(), object); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
		accounts := kubernetes.NewForConfigOrDie(cluster).CoreV1().ServiceAccounts("shop")
		granted, err := accounts.CreateToken(t.Context(), account, &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: projected.ExpirationSeconds},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return writeFile(t, "gatehouse", granted.Status.Token)
	}
	run := func(file string) (string, error) {
		return script(t, docsBlock(t, identitiesPage, "a JWT, an opaque token, and a JWT by token exchange",
			"https://gatehouse.gatehouse-system.svc", base, "/etc/gatehouse/ca.crt", ca, "/var/run/secrets/tokens/gatehouse", file))
	}
	file := request(pod.Spec.ServiceAccountName, projected.Audience)
	var out string
	eventually(t, 60*time.Second, func() bool {
		out, err = run(file)
		return err == nil
	})
	for _, want := range []string{`"access_token":"ey`, `"token":"0`, `"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the commands print %q, without %q", out, want)
		}
	}
	t.Run("a Pod of another ServiceAccount is refused as with a wrong password", func(t *testing.T) {
		curl := func(secret string) string {
			out, err := script(t, fmt.Sprintf(`curl --silent --include --cacert %s -X POST %s/v1/users/authorize -u "shop-billing:%s"`, ca, base, secret))
			if err != nil {
				t.Fatal(err)
			}
			return regexp.MustCompile(`(?im)^(date|x-request-id):.*\n`).ReplaceAllString(out, "")
		}
		want := curl("wrong password")
		for name, file := range map[string]string{
			"another ServiceAccount": request("other", projected.Audience), "another audience": request("billing", "https://kubernetes.default.svc"),
		} {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := curl(string(text)); got != want || !strings.Contains(got, "401") {
				t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
			}
		}
	})
	t.Run("the status of the User is Ready", func(t *testing.T) {
		eventually(t, 30*time.Second, func() bool {
			err := api.Get(t.Context(), client.ObjectKeyFromObject(user), user)
			return err == nil && user.Status.State == authv1alpha1.UserActive
		})
	})
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// awaitCA returns a file with the CA that the service publishes.
func awaitCA(t *testing.T, api client.Client) string {
	t.Helper()
	published := &corev1.ConfigMap{}
	eventually(t, 60*time.Second, func() bool {
		err := api.Get(t.Context(), client.ObjectKey{Namespace: "gatehouse-users", Name: "gatehouse-ca"}, published)
		return err == nil && published.Data["ca.crt"] != ""
	})
	return writeFile(t, "ca.crt", published.Data["ca.crt"])
}

// standIn is an issuer at an address of its own, for one that tests cannot reach.
type standIn struct {
	*assertiontest.Issuer
	ca string // PEM
}

// newStandIn returns an issuer that calls watch with each request.
func newStandIn(t *testing.T, watch func(*http.Request)) standIn {
	t.Helper()
	var issuer *assertiontest.Issuer
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watch(r)
		document, err := issuer.Document(r.URL.Path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(document)
	}))
	t.Cleanup(server.Close)
	issuer = assertiontest.New(t, server.URL)
	return standIn{issuer, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))}
}

// indented returns a certificate as it stands in the file of trusted issuers.
func indented(ca string) string { return strings.ReplaceAll(strings.TrimSpace(ca), "\n", "\n      ") }

func TestWorkflowOfGitHubLogsIn(t *testing.T) {
	issuer := newStandIn(t, func(*http.Request) {})
	const github, gatehouse = "https://token.actions.githubusercontent.com", "https://gatehouse.example.com"
	file := docsBlock(t, identitiesPage, "trusted issuers with GitHub Actions", github, issuer.URL)
	file = strings.TrimRight(file, "\n") + "\n    certificateAuthority: |\n      " + indented(issuer.ca) + "\n"
	base, ca := runStandalone(t, docsBlock(t, identitiesPage, "user of the workflow", github, issuer.URL), file)
	// The claims of https://docs.github.com/actions/reference/security/oidc, for one job.
	claims := issuer.Claims(time.Now(), "repo:acme/shop:environment:production", map[string]any{
		"aud": gatehouse, "environment": "production", "ref": "refs/heads/main", "repository": "acme/shop", "repository_id": "74091",
		"repository_owner": "acme", "run_id": "9001", "workflow": "deploy", "actor": "octocat", "event_name": "push", "ref_type": "branch",
	})
	run := func(claims map[string]any) (string, error) {
		runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "bearer runner" || r.URL.Query().Get("audience") != gatehouse {
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"value": issuer.Sign(t, claims)})
		}))
		defer runner.Close()
		step := docsBlock(t, identitiesPage, "step of the workflow", "-X POST "+gatehouse, "--cacert "+ca+" -X POST "+base)
		return script(t, step, "ACTIONS_ID_TOKEN_REQUEST_TOKEN=runner", "ACTIONS_ID_TOKEN_REQUEST_URL="+runner.URL+"?a=b")
	}
	if _, err := exec.LookPath("jq"); err != nil {
		t.Skip("needs jq")
	}
	var out string
	eventually(t, 30*time.Second, func() bool {
		var err error
		out, err = run(claims)
		return err == nil
	})
	if !strings.Contains(out, `"access_token":"ey`) {
		t.Errorf("the step prints %q", out)
	}
	claims["ref"] = "refs/heads/other"
	if out, err := run(claims); err == nil {
		t.Errorf("a job of another branch gets %q", out)
	}
}

func TestSecondGatehouseIsAnIssuer(t *testing.T) {
	west := servertest.New(t, servertest.Options{OwnURL: true})
	const name = "https://gatehouse.west.example.com"
	file := docsBlock(t, identitiesPage, "trusted issuers with another Gatehouse", name, west.URL,
		"-----BEGIN CERTIFICATE-----\n      paste ca.crt of the other Gatehouse here\n      -----END CERTIFICATE-----", indented(string(west.CA)))
	base, ca := runStandalone(t, docsBlock(t, identitiesPage, "user of the other Gatehouse", name, west.URL), file)
	jwt, _ := issueTokens(t, west, west.Put(t, directory.User{Login: "billing"}))
	other, _ := issueTokens(t, west, west.Put(t, directory.User{Login: "other"}))
	login := func(text string) (string, error) {
		return script(t, fmt.Sprintf("curl --silent --fail --cacert %s -X POST %s/v1/users/authorize -u 'billing-west:%s'", ca, base, text))
	}
	eventually(t, 30*time.Second, func() bool { _, err := login(jwt); return err == nil })
	if out, err := login(other); err == nil {
		t.Errorf("another user of the other Gatehouse gets %q", out)
	}
}
