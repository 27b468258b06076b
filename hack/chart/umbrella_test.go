package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// umbrella returns the objects of a chart that has this one as a dependency, under a condition.
func umbrella(t *testing.T, values string) objects {
	t.Helper()
	parent := t.TempDir()
	if err := os.CopyFS(filepath.Join(parent, "charts", "gatehouse"), os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"Chart.yaml": `apiVersion: v2
name: platform
version: 1.0.0
dependencies: [{name: gatehouse, version: 0.1.0, condition: gatehouse.enabled}]
`,
		"values.yaml": values,
	} {
		if err := os.WriteFile(filepath.Join(parent, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return render(t, parent, "auth")
}

func TestParentChartSharesItsValues(t *testing.T) {
	t.Parallel()
	all := umbrella(t, `
global:
  imageRegistry: registry.example.com
  imagePullSecrets: [{name: parent}]
  other: {anything: true}
gatehouse:
  metrics: {serviceMonitor: {enabled: true, interval: 30s}}
`)
	pod := all.field(t, "Deployment/auth/gatehouse", "spec", "template", "spec")
	for _, want := range []string{`"image":"registry.example.com/gatehouse-auth/gatehouse:latest"`, `"imagePullSecrets":[{"name":"parent"}]`} {
		if !strings.Contains(pod, want) {
			t.Errorf("the Pod does not have %s: %s", want, pod)
		}
	}
}

func TestParentChartDisablesTheChart(t *testing.T) {
	t.Parallel()
	if all := umbrella(t, "gatehouse: {enabled: false}"); len(all) != 0 {
		t.Errorf("rendered %d objects, want none", len(all))
	}
	if all := rendered(t, systemNamespace, "--set", "enabled=false,metrics.serviceMonitor.enabled=true,ingress.enabled=true"); len(all) != 0 {
		t.Errorf("rendered %d objects, want none", len(all))
	}
}

func TestNothingClusterWideWithoutClusterRole(t *testing.T) {
	t.Parallel()
	all := rendered(t, systemNamespace, "--set", "metrics.clusterRole=false,users.clusterRole=false,metrics.serviceMonitor.enabled=true,crds.install=false,users.createNamespaces=false")
	for id := range all {
		if _, rest, _ := strings.Cut(id, "/"); strings.HasPrefix(rest, "/") {
			t.Errorf("%s is cluster-wide", id)
		}
	}
	if all["ServiceMonitor/gatehouse-system/gatehouse"] == nil {
		t.Error("there is no ServiceMonitor")
	}
}

func TestTLSRouteForwardsTheConnection(t *testing.T) {
	t.Parallel()
	all := rendered(t, systemNamespace, "--set", "route.enabled=true,route.parentRefs[0].name=public")
	if all["TLSRoute/gatehouse-system/gatehouse"] == nil || all["BackendTLSPolicy/gatehouse-system/gatehouse"] != nil {
		t.Error("want a TLSRoute without a policy for the backend")
	}
	all = rendered(t, systemNamespace, "--set", "route.enabled=true,route.kind=HTTPRoute,route.parentRefs[0].name=public")
	got := all.field(t, "BackendTLSPolicy/gatehouse-system/gatehouse", "spec", "validation", "caCertificateRefs")
	if want := `{"":[{"group":"","kind":"ConfigMap","name":"gatehouse-ca"}]}`; got != want {
		t.Errorf("the Gateway trusts %s, want %s", got, want)
	}
}
