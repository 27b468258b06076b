package cmd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/cmd/serve"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// plugin runs kubectl gatehouse against a real API server with a running service.
type plugin struct {
	*testing.T
	api        client.Client
	kubeconfig string
	base       string
	http       *http.Client
}

// newPlugin starts a service on the API server that stops at the end of the test.
func newPlugin(t *testing.T, changes ...func(*serve.Options)) *plugin {
	t.Helper()
	p := &plugin{T: t, kubeconfig: apitest.Kubeconfig(t)}
	t.Setenv("KUBECONFIG", p.kubeconfig)
	t.Setenv("POD_NAMESPACE", "gatehouse-system")
	var err error
	if p.api, err = client.New(apitest.Config(t), client.Options{Scheme: apitest.Scheme(t)}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gatehouse-system", "gatehouse-users"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := client.IgnoreAlreadyExists(p.api.Create(t.Context(), ns)); err != nil {
			t.Fatal(err)
		}
	}
	p.serve(changes...)
	return p
}

// serve starts a replica with changed options.
func (p *plugin) serve(changes ...func(*serve.Options)) {
	p.Helper()
	o := serve.NewOptions()
	o.BindAddress, o.HealthProbeBindAddress, o.MetricsBindAddress, o.DrainDelay = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", 0
	for _, change := range changes {
		change(o)
	}
	if err := o.Validate(); err != nil {
		p.Fatal(err)
	}
	app, err := serve.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- app.Run(ctx) }()
	p.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			p.Errorf("Run: %v", err)
		}
	})
	p.base = "https://" + app.Address().String()
	pool := x509.NewCertPool()
	apitest.Eventually(p.T, "the CA is published", func() bool {
		var published corev1.ConfigMap
		err := p.api.Get(p.Context(), client.ObjectKey{Namespace: "gatehouse-users", Name: "gatehouse-ca"}, &published)
		return err == nil && pool.AppendCertsFromPEM([]byte(published.Data["ca.crt"]))
	})
	p.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	apitest.Eventually(p.T, "the service is running", func() bool {
		response, err := p.http.Get(p.base + "/status/v1/simple")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// run runs a command of the plugin.
func (p *plugin) run(stdin string, args ...string) (stdout, stderr string, err error) {
	var out, errOut bytes.Buffer
	root := NewPlugin("test")
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetArgs(append(args, "--kubeconfig", p.kubeconfig))
	err = root.ExecuteContext(p.Context())
	return out.String(), errOut.String(), err
}

// must runs a command that must succeed, and returns what it prints.
func (p *plugin) must(args ...string) (stdout, stderr string) {
	p.Helper()
	out, errOut, err := p.run("", args...)
	if err != nil {
		p.Fatalf("kubectl gatehouse %s: %v\n%s", strings.Join(args, " "), err, errOut)
	}
	return out, errOut
}

// logsIn reports whether a login and a password get a token.
func (p *plugin) logsIn(login, password string) bool {
	p.Helper()
	request, err := http.NewRequestWithContext(p.Context(), http.MethodPost, p.base+"/v1/users/authorize", nil)
	if err != nil {
		p.Fatal(err)
	}
	request.SetBasicAuth(login, password)
	response, err := p.http.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// generated matches a password that a command shows.
var generated = regexp.MustCompile(`shown only now: (\S+)`)

// passwordIn returns the password that a command has shown.
func (p *plugin) passwordIn(stderr string) string {
	p.Helper()
	m := generated.FindStringSubmatch(stderr)
	if m == nil {
		p.Fatalf("no password in %q", stderr)
	}
	return m[1]
}

// remove deletes what a test has made.
func (p *plugin) remove(name string) {
	p.Cleanup(func() {
		ctx := context.Background()
		meta := metav1.ObjectMeta{Namespace: "gatehouse-users", Name: name}
		_ = p.api.Delete(ctx, &authv1alpha1.User{ObjectMeta: meta})
		meta.Name += "-password"
		_ = p.api.Delete(ctx, &corev1.Secret{ObjectMeta: meta})
		_ = p.api.DeleteAllOf(ctx, &authv1alpha1.Revocation{}, client.InNamespace("gatehouse-users"))
	})
}

func TestUserIsCreatedChangedAndRevoked(t *testing.T) {
	p := newPlugin(t)
	p.remove("clara")
	_, errOut := p.must("user", "create", "clara", "--generate-password", "--group", "operators", "--expires", "90d")
	first := p.passwordIn(errOut)
	apitest.Eventually(t, "clara logs in", func() bool { return p.logsIn("clara", first) })
	if out, _ := p.must("user", "list"); !strings.Contains(out, "clara") || !strings.Contains(out, "operators") {
		t.Errorf("user list prints %q", out)
	}
	_, errOut = p.must("user", "set-password", "clara", "--generate-password", "--overlap", "1h")
	second := p.passwordIn(errOut)
	apitest.Eventually(t, "the second password logs in", func() bool { return p.logsIn("clara", second) })
	if !p.logsIn("clara", first) {
		t.Error("the first password does not log in during the overlap")
	}
	_, errOut = p.must("user", "set-password", "clara", "--generate-password")
	third := p.passwordIn(errOut)
	apitest.Eventually(t, "only the third password logs in", func() bool { return p.logsIn("clara", third) && !p.logsIn("clara", second) })
	p.must("user", "expire", "clara", "--at", "2020-01-01T00:00:00Z")
	apitest.Eventually(t, "clara has expired", func() bool { return !p.logsIn("clara", third) })
	p.must("user", "expire", "clara", "--never")
	apitest.Eventually(t, "clara logs in again", func() bool { return p.logsIn("clara", third) })
}

func TestRefusedPasswordLeavesNoSecret(t *testing.T) {
	p := newPlugin(t)
	p.remove("dora")
	p.must("user", "create", "dora", "--generate-password")
	meta := metav1.ObjectMeta{Namespace: "gatehouse-users", Name: "keeper-of-secrets"}
	for _, o := range []client.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"auth.gatehouse.dev"}, Resources: []string{"users"}, Verbs: []string{"get"}},
			{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create", "delete"}},
		}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: meta.Name}},
		},
	} {
		if err := client.IgnoreAlreadyExists(p.api.Create(t.Context(), o)); err != nil {
			t.Fatal(err)
		}
	}
	p.Eventually("the change of the User is refused", func() bool {
		_, errOut, err := p.run("", "user", "set-password", "dora", "--generate-password", "--as", meta.Name)
		if err == nil || generated.MatchString(errOut) {
			t.Fatalf("a person without the right to change Users changed a password (%s)", errOut)
		}
		return strings.Contains(err.Error(), `cannot patch resource "users"`)
	})
	var left corev1.SecretList
	if err := p.api.List(t.Context(), &left, client.InNamespace(meta.Namespace)); err != nil {
		t.Fatal(err)
	}
	for i := range left.Items {
		if name := left.Items[i].Name; strings.HasPrefix(name, "dora-password-") {
			t.Errorf("Secret %s is left, which no User names", name)
		}
	}
}

func TestCreatePrintsManifestsThatTheAPIServerAccepts(t *testing.T) {
	p := newPlugin(t)
	p.remove("for-git")
	out, errOut := p.must("user", "create", "for-git", "--generate-password", "--dry-run", "client", "-o", "yaml")
	password := p.passwordIn(errOut)
	if strings.Contains(out, password) || p.api.Get(t.Context(), client.ObjectKey{Namespace: "gatehouse-users", Name: "for-git"}, &authv1alpha1.User{}) == nil {
		t.Fatal("the output has the password, or the User was created")
	}
	for document := range strings.SplitSeq(strings.TrimPrefix(out, "---\n"), "\n---\n") {
		if strings.Contains(document, "kind: Secret") {
			p.apply([]byte(document), &corev1.Secret{})
		} else {
			p.apply([]byte(document), &authv1alpha1.User{})
		}
	}
	apitest.Eventually(t, "the user logs in", func() bool { return p.logsIn("for-git", password) })
}

func TestUserOfAServiceAccountNeedsNoPassword(t *testing.T) {
	p := newPlugin(t)
	p.remove("billing")
	out, errOut := p.must("user", "create", "billing", "--service-account", "shop/billing,stock/billing", "--group", "machines")
	if out != "user/billing created\n" || errOut != "" {
		t.Errorf("user create prints %q and %q, want no Secret and no password", out, errOut)
	}
	p.Eventually("the service takes the identities", func() bool {
		out, _ := p.must("user", "explain", "billing")
		return strings.Contains(out, "can log in.") && strings.Contains(out, "✓ identities[1] (serviceaccount:stock:billing)")
	})
	var users authv1alpha1.UserList
	for format, decode := range map[string]func([]byte, any) error{
		"json": json.Unmarshal, "yaml": func(text []byte, v any) error { return yaml.UnmarshalStrict(text, v) },
	} {
		out, _ := p.must("user", "list", "-o", format)
		if err := decode([]byte(out), &users); err != nil || users.Kind != "UserList" || len(users.Items) == 0 || users.Items[0].ManagedFields != nil {
			t.Errorf("user list -o %s prints %q: %v", format, out, err)
		}
	}
	if out, _ := p.must("token", "list", "-o", "json"); !strings.Contains(out, `"kind": "TokenList"`) {
		t.Errorf("token list -o json prints %q", out)
	}
}

// apply creates an object from YAML.
func (p *plugin) apply(text []byte, o client.Object) {
	p.Helper()
	if err := yaml.UnmarshalStrict(text, o); err != nil {
		p.Fatalf("%v in\n%s", err, text)
	}
	if err := p.api.Create(p.Context(), o); err != nil {
		p.Fatal(err)
	}
}

// Eventually waits until a condition holds.
func (p *plugin) Eventually(what string, holds func() bool) {
	p.Helper()
	apitest.Eventually(p.T, what, holds)
}

func TestPluginErrorsSayWhatToDo(t *testing.T) {
	p := newPlugin(t)
	p.remove("unlucky")
	p.must("user", "create", "unlucky", "--generate-password")
	for name, c := range map[string]struct {
		want string
		args []string
	}{
		"no such user":         {"has the name or the login", []string{"user", "explain", "nobody-here"}},
		"no reason":            {"Add --reason", []string{"user", "revoke", "unlucky"}},
		"no password":          {"--generate-password", []string{"user", "create", "someone"}},
		"a bad account":        {"--service-account must be NAMESPACE/NAME", []string{"user", "create", "someone", "--service-account", "billing"}},
		"a bad expiry":         {"--expires must be", []string{"user", "create", "someone", "--generate-password", "--expires", "soon"}},
		"a bad name":           {"Invalid value", []string{"user", "create", "Upper", "--generate-password"}},
		"a bad dry run":        {"--dry-run must be", []string{"user", "create", "someone", "--dry-run", "maybe"}},
		"a token that is gone": {"token nothing", []string{"token", "revoke", "nothing"}},
		"a missing right":      {"ask someone who administers", []string{"user", "list", "--as", "nobody"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, errOut, err := p.run("", c.args...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q (%s%s)", err, c.want, out, errOut)
			}
		})
	}
}

func TestPluginIsKnownByItsName(t *testing.T) {
	t.Parallel()
	for program, want := range map[string]bool{
		"kubectl-gatehouse": true, filepath.Join("bin", "kubectl-gatehouse.exe"): true, "/usr/bin/kubectl_gatehouse": true,
		"gatehouse": false, filepath.Join("kubectl-gatehouse", "gatehouse"): false,
	} {
		if got := IsPlugin(program); got != want {
			t.Errorf("%s: got %t, want %t", program, got, want)
		}
	}
}
