package gitops

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/fluxcd/pkg/ssa"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
	"github.com/gatehouse-auth/gatehouse/test/apitest/tooltest"
)

const (
	examples  = "../../examples/"
	argocd    = "../../config/argocd"
	soundHash = "$argon2id$v=19$m=19456,t=2,p=1$UlBho86oWvU+eHm22Xod8w$xds4o4qGCFJcy19tCSvkmVp3yXfUn71a4NGcXw2Onrs"
)

// What rosa of the examples logs in with.
const (
	rosaLogin    = "rosa@example.com"
	rosaPassword = "Harbour-Thimble-58-Maple"
)

// TestExamples applies every example to a real API server that has the CRDs of the tools.
func TestExamples(t *testing.T) {
	const monitoring = "example/prometheus-operator-crd/monitoring.coreos.com_"
	c := newCluster(t,
		moduleFile(t, fluxKustomize, "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"),
		moduleFile(t, fluxSource, "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml"),
		moduleFile(t, argoCD, "manifests/crds/application-crd.yaml"), moduleFile(t, argoCD, "manifests/crds/appproject-crd.yaml"),
		moduleFile(t, sealedSecrets, "helm/sealed-secrets/crds/bitnami.com_sealedsecrets.yaml"),
		moduleFile(t, externalSecrets, "config/crds/bases/external-secrets.io_externalsecrets.yaml"),
		moduleFile(t, externalSecrets, "config/crds/bases/external-secrets.io_secretstores.yaml"),
		moduleFile(t, prometheusOperator, monitoring+"servicemonitors.yaml"),
		moduleFile(t, prometheusOperator, monitoring+"prometheusrules.yaml"),
		moduleFile(t, prometheusOperator, monitoring+"prometheuses.yaml"),
	)
	for _, name := range []string{"flux-system", "argocd"} {
		if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	c.Serve(usersNamespace)
	for _, sub := range []struct {
		name string
		test func(*cluster)
	}{
		{"flux", exampleOfFlux},
		{"argocd", exampleOfArgoCD},
		{"sealed-secrets", exampleOfSealedSecrets},
		{"external-secrets", exampleOfExternalSecrets},
		{"sops", exampleOfSOPS},
		{"monitoring", exampleOfMonitoring},
		{"network-policies", exampleOfNetworkPolicies},
		{"two-teams", exampleOfTwoTeams},
	} {
		t.Run(sub.name, func(t *testing.T) { sub.test(c.in(t)) })
	}
}

// example applies an example as Flux does, and returns its objects.
func (c *cluster) example(name string) []*unstructured.Unstructured {
	c.Helper()
	objects := decode(c.T, kustomize(c.T, examples+name))
	if _, err := (flux{}).manager(c.Cluster).ApplyAllStaged(c.Context(), tooltest.Copies(objects), ssa.DefaultApplyOptions()); err != nil {
		c.Fatal(err)
	}
	return objects
}

// kind returns the only object of a kind and name.
func kind(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	for _, o := range objects {
		if o.GetKind() == kind && o.GetName() == name {
			return o
		}
	}
	t.Fatalf("there is no %s %s", kind, name)
	return nil
}

func exampleOfFlux(c *cluster) {
	objects := c.example("flux")
	users := kind(c.T, objects, "Kustomization", "users")
	for _, field := range []string{"wait", "prune"} {
		if on, _, err := unstructured.NestedBool(users.Object, "spec", field); err != nil || !on {
			c.Errorf("%s is %v, %v", field, on, err)
		}
	}
}

func exampleOfArgoCD(c *cluster) {
	objects := c.example("argocd")
	health, _, err := unstructured.NestedString(kind(c.T, objects, "ConfigMap", "argocd-cm").Object,
		"data", "resource.customizations.health.auth.gatehouse.dev_User")
	if err != nil {
		c.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(argocd, "health.lua"))
	if err != nil {
		c.Fatal(err)
	}
	if strings.TrimSpace(health) != strings.TrimSpace(string(want)) {
		c.Error("argocd-cm.yaml is not config/argocd/health.lua")
	}
}

func exampleOfSealedSecrets(c *cluster) {
	c.rosaWithSecretOf(c.example("sealed-secrets"), soundHash)
}

func exampleOfExternalSecrets(c *cluster) {
	objects := c.example("external-secrets")
	target, _, err := unstructured.NestedString(kind(c.T, objects, "ExternalSecret", "rosa-password").Object, "spec", "target", "name")
	if err != nil || target != "rosa-password" {
		c.Errorf("the ExternalSecret creates %q, %v", target, err)
	}
	c.rosaWithSecretOf(objects, soundHash)
}

func exampleOfSOPS(c *cluster) {
	objects := decode(c.T, kustomize(c.T, examples+"sops"))
	secret := kind(c.T, objects, "Secret", "rosa-password")
	encrypted, _, err := unstructured.NestedString(secret.Object, "stringData", "passwordHash")
	if err != nil || strings.Contains(encrypted, "argon2id") {
		c.Fatalf("the hash in Git is %q, %v", encrypted, err)
	}
	user := kind(c.T, objects, "User", "rosa")
	if err := c.Create(c.Context(), user.DeepCopy()); err != nil {
		c.Fatal(err)
	}
	c.rosaWithSecretOf([]*unstructured.Unstructured{user}, decryptSOPS(c.T, secret))
	for _, o := range decode(c.T, mustRead(c.T, examples+"sops/flux.yaml")) {
		err := c.Apply(c.Context(), client.ApplyConfigurationFromUnstructured(o), client.DryRunAll, client.FieldOwner("test"), client.ForceOwnership)
		if err != nil {
			c.Error(err)
		}
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// rosaWithSecretOf plays the controller that creates Rosa's Secret from what is in Git, and judges her User
// before, after, and once the Secret is broken.
func (c *cluster) rosaWithSecretOf(objects []*unstructured.Unstructured, hash string) {
	c.Helper()
	rosa := []*unstructured.Unstructured{kind(c.T, objects, "User", "rosa")}
	judged := func(want string) {
		c.Helper()
		c.Eventually("rosa is "+want, func() bool {
			results, _ := judge(c.Cluster, rosa)
			return regexp.MustCompile(want).MatchString(results[0])
		})
	}
	judged("InProgress: .*rosa-password")
	if c.CanLogIn(rosaLogin, rosaPassword) {
		c.Error("rosa logs in without her Secret")
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: usersNamespace, Name: "rosa-password"}}
	secret.Data = map[string][]byte{"passwordHash": []byte(hash)}
	if err := c.Create(c.Context(), secret); err != nil {
		c.Fatal(err)
	}
	judged("Current")
	if !c.CanLogIn(rosaLogin, rosaPassword) {
		c.Error("rosa does not log in")
	}
	secret.Data["passwordHash"] = []byte("no hash")
	if err := c.Update(c.Context(), secret); err != nil {
		c.Fatal(err)
	}
	judged("Failed: .*hash")
	if c.CanLogIn(rosaLogin, rosaPassword) {
		c.Error("rosa logs in with a broken hash")
	}
	kubectl{}.Prune(c.Cluster, rosa)
	if err := c.Delete(c.Context(), secret); err != nil {
		c.Fatal(err)
	}
}

// decryptSOPS returns the hash in a Secret that SOPS encrypted for the age key of the example.
func decryptSOPS(t *testing.T, secret *unstructured.Unstructured) string {
	t.Helper()
	identities, err := age.ParseIdentities(strings.NewReader(mustRead(t, examples+"sops/age.agekey")))
	if err != nil {
		t.Fatal(err)
	}
	recipients, _, err := unstructured.NestedSlice(secret.Object, "sops", "age")
	if err != nil || len(recipients) != 1 {
		t.Fatalf("%d recipients, %v", len(recipients), err)
	}
	recipient, _ := recipients[0].(map[string]any)
	sealed, _ := recipient["enc"].(string) // an empty text fails below
	reader, err := age.Decrypt(armor.NewReader(strings.NewReader(sealed)), identities...)
	if err != nil {
		t.Fatal(err)
	}
	key, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	value, _, err := unstructured.NestedString(secret.Object, "stringData", "passwordHash")
	if err != nil {
		t.Fatal(err)
	}
	return openSOPS(t, key, value, "stringData:passwordHash:")
}

// openSOPS decrypts one value of a file of SOPS. The path is authenticated.
func openSOPS(t *testing.T, key []byte, value, path string) string {
	t.Helper()
	m := regexp.MustCompile(`^ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:str\]$`).FindStringSubmatch(value)
	if m == nil {
		t.Fatalf("not a value of SOPS: %s", value)
	}
	var parts [3][]byte
	for i := range parts {
		var err error
		if parts[i], err = base64.StdEncoding.DecodeString(m[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, len(parts[1]))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, parts[1], bytes.Join([][]byte{parts[0], parts[2]}, nil), []byte(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func exampleOfMonitoring(c *cluster) {
	objects := c.example("monitoring")
	for _, want := range [][2]string{{"ServiceMonitor", "gatehouse"}, {"PrometheusRule", "gatehouse"}, {"Prometheus", "k8s"}, {"ConfigMap", "gatehouse-dashboard"}} {
		kind(c.T, objects, want[0], want[1])
	}
	// The account of this Prometheus is the one that may read the metrics.
	reader := kind(c.T, objects, "ClusterRoleBinding", "gatehouse-metrics-reader")
	subjects, _, err := unstructured.NestedSlice(reader.Object, "subjects")
	account := kind(c.T, objects, "ServiceAccount", "prometheus-k8s")
	want := []any{map[string]any{"kind": "ServiceAccount", "name": account.GetName(), "namespace": account.GetNamespace()}}
	if err != nil || !reflect.DeepEqual(subjects, want) {
		c.Errorf("the metrics are for %v, want %v", subjects, want)
	}
}

func exampleOfNetworkPolicies(c *cluster) {
	live := kind(c.T, c.example("network-policies"), "NetworkPolicy", "gatehouse")
	if err := c.Get(c.Context(), client.ObjectKeyFromObject(live), live); err != nil {
		c.Fatal(err)
	}
	var policy networkingv1.NetworkPolicy
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &policy); err != nil {
		c.Fatal(err)
	}
	for i, rule := range policy.Spec.Ingress {
		if len(rule.From) == 0 {
			c.Errorf("rule %d lets everyone in", i)
		}
	}
	if to := policy.Spec.Egress[1].To; len(to) != 1 || to[0].IPBlock == nil {
		c.Errorf("the service reaches %v, want the API server alone", to)
	}
}

func exampleOfTwoTeams(c *cluster) {
	objects := c.example("two-teams")
	c.checkCopiedRole(objects)
	teamA := c.memberOf("team-a")
	called := func(login, namespace, more string) *authv1alpha1.User {
		u := newUser(c.T, "ada", "login: "+login+"\n"+untilThen+"\npasswords: ["+aHash+"]\n"+more)
		u.Namespace, u.Spec.Passwords[0].HashFrom.SecretKeyRef = namespace, authv1alpha1.SecretKeyRef{Name: "ada", Key: "passwordHash"}
		return u
	}
	user := func(namespace, group string) *authv1alpha1.User {
		return called("ada@a.example.com", namespace, "groups: ["+group+"]")
	}
	dry := client.NewDryRunClient(teamA)
	c.Eventually("admission is in force", func() bool { return dry.Create(c.Context(), user("team-a-users", "team-b")) != nil })
	checkAdmission(c.T, "a group of the other team", dry.Create(c.Context(), user("team-a-users", "team-b")), "team-b")
	checkAdmission(c.T, "the namespace of the other team", dry.Create(c.Context(), user("team-b-users", "team-a")), "forbidden")
	tenants := func() bool { return dry.Create(c.Context(), called("ada", "team-a-users", "")) != nil }
	c.Eventually("the rule of the Tenants is in force", tenants)
	for about, more := range map[string]string{
		"a ServiceAccount that the Tenant does not name": "identities: [{serviceAccount: {name: ada, namespace: shop}}]",
		"an issuer that the Tenant does not name":        "identities: [{federated: {issuer: https://ci.example.com, subject: a}}]",
	} {
		checkAdmission(c.T, about, dry.Create(c.Context(), called("ada@a.example.com", "team-a-users", more)), "Tenant team-a does not permit")
	}
	checkAdmission(c.T, "a login of the other team", dry.Create(c.Context(), called("ada@b.example.com", "team-a-users", "")),
		"Tenant team-a does not permit the login ada@b.example.com")
	checkAdmission(c.T, "what the Tenant allows", dry.Create(c.Context(), user("team-a-users", "team-a-leads")), "")
	rules := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a-users", Name: "gatehouse-admission"}}
	checkAdmission(c.T, "the rules", teamA.Patch(c.Context(), rules, client.RawPatch("application/merge-patch+json", []byte(`{"data":{"groups":"*"}}`))), "forbidden")

	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a-users", Name: "ada"}, StringData: map[string]string{"passwordHash": soundHash}}
	for _, o := range []client.Object{secret, user("team-a-users", "team-a")} {
		if err := teamA.Create(c.Context(), o); err != nil {
			c.Fatal(err)
		}
	}
	c.Eventually("the Tenant is ready", func() bool {
		tenant := &authv1alpha1.Tenant{}
		if err := c.Get(c.Context(), client.ObjectKey{Namespace: systemNamespace, Name: "team-a"}, tenant); err != nil {
			c.Fatal(err)
		}
		return meta.IsStatusConditionTrue(tenant.Status.Conditions, authv1alpha1.ConditionReady)
	})
	c.Eventually("ada can log in", func() bool { return len(c.LogIn("ada@a.example.com", rosaPassword)) == 2 })
	tokens := c.LogIn("ada@a.example.com", rosaPassword)
	revocation := &authv1alpha1.Revocation{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a-users", Name: "ada"}}
	revocation.Spec.UserRef.Name, revocation.Spec.Reason = "ada", "left the team"
	if err := teamA.Create(c.Context(), revocation); err != nil {
		c.Fatal(err)
	}
	c.Eventually("ada's tokens are void", func() bool { return c.Good(tokens) == 0 })
}

// checkCopiedRole checks that the service has the same rights in the namespaces of the teams as in
// gatehouse-users.
func (c *cluster) checkCopiedRole(objects []*unstructured.Unstructured) {
	c.Helper()
	rules := map[string]any{}
	for _, o := range objects {
		if o.GetKind() == "Role" && o.GetName() == "gatehouse" {
			rules[o.GetNamespace()] = o.Object["rules"]
		}
	}
	for _, namespace := range []string{"team-a-users", "team-b-users"} {
		if !reflect.DeepEqual(rules[namespace], rules[usersNamespace]) {
			c.Errorf("the Role in %s differs from the one in %s", namespace, usersNamespace)
		}
	}
}

// memberOf returns the client of a member of a group.
func (c *cluster) memberOf(group string) client.Client {
	c.Helper()
	config := rest.CopyConfig(c.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "member-of-" + group, Groups: []string{group}}
	return apitest.NewClient(c.T, config, nil)
}
