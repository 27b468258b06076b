{{- if and .Values.enabled .Values.route.enabled }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: {{ .Values.route.kind }}
metadata:
  name: gatehouse
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "gatehouse.ownLabels" . | nindent 4 }}
  {{- with include "gatehouse.annotations" (list . .Values.route.annotations) }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  parentRefs:
    {{- toYaml .Values.route.parentRefs | nindent 4 }}
  {{- with .Values.route.hostnames }}
  hostnames:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
  - backendRefs:
    - {name: gatehouse, port: 443}
{{- if eq .Values.route.kind "HTTPRoute" }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: gatehouse
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "gatehouse.ownLabels" . | nindent 4 }}
  {{- with include "gatehouse.annotations" (list . dict) }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  targetRefs:
  - {group: "", kind: Service, name: gatehouse, sectionName: https}
  validation:
    hostname: gatehouse.{{ .Release.Namespace }}.svc
    caCertificateRefs:
    {{- if include "gatehouse.tlsSecret" . }}
    - {group: "", kind: Secret, name: {{ include "gatehouse.tlsSecret" . }}}
    {{- else }}
    - {group: "", kind: ConfigMap, name: gatehouse-ca}
    {{- end }}
{{- end }}
{{- end }}
