{{- define "slipway.cronjob" -}}
{{- $ := .root -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {{ $.Release.Name }}-{{ .name }}
  labels:
    {{- include "slipway.labels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ .job }}
spec:
  schedule: {{ .schedule | quote }}
  timeZone: Etc/UTC
  # A window is judged once, a model retrained once.
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 1
      activeDeadlineSeconds: 21600
      ttlSecondsAfterFinished: 86400
      template:
        metadata:
          labels:
            {{- include "slipway.labels" $ | nindent 12 }}
            app.kubernetes.io/component: {{ .job }}
        spec:
          serviceAccountName: {{ $.Release.Name }}
          automountServiceAccountToken: false
          restartPolicy: Never
          securityContext: {{- include "slipway.podSecurity" $ | nindent 12 }}
          {{- if eq .job "monitor" }}
          # The reference of the served version is in its model directory.
          initContainers:
            - name: pull
              image: {{ $.Values.image.platform }}
              imagePullPolicy: {{ $.Values.image.pullPolicy }}
              command: [slipway, pull]
              env: {{- include "slipway.platformEnv" $ | nindent 16 }}
              securityContext: {{- include "slipway.security" $ | nindent 16 }}
              resources: {{- toYaml $.Values.jobs.resources | nindent 16 }}
              volumeMounts:
                - {name: state, mountPath: /var/lib/slipway}
                - {name: tmp, mountPath: /tmp}
          {{- end }}
          containers:
            - name: {{ .job }}
              image: {{ $.Values.image.platform }}
              imagePullPolicy: {{ $.Values.image.pullPolicy }}
              command: {{ toJson .command }}
              env: {{- include "slipway.platformEnv" $ | nindent 16 }}
              securityContext: {{- include "slipway.security" $ | nindent 16 }}
              resources: {{- toYaml $.Values.jobs.resources | nindent 16 }}
              volumeMounts:
                - {name: state, mountPath: /var/lib/slipway}
                - {name: tmp, mountPath: /tmp}
          volumes:
            - {name: state, persistentVolumeClaim: {claimName: {{ $.Release.Name }}-state}}
            - {name: tmp, emptyDir: {sizeLimit: 2Gi}}
{{- end }}
