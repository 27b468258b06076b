package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// overlay builds a kustomization with a text, in which CONFIG stands for the folder config/.
func overlay(t *testing.T, text string, files map[string]string) objects {
	t.Helper()
	folder := t.TempDir()
	absolute, err := filepath.Abs(config)
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(folder, absolute)
	if err != nil {
		t.Fatal(err)
	}
	files["kustomization.yaml"] = text
	for name, content := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		depth := strings.Repeat("../", strings.Count(name, "/"))
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, "CONFIG", depth+relative)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	nodes, err := build(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := objects{}
	for _, n := range nodes {
		all.add(t, n)
	}
	return all
}

// field returns a field of an object as JSON.
func (all objects) field(t *testing.T, id string, path ...string) string {
	t.Helper()
	var value any = all[id]
	for _, name := range path {
		fields, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("%s has no %s", id, strings.Join(path, "."))
		}
		value = fields[name]
	}
	return jsonText(t, map[string]any{"": value})
}

func TestNamespaceAndPrefixMoveTheServiceAlone(t *testing.T) {
	for name, c := range map[string]struct{ transformers, system, prefix string }{
		"a namespace":              {"namespace: auth", "auth", ""},
		"a prefix":                 {"namePrefix: team-", systemNamespace, "team-"},
		"a namespace and a prefix": {"namespace: auth\nnamePrefix: team-", "auth", "team-"},
	} {
		t.Run(name, func(t *testing.T) {
			all := overlay(t, c.transformers+"\nresources: [CONFIG/default]", map[string]string{})
			for _, id := range []string{
				"Namespace//" + c.system, "Namespace//" + usersNamespace,
				"CustomResourceDefinition//users.auth.gatehouse.dev",
				"Deployment/" + c.system + "/" + c.prefix + "gatehouse", "Service/" + c.system + "/" + c.prefix + "gatehouse",
				"ConfigMap/" + c.system + "/" + c.prefix + "gatehouse-trusted-issuers",
				"Role/" + c.system + "/" + c.prefix + "gatehouse", "Role/" + usersNamespace + "/" + c.prefix + "gatehouse",
			} {
				if all[id] == nil {
					t.Errorf("there is no %s", id)
				}
			}
			checkBindings(t, all, c.prefix+"gatehouse", c.system)
			checkReferences(t, all, c.prefix, c.system)
		})
	}
}

// checkBindings checks that every binding binds the service account where it is, and a role that exists.
func checkBindings(t *testing.T, all objects, account, namespace string) {
	t.Helper()
	subject := fmt.Sprintf(`{"":[{"kind":"ServiceAccount","name":%q,"namespace":%q}]}`, account, namespace)
	bindings := 0
	for id, o := range all {
		kind := kindOf(id)
		if kind != "RoleBinding" && kind != "ClusterRoleBinding" {
			continue
		}
		bindings++
		if got := all.field(t, id, "subjects"); got != subject {
			t.Errorf("%s binds %s, want %s", id, got, subject)
		}
		role, _ := o["roleRef"].(map[string]any)
		at, _ := o["metadata"].(map[string]any)
		ns, _ := at["namespace"].(string)
		if target := fmt.Sprintf("%v/%s/%v", role["kind"], ns, role["name"]); all[target] == nil {
			t.Errorf("%s refers to %s, which is not there", id, target)
		}
	}
	if bindings != 4 {
		t.Errorf("checked %d bindings, want 4", bindings)
	}
}

// checkReferences checks what the Deployment names, and what the binary finds by names of its own.
func checkReferences(t *testing.T, all objects, prefix, system string) {
	t.Helper()
	pod := all.field(t, "Deployment/"+system+"/"+prefix+"gatehouse", "spec", "template", "spec")
	for _, want := range []string{
		fmt.Sprintf(`"serviceAccountName":"%sgatehouse"`, prefix), fmt.Sprintf(`"configMap":{"name":"%sgatehouse-trusted-issuers"}`, prefix),
		`"--namespaces=gatehouse-users"`, `"fieldPath":"metadata.namespace"`,
	} {
		if !strings.Contains(pod, want) {
			t.Errorf("the Pod does not have %s: %s", want, pod)
		}
	}
	rules := all.field(t, "Role/"+system+"/"+prefix+"gatehouse", "rules")
	for _, want := range []string{`"resourceNames":["gatehouse-keys"]`, `"resourceNames":["gatehouse-ca"]`} {
		if !strings.Contains(rules, want) {
			t.Errorf("the Role does not have %s, which the service creates under this name: %s", want, rules)
		}
	}
}

func TestManifestsCarryNoMarksOfKustomize(t *testing.T) {
	for id, o := range kustomized(t) {
		if s := jsonText(t, o); strings.Contains(s, "config.kubernetes.io") {
			t.Errorf("%s carries an annotation of kustomize: %.300s", id, s)
		}
	}
}

func TestNamesInCertificatesFollow(t *testing.T) {
	all := overlay(t, "resources: [moved]\ncomponents: [CONFIG/components/names]", map[string]string{
		"moved/kustomization.yaml": "namespace: auth\nnamePrefix: team-\nresources: [CONFIG/default]\n" +
			"components: [CONFIG/components/prometheus, CONFIG/components/cert-manager]",
	})
	names := `{"":["team-gatehouse","team-gatehouse.auth","team-gatehouse.auth.svc","team-gatehouse.auth.svc.cluster.local"]}`
	if got := all.field(t, "Certificate/auth/team-gatehouse", "spec", "dnsNames"); got != names {
		t.Errorf("the certificate is for %s, want %s", got, names)
	}
	for certificate, issuer := range map[string]string{"team-gatehouse": "team-gatehouse", "team-gatehouse-authority": "team-gatehouse-selfsigned"} {
		if got := all.field(t, "Certificate/auth/"+certificate, "spec", "issuerRef", "name"); got != fmt.Sprintf(`{"":%q}`, issuer) {
			t.Errorf("the issuer of %s is %s, want %s", certificate, got, issuer)
		}
	}
	if got := all.field(t, "ServiceMonitor/auth/team-gatehouse", "spec", "endpoints"); !strings.Contains(got, `"serverName":"team-gatehouse.auth.svc"`) {
		t.Errorf("Prometheus expects another name: %s", got)
	}
}

const generatedUsers = `
apiVersion: auth.gatehouse.dev/v1alpha1
kind: User
metadata: {name: jean}
spec:
  login: jean@example.com
  passwords:
  - hashFrom: {secretKeyRef: {name: jean-password, key: passwordHash}}
  - {name: machine, plaintextFrom: {secretKeyRef: {name: jean-login, key: password}}}
  - {name: elsewhere, hashFrom: {secretKeyRef: {name: not-generated, key: passwordHash}}}
  identities:
  - serviceAccount: {name: shop, namespace: shop}
---
apiVersion: auth.gatehouse.dev/v1alpha1
kind: Revocation
metadata: {name: jean}
spec: {userRef: {name: jean}, reason: laptop stolen}
`

func TestSecretsOfUsersFollowTheirHashes(t *testing.T) {
	all := overlay(t, `
namespace: team-a
namePrefix: a-
resources: [users.yaml]
components: [CONFIG/kustomize]
secretGenerator:
- {name: jean-password, literals: [passwordHash=$2b$12$abc]}
- {name: jean-login, literals: [password=secret]}
`, map[string]string{"users.yaml": generatedUsers})
	generated := regexp.MustCompile(`^Secret/team-a/(a-jean-(?:password|login)-[a-z0-9]{10})$`)
	passwords := all.field(t, "User/team-a/a-jean", "spec", "passwords")
	found := 0
	for id := range all {
		if m := generated.FindStringSubmatch(id); m != nil {
			found++
			if !strings.Contains(passwords, fmt.Sprintf(`"name":%q}`, m[1])) {
				t.Errorf("the User does not name the Secret %s: %s", m[1], passwords)
			}
		}
	}
	if found != 2 {
		t.Errorf("found %d generated Secrets, want 2", found)
	}
	if !strings.Contains(passwords, `"name":"not-generated"}`) {
		t.Errorf("a Secret that is not in the kustomization has another name: %s", passwords)
	}
	if got := all.field(t, "Revocation/team-a/a-jean", "spec", "userRef", "name"); got != `{"":"a-jean"}` {
		t.Errorf("the Revocation is for %s", got)
	}
}

// TestKustomizationOfTheInstallPageBuilds builds the kustomization that the page shows as it stands.
func TestKustomizationOfTheInstallPageBuilds(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "```yaml\n# kustomization.yaml\n")
	text, _, closed := strings.Cut(text, "```")
	if !found || !closed {
		t.Fatal("the page shows no kustomization")
	}
	all := overlay(t, strings.ReplaceAll(text, "- config/", "- CONFIG/"), map[string]string{})
	deployment := all.field(t, "Deployment/"+systemNamespace+"/gatehouse", "spec", "template", "spec", "containers")
	for _, want := range []string{`"registry.example.com/gatehouse:1"`, `"--maximum-staleness=60s"`, `"--tls-cert-dir=`} {
		if !strings.Contains(deployment, want) {
			t.Errorf("the Deployment lacks %s: %s", want, deployment)
		}
	}
	if all["ServiceMonitor/"+systemNamespace+"/gatehouse"] == nil {
		t.Error("there is no ServiceMonitor")
	}
}
