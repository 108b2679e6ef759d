{{- define "slipway.labels" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: slipway
{{- end }}

{{- define "slipway.selector" -}}
app.kubernetes.io/name: slipway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end }}

{{/* The user of both images; no container may become another one. */}}
{{- define "slipway.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1034
runAsGroup: 1034
fsGroup: 1034
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "slipway.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Settings of everything that runs the platform image. */}}
{{- define "slipway.platformEnv" -}}
- {name: SLIPWAY_VAR, value: /var/lib/slipway}
- {name: SLIPWAY_REGISTRY_ACTOR, value: kubernetes}
- {name: MLFLOW_TRACKING_URI, valueFrom: {configMapKeyRef: {name: {{ .Release.Name }}, key: tracking-uri}}}
{{- end }}
