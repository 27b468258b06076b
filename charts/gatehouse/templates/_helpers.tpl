{{/* Labels of every object, beside app.kubernetes.io/name. */}}
{{- define "gatehouse.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* The image, by digest if there is one. */}}
{{- define "gatehouse.image" -}}
{{- with .Values.image.digest -}}
{{ $.Values.image.repository }}@{{ . }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The name of an object without a namespace, from (list $ NAME): two releases in one cluster must not share it. */}}
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
"true" if the release makes the namespace, from (list $ NAMESPACE). One that somebody else made is theirs, and Helm would refuse
to touch it; one that an earlier release of this name left behind is taken up again.
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

{{/* The Secret with the certificate, if it is mounted. */}}
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
