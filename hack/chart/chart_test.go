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

func TestTheTemplatesAreWhatTheManifestsGive(t *testing.T) {
	files, err := templates(config)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(chart + "/templates/" + name); err != nil || string(got) != want {
			t.Errorf("%s is not current (%v): run make chart", name, err)
		}
	}
}

// TestHelmInstallsWhatKustomizeDoes compares object by object. The chart differs in three ways, which explain takes back.
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
			explain(t, got, want)
			for _, id := range slices.Sorted(maps.Keys(want)) {
				if !reflect.DeepEqual(got[id], want[id]) {
					t.Errorf("%s differs\nHelm:      %s\nkustomize: %s", id, text(t, got[id]), text(t, want[id]))
				}
				delete(got, id)
			}
			for id := range got {
				t.Errorf("only the chart has %s", id)
			}
		})
	}
}

// explain takes back what the chart does differently on purpose, and fails where it does not do it.
func explain(t *testing.T, chart, manifests objects) {
	t.Helper()
	// Helm makes the namespace of the release, not the chart.
	delete(manifests, "Namespace//"+systemNamespace)
	for id, o := range chart {
		metadata, _ := o["metadata"].(map[string]any)
		kind := kindOf(id)
		if kind == "CustomResourceDefinition" || kind == "Namespace" {
			// What outlives the release bears no label of it.
			take(t, id, metadata, "annotations", "helm.sh/resource-policy", "keep")
			continue
		}
		// People find what a release made by its labels.
		take(t, id, metadata, "labels", "helm.sh/chart", "gatehouse-0.1.0")
		take(t, id, metadata, "labels", "app.kubernetes.io/instance", "gatehouse")
		take(t, id, metadata, "labels", "app.kubernetes.io/managed-by", "Helm")
	}
}

func kindOf(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return kind
}

// take removes an entry that must be there from a map in metadata, and the map when nothing is left.
func take(t *testing.T, id string, metadata map[string]any, field, key, want string) {
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

func text(t *testing.T, o map[string]any) string {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAnotherNamespaceIsNamedEverywhere(t *testing.T) {
	all := rendered(t, "auth", "--set", "users.namespaces={team-a,team-b},certManager.enabled=true,metrics.serviceMonitor.enabled=true")
	for id, o := range all {
		if strings.HasPrefix(id, "CustomResourceDefinition/") {
			continue
		}
		if s := text(t, o); strings.Contains(s, systemNamespace) || strings.Contains(s, usersNamespace) {
			t.Errorf("%s names a namespace that is not there: %s", id, s)
		}
	}
	for _, id := range []string{
		"Namespace//team-a", "Namespace//team-b", "Role/team-a/gatehouse", "RoleBinding/team-b/gatehouse", "Role/auth/gatehouse",
		"ClusterRole//gatehouse-metrics-auth:auth", "ClusterRoleBinding//gatehouse-metrics-auth:auth", "Deployment/auth/gatehouse",
	} {
		if all[id] == nil {
			t.Errorf("there is no %s", id)
		}
	}
	if s := text(t, all["Deployment/auth/gatehouse"]); !strings.Contains(s, `"--namespaces=team-a,team-b"`) {
		t.Errorf("the flag --namespaces is missing: %s", s)
	}
	if s := text(t, all["RoleBinding/team-a/gatehouse"]); !strings.Contains(s, `"subjects":[{"kind":"ServiceAccount","name":"gatehouse","namespace":"auth"}]`) {
		t.Errorf("the binding gives the rights to another: %s", s)
	}
}

func TestValuesReachTheObjects(t *testing.T) {
	all := rendered(t, systemNamespace, "--values", "testdata/values.yaml")
	for id, wants := range map[string][]string{
		"Deployment/gatehouse-system/gatehouse": {
			`"image":"registry.example.com/gatehouse@sha256:`, `"imagePullPolicy":"Always"`, `"imagePullSecrets":[{"name":"registry"}]`,
			`"replicas":5`, `"--admin-groups=platform,security"`, `"--failed-attempts-lockout=20"`, `"--pprof=true"`, `"--jwt-maximum-ttl=8h"`,
			`"terminationGracePeriodSeconds":60`, `"--tls-cert-dir=/etc/gatehouse/tls"`, `"secretName":"login-tls"`, `"team":"platform"`,
			`"example.com/note":"yes"`, `"disk":"fast"`, `"operator":"Exists"`, `"nodeAffinity"`, `"priorityClassName":"important"`,
			`"resources":{"limits":{"memory":"2Gi"}}`,
		},
		"Service/gatehouse-system/gatehouse":       {`"type":"LoadBalancer"`, `"example.com/internal":"true"`},
		"NetworkPolicy/gatehouse-system/gatehouse": {`"egress":[{"ports":[{"port":16443}]}]`},
		"ServiceMonitor/gatehouse-system/gatehouse": {
			`"release":"kube-prometheus"`, `"ca":{"secret":{"key":"ca.crt","name":"login-tls"}}`,
		},
		"ClusterRoleBinding//gatehouse-metrics-reader": {`{"kind":"ServiceAccount","name":"prometheus","namespace":"observability"}`},
		"PrometheusRule/gatehouse-system/gatehouse":    {`"role":"alerts"`},
	} {
		for _, want := range wants {
			if s := text(t, all[id]); !strings.Contains(s, want) {
				t.Errorf("%s does not have %s: %s", id, want, s)
			}
		}
	}
	for id := range all {
		if kind := kindOf(id); slices.Contains([]string{"CustomResourceDefinition", "Namespace", "PodDisruptionBudget"}, kind) {
			t.Errorf("%s was switched off", id)
		}
	}
}

func TestYourIssuerSignsTheCertificate(t *testing.T) {
	all := rendered(t, systemNamespace, "--set", "certManager.enabled=true,certManager.issuerRef.kind=ClusterIssuer,"+
		"certManager.issuerRef.name=internal,certManager.dnsNames={login.example.com}")
	s := text(t, all["Certificate/gatehouse-system/gatehouse"])
	if !strings.Contains(s, `"issuerRef":{"kind":"ClusterIssuer","name":"internal"}`) || !strings.Contains(s, `"login.example.com"`) {
		t.Error(s)
	}
	for id := range all {
		if strings.HasPrefix(id, "Issuer/") || strings.HasSuffix(id, "authority") {
			t.Errorf("%s is made although nobody needs it", id)
		}
	}
}

func TestMistakesAreToldBeforeAnythingIsInstalled(t *testing.T) {
	for values, want := range map[string]string{
		"replica=3":                                 "replica",
		"flags.jwt-max-ttl=8h":                      "jwt-max-ttl",
		"flags.namespaces=team-a":                   "namespaces",
		"users.namespaces={Team}":                   "users/namespaces/0",
		"users.namespaces={}":                       "users/namespaces",
		"users.namespaces={gatehouse-system}":       "the namespace of the release",
		"image.pullPolicy=always":                   "image/pullPolicy",
		"tls.secretName=a,certManager.enabled=true": "exclude one another",
	} {
		out, err := runHelm(t, "template", "gatehouse", chart, "--namespace", systemNamespace, "--set", values)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that names %s\n%.200s", values, err, want, out)
		}
	}
}

func TestHelmFindsNothingToComplainAbout(t *testing.T) {
	for _, args := range [][]string{nil, {"--values", "testdata/values.yaml"}} {
		mustHelm(t, append([]string{"lint", "--strict", "--quiet", "--namespace", systemNamespace, chart}, args...)...)
	}
}
