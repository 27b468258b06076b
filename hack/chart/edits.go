package main

// The edits replace parts of the manifests by values of the chart. The rest stays as it is in
// config/.

// pod returns a path in the Pod template of the Deployment.
func pod(rest ...string) []string { return append([]string{"spec", "template", "spec"}, rest...) }

// container returns a path in the container of the service.
func container(rest ...string) []string {
	return append(pod("containers", "[name=gatehouse]"), rest...)
}

// optionalField returns the text of a field that the object has if the value is set.
func optionalField(value, field string) string {
	return "{{- with " + value + " }}\n" + field + ":\n  {{- toYaml . | nindent INNER }}\n{{- end }}"
}

// labelled adds the labels by which people find the objects of a release.
func labelled(t *template) {
	annotated(t, "dict")
}

// annotated is labelled for an object with annotations of its own, which extra names.
func annotated(t *template, extra string) {
	t.lines(`{{- include "gatehouse.labels" $ | nindent INDENT }}`, "metadata", "labels")
	t.lines(`{{- with include "gatehouse.annotations" (list $ `+extra+`) }}
annotations:
  {{- . | nindent INNER }}
{{- end }}`, "metadata")
}

func unlabelled(*template) {}

// clusterScoped gives an object without a namespace a name with the namespace of the release, so
// that two releases do not share it.
func clusterScoped(t *template) {
	labelled(t)
	t.value(clusterName(t), "metadata", "name")
}

// clusterScopedBinding does the same to a binding and to the role that it refers to.
func clusterScopedBinding(t *template) {
	name := clusterName(t)
	clusterScoped(t)
	t.value(name, "roleRef", "name")
}

func clusterName(t *template) string {
	return `{{ include "gatehouse.clusterName" (list $ "` + t.object.GetName() + `") }}`
}

func metricsReaderBinding(t *template) {
	clusterScopedBinding(t)
	t.value("{{ $.Values.metrics.reader.serviceAccount }}", "subjects", "[kind=ServiceAccount]", "name")
	t.value("{{ $.Values.metrics.reader.namespace }}", "subjects", "[kind=ServiceAccount]", "namespace")
}

func deployment(t *template) {
	labelled(t)
	t.value("{{ $.Values.replicas }}", "spec", "replicas")
	t.lines("{{- with $.Values.podLabels }}\n{{- toYaml . | nindent INDENT }}\n{{- end }}", "spec", "template", "metadata", "labels")
	t.lines("{{- with $.Values.podAnnotations }}\n{{- toYaml . | nindent INDENT }}\n{{- end }}", "spec", "template", "metadata", "annotations")
	t.value("{{ $.Values.terminationGracePeriodSeconds }}", pod("terminationGracePeriodSeconds")...)
	t.lines(`{{- with include "gatehouse.imagePullSecrets" $ }}
imagePullSecrets:
  {{- . | nindent INNER }}
{{- end }}`, pod()...)
	for _, field := range []string{"nodeSelector", "tolerations", "affinity"} {
		t.lines(optionalField("$.Values."+field, field), pod()...)
	}
	t.otherwise("$.Values.topologySpreadConstraints", "topologySpreadConstraints", pod()...)
	t.lines("{{- with $.Values.priorityClassName }}\npriorityClassName: {{ . }}\n{{- end }}", pod()...)
	t.value(`{{ include "gatehouse.image" $ }}`, container("image")...)
	t.lines("{{- with $.Values.image.pullPolicy }}\nimagePullPolicy: {{ . }}\n{{- end }}", container()...)
	t.items("{{- with include \"gatehouse.flags\" $ }}\n{{- . | nindent INDENT }}\n{{- end }}", container("args")...)
	t.items("{{- with $.Values.extraEnv }}\n{{- toYaml . | nindent INDENT }}\n{{- end }}", container("env")...)
	t.replace(optionalField("$.Values.resources", "resources"), container("resources")...)
	mountedCertificate(t)
}

// mountedCertificate makes the same change to the Deployment as config/components/cert-manager, and
// adds the volumes of the values.
func mountedCertificate(t *template) {
	t.items(`{{- if include "gatehouse.tlsSecret" $ }}
- name: tls
  mountPath: /etc/gatehouse/tls
  readOnly: true
{{- end }}
{{- with $.Values.extraVolumeMounts }}
{{- toYaml . | nindent INDENT }}
{{- end }}`, container("volumeMounts")...)
	t.items(`{{- with include "gatehouse.tlsSecret" $ }}
- name: tls
  secret:
    secretName: {{ . }}
{{- end }}
{{- with $.Values.extraVolumes }}
{{- toYaml . | nindent INDENT }}
{{- end }}`, pod("volumes")...)
}

// trustedIssuers fills the ConfigMap from a value.
func trustedIssuers(t *template) {
	labelled(t)
	t.replace(`data:
  configuration.yaml: |
    apiVersion: apiserver.config.k8s.io/v1
    kind: AuthenticationConfiguration
    jwt: {{ include "gatehouse.trustedIssuers" $ }}`, "data")
}

func tokenQuota(t *template) {
	labelled(t)
	t.value("{{ $.Values.users.tokenQuota | int64 | quote }}", "spec", "hard", "count/tokens.auth.gatehouse.dev")
}

func service(t *template) {
	annotated(t, "$.Values.service.annotations")
	t.value("{{ $.Values.service.type }}", "spec", "type")
	for _, field := range []string{"loadBalancerClass", "externalTrafficPolicy"} {
		t.lines("{{- with $.Values.service."+field+" }}\n"+field+": {{ . }}\n{{- end }}", "spec")
	}
	t.lines(optionalField("$.Values.service.loadBalancerSourceRanges", "loadBalancerSourceRanges"), "spec")
}

func networkPolicy(t *template) {
	labelled(t)
	t.replace(`egress:
- ports:
  - port: 53
    protocol: UDP
  - port: 53
    protocol: TCP
- ports:
  {{- range $.Values.networkPolicy.apiServerPorts }}
  - port: {{ . }}
  {{- end }}
  {{- with $.Values.networkPolicy.apiServerCIDRs }}
  to:
  {{- range . }}
  - ipBlock:
      cidr: {{ . }}
  {{- end }}
  {{- end }}`, "spec", "egress")
	t.value("{{ $.Values.metrics.reader.namespace }}",
		"spec", "ingress", "1", "from", "0", "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name")
}

func certificate(t *template) {
	labelled(t)
	t.replace(`{{- with $.Values.certManager.issuerRef }}
issuerRef:
  {{- toYaml . | nindent INNER }}
{{- else }}
issuerRef:
  kind: Issuer
  name: gatehouse
{{- end }}`, "spec", "issuerRef")
	t.items("{{- with $.Values.certManager.dnsNames }}\n{{- toYaml . | nindent INDENT }}\n{{- end }}", "spec", "dnsNames")
}

func serviceMonitor(t *template) {
	labelled(t)
	t.lines("{{- with $.Values.metrics.serviceMonitor.labels }}\n{{- toYaml . | nindent INDENT }}\n{{- end }}", "metadata", "labels")
	for _, field := range []string{"interval", "scrapeTimeout"} {
		t.lines("{{- with $.Values.metrics.serviceMonitor."+field+" }}\n"+field+": {{ . }}\n{{- end }}", "spec", "endpoints", "[port=metrics]")
	}
	t.replace(`{{- with include "gatehouse.tlsSecret" $ }}
ca:
  secret:
    name: {{ . }}
    key: ca.crt
{{- else }}
ca:
  configMap:
    name: gatehouse-ca
    key: ca.crt
{{- end }}`, "spec", "endpoints", "[port=metrics]", "tlsConfig", "ca")
}

func prometheusRule(t *template) {
	labelled(t)
	t.lines("{{- with $.Values.metrics.prometheusRule.labels }}\n{{- toYaml . | nindent INDENT }}\n{{- end }}", "metadata", "labels")
}

func dashboard(t *template) {
	annotated(t, "$.Values.metrics.dashboard.annotations")
	t.lines("{{- with $.Values.metrics.dashboard.labels }}\n{{- toYaml . | nindent INDENT }}\n{{- end }}", "metadata", "labels")
}

func podDisruptionBudget(t *template) {
	labelled(t)
	t.value("{{ $.Values.podDisruptionBudget.maxUnavailable }}", "spec", "maxUnavailable")
}
