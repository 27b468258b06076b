{{- /* What the schema cannot say. It renders to nothing, or ends the command. */ -}}
{{- if has .Release.Namespace .Values.users.namespaces }}
{{- fail (printf "\n\nusers.namespaces names %s, the namespace of the release. A User can name any Secret beside it, and the keys of all tokens are there: give users a namespace of their own." .Release.Namespace) }}
{{- end }}
{{- if and .Values.certManager.enabled .Values.tls.secretName }}
{{- fail "\n\ntls.secretName and certManager.enabled exclude one another: set the one that makes the certificate." }}
{{- end }}
