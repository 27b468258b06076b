package main

import (
	"fmt"
	"strings"
)

const (
	systemNamespace = "gatehouse-system"
	usersNamespace  = "gatehouse-users"
)

// file is one template of the chart.
type file struct {
	name    string
	around  string // condition or loop of the template; if empty, Helm renders it once
	objects []part
}

// part is one object of the manifests in a file, with an optional condition and its edit.
type part struct {
	id     string
	around string
	edit   func(*template)
}

// layout returns which objects each file has, and when Helm renders it.
func layout() []file {
	const (
		certManager = "if $.Values.certManager.enabled"
		monitor     = "if $.Values.metrics.serviceMonitor.enabled"
		clusterRole = "if $.Values.metrics.clusterRole"
		releaseRole = "if $.Values.users.clusterRole"
		ownIssuer   = "if not $.Values.certManager.issuerRef"
	)
	system := func(kind string) string { return kind + "/" + systemNamespace + "/gatehouse" }
	users := func(kind string) string { return kind + "/" + usersNamespace + "/gatehouse" }
	return []file{
		{"crds.yaml", "if $.Values.crds.install", []part{
			{"CustomResourceDefinition//users.auth.gatehouse.dev", "", unlabelled},
			{"CustomResourceDefinition//tokens.auth.gatehouse.dev", "", unlabelled},
			{"CustomResourceDefinition//revocations.auth.gatehouse.dev", "", unlabelled},
			{"CustomResourceDefinition//tenants.auth.gatehouse.dev", "", unlabelled},
		}},
		{"users.yaml", "range $namespace := $.Values.users.namespaces", []part{
			{"Namespace//" + usersNamespace, `if eq (include "gatehouse.makesNamespace" (list $ $namespace)) "true"`, unlabelled},
			{users("Role"), "", labelled},
			{users("RoleBinding"), "", labelled},
			{users("ResourceQuota"), "if $.Values.users.tokenQuota", tokenQuota},
		}},
		{"rbac.yaml", "", []part{
			{system("ServiceAccount"), "", labelled},
			{system("Role"), "", labelled},
			{system("RoleBinding"), "", labelled},
			{"ClusterRole//gatehouse-metrics-auth", clusterRole, clusterScoped},
			{"ClusterRoleBinding//gatehouse-metrics-auth", clusterRole, clusterScopedBinding},
			{"ClusterRole//gatehouse-release-tokens", releaseRole, clusterScoped},
			{"ClusterRoleBinding//gatehouse-release-tokens", releaseRole, clusterScopedBinding},
		}},
		{"deployment.yaml", "", []part{
			{"ConfigMap/" + systemNamespace + "/gatehouse-trusted-issuers", "", trustedIssuers},
			{system("Deployment"), "", deployment},
		}},
		{"service.yaml", "", []part{
			{system("Service"), "", service},
			{"Service/" + systemNamespace + "/gatehouse-metrics", "", labelled},
		}},
		{"poddisruptionbudget.yaml", "if $.Values.podDisruptionBudget.enabled", []part{{system("PodDisruptionBudget"), "", podDisruptionBudget}}},
		{"networkpolicy.yaml", "if $.Values.networkPolicy.enabled", []part{{system("NetworkPolicy"), "", networkPolicy}}},
		{"certificate.yaml", certManager, []part{
			{"Issuer/" + systemNamespace + "/gatehouse-selfsigned", ownIssuer, labelled},
			{"Certificate/" + systemNamespace + "/gatehouse-authority", ownIssuer, labelled},
			{system("Issuer"), ownIssuer, labelled},
			{system("Certificate"), "", certificate},
		}},
		{"servicemonitor.yaml", monitor, []part{
			{system("ServiceMonitor"), "", serviceMonitor},
			{"ClusterRole//gatehouse-metrics-reader", clusterRole, clusterScoped},
			{"ClusterRoleBinding//gatehouse-metrics-reader", clusterRole, metricsReaderBinding},
		}},
		{"prometheusrule.yaml", "if $.Values.metrics.prometheusRule.enabled", []part{{system("PrometheusRule"), "", prometheusRule}}},
		{"dashboard.yaml", "if $.Values.metrics.dashboard.enabled", []part{{"ConfigMap/" + systemNamespace + "/gatehouse-dashboard", "", dashboard}}},
	}
}

// render returns the text of the file. Consecutive objects with the same condition share it.
func (f file) render(p *pool) (string, error) {
	var text, shared strings.Builder
	for i, o := range f.objects {
		one, err := o.render(p)
		if err != nil {
			return "", err
		}
		shared.WriteString(one)
		if i+1 == len(f.objects) || f.objects[i+1].around != o.around {
			text.WriteString(wrap(o.around, shared.String()))
			shared.Reset()
		}
	}
	return wrap("if $.Values.enabled", wrap(f.around, text.String())), nil
}

// render returns the text of one object after its edit.
func (o part) render(p *pool) (string, error) {
	object, err := p.take(o.id)
	if err != nil {
		return "", err
	}
	t := &template{object: object}
	o.edit(t)
	text, err := t.String()
	if err != nil {
		return "", err
	}
	if object.GetKind() != "CustomResourceDefinition" {
		text = namespaces.Replace(text)
	}
	return "---\n" + text, nil
}

// namespaces replaces the namespaces of the manifests by that of the release and, in the loop over
// them, those of the users.
var namespaces = strings.NewReplacer( //nolint:gochecknoglobals // a table
	"--namespaces="+usersNamespace, `--namespaces={{ join "," $.Values.users.namespaces }}`,
	systemNamespace, "{{ $.Release.Namespace }}",
	usersNamespace, "{{ $namespace }}",
)

// wrap puts a condition or loop around the text of a template.
func wrap(around, text string) string {
	if around == "" {
		return text
	}
	return fmt.Sprintf("{{- %s }}\n%s{{- end }}\n", around, text)
}
