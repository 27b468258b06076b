{{- if and .Values.enabled .Values.ingress.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: gatehouse
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "gatehouse.ownLabels" . | nindent 4 }}
  {{- with include "gatehouse.annotations" (list . .Values.ingress.annotations) }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
spec:
  {{- with .Values.ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .Values.ingress.tlsSecretName }}
  tls:
  - secretName: {{ . }}
    hosts:
      {{- toYaml $.Values.ingress.hosts | nindent 6 }}
  {{- end }}
  rules:
  {{- range .Values.ingress.hosts }}
  - host: {{ . | quote }}
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: gatehouse, port: {name: https}}}
  {{- end }}
{{- end }}
