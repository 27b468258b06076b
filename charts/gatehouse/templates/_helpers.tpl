{{/* Labels of every object, in addition to app.kubernetes.io/name. */}}
{{- define "gatehouse.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Annotations of an object, from (list $ ANNOTATIONS-OF-ITS-OWN), or nothing. */}}
{{- define "gatehouse.annotations" -}}
{{- $root := index . 0 -}}
{{- with merge (dict) (index . 1) $root.Values.commonAnnotations -}}
{{- toYaml . -}}
{{- end -}}
{{- end }}

{{/* The Secrets for the registry, of this chart and of a parent chart. */}}
{{- define "gatehouse.imagePullSecrets" -}}
{{- with concat (.Values.global.imagePullSecrets | default list) .Values.imagePullSecrets | uniq -}}
{{- toYaml . -}}
{{- end -}}
{{- end }}

{{/* The repository of the image, in the registry of a parent chart if it names one. */}}
{{- define "gatehouse.repository" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.global.imageRegistry -}}
{{- $parts := splitList "/" $repository -}}
{{- if and (gt (len $parts) 1) (regexMatch "[.:]|^localhost$" (first $parts)) -}}
{{- $parts = rest $parts -}}
{{- end -}}
{{- $repository = printf "%s/%s" . (join "/" $parts) -}}
{{- end -}}
{{ $repository }}
{{- end }}

{{/* The image, by digest if one is set. */}}
{{- define "gatehouse.image" -}}
{{- with .Values.image.digest -}}
{{ include "gatehouse.repository" $ }}@{{ . }}
{{- else -}}
{{ include "gatehouse.repository" . }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The name of a cluster-wide object, from (list $ NAME). Two releases in one cluster must not share it. */}}
{{- define "gatehouse.clusterName" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- if eq $root.Release.Namespace "gatehouse-system" -}}
{{ $name }}
{{- else -}}
{{ $name }}:{{ $root.Release.Namespace }}
{{- end }}
{{- end }}

{{/*
"true" if the release creates the namespace, from (list $ NAMESPACE). Helm would refuse to touch a namespace that
someone else created. The release takes over one that an earlier release of the same name left behind.
*/}}
{{- define "gatehouse.makesNamespace" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.users.createNamespaces -}}
{{- $there := lookup "v1" "Namespace" "" (index . 1) -}}
{{- $annotations := dig "metadata" "annotations" dict $there | default dict -}}
{{- $ours := and (eq (get $annotations "meta.helm.sh/release-name") $root.Release.Name) (eq (get $annotations "meta.helm.sh/release-namespace") $root.Release.Namespace) -}}
{{- or (empty $there) $ours -}}
{{- end -}}
{{- end }}

{{/* The Secret with the certificate, if a certificate is mounted. */}}
{{- define "gatehouse.tlsSecret" -}}
{{- if .Values.certManager.enabled -}}
gatehouse-tls
{{- else -}}
{{ .Values.tls.secretName }}
{{- end }}
{{- end }}

{{/* Arguments of gatehouse serve, as items of a YAML list. */}}
{{- define "gatehouse.flags" -}}
{{- $args := list -}}
{{- if include "gatehouse.tlsSecret" . -}}
{{- $args = append $args "--tls-cert-dir=/etc/gatehouse/tls" -}}
{{- end -}}
{{- range $flag, $value := .Values.flags -}}
{{- if kindIs "slice" $value -}}
{{- $value = join "," $value -}}
{{- else if kindIs "float64" $value -}}
{{- $value = int64 $value -}}
{{- end -}}
{{- $args = append $args (printf "--%s=%v" $flag $value) -}}
{{- end -}}
{{- with $args -}}
{{- toYaml . -}}
{{- end -}}
{{- end }}

{{/* The trusted issuers as a list in JSON, which is also YAML. */}}
{{- define "gatehouse.trustedIssuers" -}}
{{- $issuers := list -}}
{{- range .Values.trustedIssuers -}}
{{- $issuers = append $issuers (dict "issuer" .) -}}
{{- end -}}
{{- toJson $issuers -}}
{{- end }}

{{/* The labels of an object that only the chart has. */}}
{{- define "gatehouse.ownLabels" -}}
app.kubernetes.io/name: gatehouse
{{ include "gatehouse.labels" . }}
{{- end }}
