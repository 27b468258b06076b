package integration_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant"
	"github.com/gatehouse-auth/gatehouse/server/servertest"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// cachedTokens is how long an API server with the configuration of docs/kubernetes.md may go on
// accepting a token that was good.
const cachedTokens = 20 * time.Second

func TestAPIServerWithTokenWebhook(t *testing.T) {
	assets := apitest.Assets(t)
	g := servertest.New(t, servertest.Options{OwnURL: true})
	ca := writeFile(t, "ca.crt", string(g.CA))
	webhook := writeFile(t, "webhook.yaml", docsBlock(t, "kubernetes.md", "/etc/kubernetes/gatehouse/webhook.yaml",
		"https://auth.example.com", g.URL, "/etc/kubernetes/gatehouse/ca.crt", ca))
	cluster := startAPIServer(t, assets, docsBlock(t, "kubernetes.md", "/etc/kubernetes/manifests/kube-apiserver.yaml, what is added for the webhook",
		"https://auth.example.com", g.Issuer, "/etc/kubernetes/gatehouse/webhook.yaml", webhook))

	ada := directory.User{Login: "ada@example.com", Groups: []string{"operators", "system:masters", "developers"}}
	user := g.Put(t, ada)
	jwt, opaque := issueTokens(t, g, user)
	unseen, _ := issueTokens(t, g, user)
	for kind, token := range map[string]string{"JWT": jwt, "opaque": opaque} {
		t.Run("kubectl auth whoami names the user of a token: "+kind, func(t *testing.T) {
			wantAda(t, whoami(t, cluster, token), user.UID)
		})
	}
	t.Run("refuses what is not a token", func(t *testing.T) { wantRefused(t, cluster, "garbage") })

	revoked := ada
	revoked.Revoked = true
	g.Put(t, revoked)
	t.Run("refuses a token of a revoked user", func(t *testing.T) { wantRefused(t, cluster, unseen) })
	t.Run("soon refuses a token that it has accepted before", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes 20 seconds")
		}
		for _, token := range []string{jwt, opaque} {
			eventually(t, cachedTokens+5*time.Second, func() bool { _, err := review(t, cluster, token); return err != nil })
		}
	})
}

func TestAPIServerWithOIDCIssuer(t *testing.T) {
	assets := apitest.Assets(t)
	g := servertest.New(t, servertest.Options{OwnURL: true})
	ca := strings.ReplaceAll(strings.TrimSpace(string(g.CA)), "\n", "\n      ")
	version := "apiserver.config.k8s.io/v1"
	if apitest.MinorVersion(t) < 34 {
		version += "beta1"
	}
	configuration := writeFile(t, "authentication.yaml", docsBlock(t, "kubernetes.md", "/etc/kubernetes/gatehouse/authentication.yaml",
		"https://auth.example.com", g.Issuer, "apiserver.config.k8s.io/v1", version,
		"-----BEGIN CERTIFICATE-----\n      paste ca.crt of Gatehouse here\n      -----END CERTIFICATE-----", ca))
	cluster := startAPIServer(t, assets, docsBlock(t, "kubernetes.md", "/etc/kubernetes/manifests/kube-apiserver.yaml, what is added for OIDC",
		"/etc/kubernetes/gatehouse/authentication.yaml", configuration))

	user := g.Put(t, directory.User{Login: "ada@example.com", Groups: []string{"operators", "developers"}})
	jwt, opaque := issueTokens(t, g, user)
	eventually(t, 30*time.Second, func() bool { _, err := review(t, cluster, jwt); return err == nil })
	t.Run("kubectl auth whoami names the user", func(t *testing.T) { wantAda(t, whoami(t, cluster, jwt), user.UID) })
	t.Run("refuses an opaque token, which only the service can read", func(t *testing.T) { wantRefused(t, cluster, opaque) })
	t.Run("refuses a token with another signature", func(t *testing.T) { wantRefused(t, cluster, jwt[:len(jwt)-4]+"AAAA") })
	t.Run("refuses a user in a group that Kubernetes reserves", func(t *testing.T) {
		master, _ := issueTokens(t, g, g.Put(t, directory.User{Login: "eve", Groups: []string{"system:masters"}}))
		wantRefused(t, cluster, master)
	})
}

// startAPIServer starts an API server with the flags of a static pod, and etcd, until the test
// ends.
func startAPIServer(t *testing.T, assets, pod string) *rest.Config {
	t.Helper()
	var manifest struct {
		Spec struct {
			Containers []struct{ Command []string }
		}
	}
	if err := yaml.Unmarshal([]byte(pod), &manifest); err != nil {
		t.Fatal(err)
	}
	env := &envtest.Environment{BinaryAssetsDirectory: assets}
	args := env.ControlPlane.GetAPIServer().Configure()
	for _, flag := range manifest.Spec.Containers[0].Command {
		name, value, ok := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		if !ok {
			t.Fatalf("%q is not a flag with a value", flag)
		}
		args.Set(name, value)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Log("stop the API server:", err)
		}
	})
	cluster, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// whoami asks the API server who the owner of a token is, with kubectl where that is installed.
func whoami(t *testing.T, cluster *rest.Config, token string) authenticationv1.UserInfo {
	t.Helper()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		user, err := review(t, cluster, token)
		if err != nil {
			t.Fatal(err)
		}
		return user
	}
	out, err := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", writeFile(t, "empty", ""), "--server", cluster.Host,
		"--certificate-authority", writeFile(t, "cluster.crt", string(cluster.CAData)), "--token", token,
		"auth", "whoami", "-o", "json").Output()
	if err != nil {
		t.Fatalf("kubectl auth whoami: %v: %s", err, out)
	}
	var answer authenticationv1.SelfSubjectReview
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Status.UserInfo
}

// review asks the API server for the owner of a token, without kubectl.
func review(t *testing.T, cluster *rest.Config, token string) (authenticationv1.UserInfo, error) {
	t.Helper()
	config := rest.AnonymousClientConfig(cluster)
	config.BearerToken = token
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	return answer.Status.UserInfo, nil
}

// wantAda checks that the API server sees the user ada, with her groups that it does not reserve.
func wantAda(t *testing.T, user authenticationv1.UserInfo, uid string) {
	t.Helper()
	groups := []string{"operators", "developers", "system:authenticated"}
	if user.Username != "ada@example.com" || user.UID != uid || !slices.Equal(user.Groups, groups) {
		t.Errorf("the token belongs to %+v, want ada@example.com with UID %s and groups %q", user, uid, groups)
	}
}

// wantRefused checks that the API server answers a token with 401.
func wantRefused(t *testing.T, cluster *rest.Config, token string) {
	t.Helper()
	if user, err := review(t, cluster, token); err == nil {
		t.Errorf("the API server accepts it as %+v", user)
	} else if !apierrors.IsUnauthorized(err) {
		t.Error(err)
	}
}

// issueTokens returns a JWT and an opaque token of a user.
func issueTokens(t *testing.T, g *servertest.Service, u *directory.User) (jwt, opaque string) {
	t.Helper()
	jwt, _, err := g.Grants.JWT(t.Context(), u, 0)
	if err != nil {
		t.Fatal(err)
	}
	opaque, err = g.Grants.Opaque(t.Context(), u, grant.Order{})
	if err != nil {
		t.Fatal(err)
	}
	return jwt, opaque
}

// eventually waits until holds returns true. It fails the test if that takes longer than limit.
func eventually(t *testing.T, limit time.Duration, holds func() bool) {
	t.Helper()
	deadline := time.After(limit)
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("the condition does not hold after %s", limit)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
