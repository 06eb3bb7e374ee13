{{/* What the pods of all processes share: (dict "root" $ "readsKeys" true). */}}
{{- define "voxtral.pod" -}}
serviceAccountName: {{ include "voxtral.fullname" .root }}
automountServiceAccountToken: false
# Kubernetes' variables for a Service named voxtral-web begin with VOXTRAL_, and would be rejected as unknown settings.
enableServiceLinks: false
# As process 1, a program without handlers of its own would ignore SIGTERM while it starts.
shareProcessNamespace: true
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "voxtral.podAnnotations" -}}
checksum/config: {{ include (print .Template.BasePath "/configmap.yaml") . | sha256sum }}
{{- if .Values.redis.url }}
checksum/redis: {{ list .Values.redis.url .Values.redis.brokerUrl | toJson | sha256sum }}
{{- end }}
{{- end -}}

{{- define "voxtral.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "voxtral.env" -}}
- {name: VOXTRAL_CONFIG, value: /etc/voxtral/config.yaml}
- {name: VOXTRAL_SERVER__HOST, value: {{ .root.Values.listenOn | quote }}}
- name: REDIS_URL
  valueFrom:
    secretKeyRef: {name: {{ include "voxtral.redisSecret" .root }}, key: url}
- name: REDIS_BROKER_URL
  valueFrom:
    secretKeyRef: {name: {{ include "voxtral.redisSecret" .root }}, key: broker-url, optional: true}
{{- if .root.Values.tls.secretName }}
- {name: VOXTRAL_SERVER__TLS_CERTIFICATE, value: /run/secrets/tls/tls.crt}
- {name: VOXTRAL_SERVER__TLS_KEY, value: /run/secrets/tls/tls.key}
{{- end }}
{{- if and .readsKeys (include "voxtral.keysSecret" .root) }}
- {name: VOXTRAL_ACCESS__KEYS_FILE, value: /run/secrets/keys/keys.yaml}
{{- end }}
{{- if .root.Values.webhooks.enabled }}
- {name: VOXTRAL_WEBHOOKS__ENABLED, value: "true"}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "voxtral.volumeMounts" -}}
- {name: config, mountPath: /etc/voxtral, readOnly: true}
- {name: data, mountPath: /data}
- {name: tmp, mountPath: /tmp}
{{- if .root.Values.tls.secretName }}
- {name: tls, mountPath: /run/secrets/tls, readOnly: true}
{{- end }}
{{- if and .readsKeys (include "voxtral.keysSecret" .root) }}
- {name: keys, mountPath: /run/secrets/keys, readOnly: true}
{{- end }}
{{- end -}}

{{- define "voxtral.volumes" -}}
- name: config
  configMap: {name: {{ include "voxtral.fullname" .root }}}
- {name: data, emptyDir: {}}
- {name: tmp, emptyDir: {}}
{{- with .root.Values.tls.secretName }}
- name: tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- if and .readsKeys (include "voxtral.keysSecret" .root) }}
- name: keys
  secret: {secretName: {{ include "voxtral.keysSecret" .root }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{/* Keeps a drain of nodes from stopping all pods of a process at once: (list $ "web"). */}}
{{- define "voxtral.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ printf "%s-%s" (include "voxtral.fullname" (first .)) (last .) }}
  labels:
    {{- include "voxtral.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "voxtral.selector" . | nindent 6 }}
{{- end -}}
