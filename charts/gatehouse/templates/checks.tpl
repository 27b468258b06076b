{{- /* Checks that the schema cannot express. They render nothing, or fail the command. */ -}}
{{- if .Values.enabled }}
{{- if has .Release.Namespace .Values.users.namespaces }}
{{- fail (printf "\n\nusers.namespaces contains %s, the namespace of the release. A User can name any Secret beside it, and the keys of all tokens are there. Give users a namespace of their own." .Release.Namespace) }}
{{- end }}
{{- if and .Values.certManager.enabled .Values.tls.secretName }}
{{- fail "\n\ntls.secretName and certManager.enabled exclude one another. Set only the one that provides the certificate." }}
{{- end }}
{{- if and .Values.route.enabled (not .Values.route.parentRefs) }}
{{- fail "\n\nroute.enabled needs route.parentRefs, the Gateway that the route is for." }}
{{- end }}
{{- end }}
