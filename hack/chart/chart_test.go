package main

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestTemplatesAreCurrent(t *testing.T) {
	files, err := templates(config)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(chart + "/templates/" + name); err != nil || string(got) != want {
			t.Errorf("%s is not current (%v); run make chart", name, err)
		}
	}
}

// TestHelmInstallsWhatKustomizeDoes compares object by object. removeChartOnly first removes what
// the chart adds on purpose.
func TestHelmInstallsWhatKustomizeDoes(t *testing.T) {
	certManager := "certManager.enabled=true"
	prometheus := "metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true"
	for name, c := range map[string]struct {
		components []string
		values     string
	}{
		"with the defaults": {nil, "crds.install=true"},
		"with cert-manager": {[]string{"cert-manager"}, certManager},
		"with Prometheus":   {[]string{"prometheus"}, prometheus},
		"with both":         {[]string{"prometheus", "cert-manager"}, certManager + "," + prometheus},
	} {
		t.Run(name, func(t *testing.T) {
			want := kustomized(t, c.components...)
			got := rendered(t, systemNamespace, "--set", c.values)
			removeChartOnly(t, got, want)
			for _, id := range slices.Sorted(maps.Keys(want)) {
				if !reflect.DeepEqual(got[id], want[id]) {
					t.Errorf("%s differs\nHelm:      %s\nkustomize: %s", id, jsonText(t, got[id]), jsonText(t, want[id]))
				}
				delete(got, id)
			}
			for id := range got {
				t.Errorf("only the chart has %s", id)
			}
		})
	}
}

// removeChartOnly removes the differences that the chart makes on purpose, and fails the test where
// one is missing.
func removeChartOnly(t *testing.T, chart, manifests objects) {
	t.Helper()
	// Helm creates the namespace of the release, not the chart.
	delete(manifests, "Namespace//"+systemNamespace)
	for id, o := range chart {
		metadata, _ := o["metadata"].(map[string]any)
		kind := kindOf(id)
		if kind == "CustomResourceDefinition" || kind == "Namespace" {
			continue // objects that outlive the release do not have its labels
		}
		// The labels let people find the objects of a release.
		removeEntry(t, id, metadata, "labels", "helm.sh/chart", "gatehouse-0.1.0")
		removeEntry(t, id, metadata, "labels", "app.kubernetes.io/instance", "gatehouse")
		removeEntry(t, id, metadata, "labels", "app.kubernetes.io/managed-by", "Helm")
	}
}

func kindOf(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return kind
}

// removeEntry removes an entry, which must be there, from a map in metadata, and the map when it is
// empty.
func removeEntry(t *testing.T, id string, metadata map[string]any, field, key, want string) {
	t.Helper()
	entries, _ := metadata[field].(map[string]any)
	if entries[key] != want {
		t.Errorf("%s of %s is %v, want %s", key, id, entries[key], want)
	}
	delete(entries, key)
	if len(entries) == 0 {
		delete(metadata, field)
	}
}

// jsonText returns an object as JSON with sorted fields.
func jsonText(t *testing.T, o map[string]any) string {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestReleaseInAnotherNamespace(t *testing.T) {
	t.Parallel()
	all := rendered(t, "auth", "--set", "users.namespaces={team-a,team-b},certManager.enabled=true,metrics.serviceMonitor.enabled=true,"+
		"metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true")
	for id, o := range all {
		if strings.HasPrefix(id, "CustomResourceDefinition/") {
			continue
		}
		if s := jsonText(t, o); strings.Contains(s, systemNamespace) || strings.Contains(s, usersNamespace) {
			t.Errorf("%s names a namespace of the defaults: %s", id, s)
		}
	}
	for _, id := range []string{
		"Namespace//team-a", "Namespace//team-b", "Role/team-a/gatehouse", "RoleBinding/team-b/gatehouse", "Role/auth/gatehouse",
		"ClusterRole//gatehouse-metrics-auth:auth", "ClusterRoleBinding//gatehouse-metrics-auth:auth", "Deployment/auth/gatehouse",
		"PrometheusRule/auth/gatehouse", "ConfigMap/auth/gatehouse-dashboard",
	} {
		if all[id] == nil {
			t.Errorf("there is no %s", id)
		}
	}
	if s := jsonText(t, all["Deployment/auth/gatehouse"]); !strings.Contains(s, `"--namespaces=team-a,team-b"`) {
		t.Errorf("--namespaces does not name both namespaces: %s", s)
	}
	if s := jsonText(t, all["PrometheusRule/auth/gatehouse"]); !strings.Contains(s, `absent(gatehouse_build_info{namespace=\"auth\"})`) {
		t.Errorf("the alerts do not look at the namespace of the release: %s", s)
	}
	if s := jsonText(t, all["ConfigMap/auth/gatehouse-dashboard"]); !strings.Contains(s, `"grafana_dashboard":"1"`) || !strings.Contains(s, `{{code}}`) {
		t.Errorf("the dashboard is not whole: %.300s", s)
	}
	if s := jsonText(t, all["RoleBinding/team-a/gatehouse"]); !strings.Contains(s, `"subjects":[{"kind":"ServiceAccount","name":"gatehouse","namespace":"auth"}]`) {
		t.Errorf("the binding does not name the service account of the release: %s", s)
	}
}

func TestValuesReachTheObjects(t *testing.T) {
	t.Parallel()
	all := rendered(t, systemNamespace, "--values", "testdata/values.yaml")
	for id, wants := range map[string][]string{
		"Deployment/gatehouse-system/gatehouse": {
			`"image":"registry.example.com/gatehouse@sha256:`, `"imagePullPolicy":"Always"`, `"imagePullSecrets":[{"name":"parent"},{"name":"registry"}]`,
			`"replicas":5`, `"--admin-groups=platform,security"`, `"--failed-attempts-lockout=20"`, `"--pprof=true"`, `"--jwt-maximum-ttl=8h"`,
			`"terminationGracePeriodSeconds":60`, `"--tls-cert-dir=/etc/gatehouse/tls"`, `"secretName":"login-tls"`, `"team":"platform"`,
			`"example.com/note":"yes"`, `"disk":"fast"`, `"operator":"Exists"`, `"nodeAffinity"`, `"priorityClassName":"important"`,
			`"resources":{"limits":{"memory":"2Gi"}}`, `{"name":"GOMEMLIMIT","value":"900MiB"}`, `"topologySpreadConstraints":[{"labelSelector":{"matchLabels":{"app.kubernetes.io/name":"gatehouse"}},"maxSkew":2,`, `{"emptyDir":{},"name":"audit"}`, `{"mountPath":"/var/log/gatehouse","name":"audit"}`,
		},
		"Service/gatehouse-system/gatehouse": {
			`"type":"LoadBalancer"`, `"example.com/internal":"true"`, `"example.com/contact":"identity@example.com"`, `"team":"identity"`,
			`"loadBalancerClass":"example.com/internal"`, `"loadBalancerSourceRanges":["10.0.0.0/8"]`, `"externalTrafficPolicy":"Local"`,
		},
		"Ingress/gatehouse-system/gatehouse": {
			`"ingressClassName":"nginx"`, `"nginx.ingress.kubernetes.io/backend-protocol":"HTTPS"`, `"team":"identity"`,
			`"tls":[{"hosts":["login.example.com","auth.example.com"],"secretName":"ingress-tls"}]`, `"host":"auth.example.com"`,
		},
		"HTTPRoute/gatehouse-system/gatehouse": {
			`"parentRefs":[{"name":"public","namespace":"gateways"}]`, `"hostnames":["login.example.org"]`, `"example.com/route":"yes"`,
		},
		"BackendTLSPolicy/gatehouse-system/gatehouse": {
			`"hostname":"gatehouse.gatehouse-system.svc"`, `"caCertificateRefs":[{"group":"","kind":"Secret","name":"login-tls"}]`,
		},
		"ConfigMap/gatehouse-system/extra":         {`"name":"extra"`},
		"ConfigMap/gatehouse-system/extra-text":    {`"name":"extra-text"`},
		"NetworkPolicy/gatehouse-system/gatehouse": {`{"ports":[{"port":16443}],"to":[{"ipBlock":{"cidr":"10.0.0.1/32"}}]}]`, `"kubernetes.io/metadata.name":"observability"`},
		"ServiceMonitor/gatehouse-system/gatehouse": {
			`"release":"kube-prometheus"`, `"interval":"15s"`, `"scrapeTimeout":"10s"`, `"ca":{"secret":{"key":"ca.crt","name":"login-tls"}}`,
		},
		"ClusterRoleBinding//gatehouse-metrics-reader": {`{"kind":"ServiceAccount","name":"prometheus","namespace":"observability"}`},
		"PrometheusRule/gatehouse-system/gatehouse":    {`"role":"alerts"`},
	} {
		for _, want := range wants {
			if s := jsonText(t, all[id]); !strings.Contains(s, want) {
				t.Errorf("%s does not have %s: %s", id, want, s)
			}
		}
	}
	for id := range all {
		if kind := kindOf(id); slices.Contains([]string{"CustomResourceDefinition", "Namespace", "PodDisruptionBudget"}, kind) {
			t.Errorf("%s is there although the values disable it", id)
		}
	}
}

func TestOwnIssuerSignsTheCertificate(t *testing.T) {
	t.Parallel()
	all := rendered(t, systemNamespace, "--set", "certManager.enabled=true,certManager.issuerRef.kind=ClusterIssuer,"+
		"certManager.issuerRef.name=internal,certManager.dnsNames={login.example.com}")
	s := jsonText(t, all["Certificate/gatehouse-system/gatehouse"])
	if !strings.Contains(s, `"issuerRef":{"kind":"ClusterIssuer","name":"internal"}`) || !strings.Contains(s, `"login.example.com"`) {
		t.Errorf("the certificate does not have the issuer and the name of the values: %s", s)
	}
	for id := range all {
		if strings.HasPrefix(id, "Issuer/") || strings.HasSuffix(id, "authority") {
			t.Errorf("%s is there although no certificate needs it", id)
		}
	}
}

func TestWrongValuesAreRejected(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]string{
		"replica=3":                                 "replica",
		"flags.jwt-max-ttl=8h":                      "jwt-max-ttl",
		"flags.namespaces=team-a":                   "namespaces",
		"users.namespaces={Team}":                   "users/namespaces/0",
		"users.namespaces={}":                       "users/namespaces",
		"users.namespaces={gatehouse-system}":       "the namespace of the release",
		"image.pullPolicy=always":                   "image/pullPolicy",
		"flags.log-level=loud":                      "flags/log-level",
		"flags.signing-algorithm=HS256":             "flags/signing-algorithm",
		"flags.jwt-maximum-ttl=soon":                "flags/jwt-maximum-ttl",
		"flags.lockout-duration=30":                 "flags/lockout-duration",
		"flags.failed-attempts-lockout=-1":          "flags/failed-attempts-lockout",
		"route.enabled=true":                        "route.parentRefs",
		"podDisruptionBudget.maxUnavailable=some":   "podDisruptionBudget/maxUnavailable",
		"flags.pprof=maybe":                         "flags/pprof",
		"flags.issuer-url=login.example.com":        "flags/issuer-url",
		"tls.secretName=a,certManager.enabled=true": "exclude one another",
	} {
		out, err := runHelm(t, "template", "gatehouse", chart, "--namespace", systemNamespace, "--set", values)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that names %s\n%.200s", values, err, want, out)
		}
	}
}

func TestHelmLint(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--values", "testdata/values.yaml"}} {
		mustHelm(t, append([]string{"lint", "--strict", "--quiet", "--namespace", systemNamespace, chart}, args...)...)
	}
}
