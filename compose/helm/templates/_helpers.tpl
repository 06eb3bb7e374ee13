{{- define "voxtral.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of one process: (list $ "web"). */}}
{{- define "voxtral.selector" -}}
{{- $root := first . -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- with last . }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "voxtral.labels" -}}
{{- $root := first . -}}
{{ include "voxtral.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end -}}

{{- define "voxtral.redisSecret" -}}
{{- if .Values.redis.url -}}
{{- printf "%s-redis" (include "voxtral.fullname" .) -}}
{{- else -}}
{{- required "redis.existingSecret or redis.url must be set: the chart has no Redis of its own" .Values.redis.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "voxtral.keysSecret" -}}
{{- if .Values.keys.list -}}
{{- printf "%s-keys" (include "voxtral.fullname" .) -}}
{{- else -}}
{{- .Values.keys.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "voxtral.modelClaim" -}}
{{- default (printf "%s-models" (include "voxtral.fullname" .)) .Values.worker.modelCache.existingClaim -}}
{{- end -}}

{{/* Each process that listens, with its module, its port, the variables of its own, and how it is probed. */}}
{{- define "voxtral.frontends" -}}
web: {module: frontend.web, port: 8000, readsKeys: true, path: /captions}
websocket: {module: frontend.websocket, port: 8765, readsKeys: true}
tcp: {module: frontend.tcp, port: 8766, readsKeys: true}
health: {module: frontend.health, port: 8005, readsKeys: true, path: /health}
flower: {module: compose.flower, port: 5555, path: /healthcheck}
{{- end -}}

{{- define "voxtral.drainSeconds" -}}
{{- .Values.config.session.drain_timeout_s | ceil | int -}}
{{- end -}}

{{/* Values that do not fit together. */}}
{{- define "voxtral.check" -}}
{{- range tuple "server.host" "server.http_port" "server.health_port" "server.tcp_ports" "server.tls_certificate" "server.tls_key" "redis.url" "redis.broker_url" "redis.port" "redis.data_dir" "redis.binary" "access.keys" "access.keys_file" "flower.port" "flower.basic_auth" "wyoming.host" "wyoming.port" "webhooks.enabled" "webhooks.secret" "webhooks.secret_file" "logs.dir" -}}
{{- $parts := splitList "." . -}}
{{- if hasKey (default dict (index $.Values.config (first $parts))) (last $parts) -}}
{{- fail (printf "config.%s must not be set: the chart sets it" .) -}}
{{- end -}}
{{- end -}}
{{- range tuple "twilio_auth_token" "telnyx_stream_token" -}}
{{- if hasKey (default dict $.Values.config.telephony) . -}}
{{- fail (printf "config.telephony.%s must not be set: a ConfigMap is not secret; set VOXTRAL_TELEPHONY__%s from a Secret in extraEnv" . (upper .)) -}}
{{- end -}}
{{- end -}}
{{- if and (contains "+cluster://" .Values.redis.url) (not .Values.redis.brokerUrl) -}}
{{- fail "redis.url names a Redis Cluster, which cannot have the queues: set redis.brokerUrl" -}}
{{- end -}}
{{- if and .Values.redis.brokerUrl (not .Values.redis.url) -}}
{{- fail "redis.brokerUrl needs redis.url; in redis.existingSecret it is the key broker-url" -}}
{{- end -}}
{{- if has "wyoming" (dig "server" "protocols" list .Values.config) -}}
{{- fail "config.server.protocols must not contain wyoming: the chart does not open its port, which has neither keys nor TLS" -}}
{{- end -}}
{{- $exposed := list -}}
{{- if .Values.ingress.enabled -}}
{{- $exposed = append $exposed "ingress.enabled" -}}
{{- if not .Values.web.enabled -}}
{{- fail "ingress.enabled needs web.enabled" -}}
{{- end -}}
{{- if and .Values.ingress.websocketHost (not .Values.websocket.enabled) -}}
{{- fail "ingress.websocketHost needs websocket.enabled" -}}
{{- end -}}
{{- if eq .Values.ingress.websocketHost .Values.ingress.host -}}
{{- fail "ingress.websocketHost must differ from ingress.host: each serves the whole of a host" -}}
{{- end -}}
{{- end -}}
{{- range tuple "web" "websocket" "tcp" "health" -}}
{{- $frontend := index $.Values . -}}
{{- if and $frontend.enabled (ne $frontend.service.type "ClusterIP") -}}
{{- $exposed = append $exposed (printf "%s.service.type=%s" . $frontend.service.type) -}}
{{- end -}}
{{- end -}}
{{- if and $exposed (not (include "voxtral.keysSecret" .)) (not .Values.keys.anonymous) -}}
{{- fail (printf "%s opens the service: set keys.existingSecret or keys.list, or keys.anonymous=true to require no key" (join " and " $exposed)) -}}
{{- end -}}
{{- if and .Values.flower.enabled (not .Values.flower.existingSecret) -}}
{{- fail "flower.enabled needs flower.existingSecret, a Secret with its password" -}}
{{- end -}}
{{- if and .Values.webhooks.enabled (not .Values.webhooks.existingSecret) -}}
{{- fail "webhooks.enabled needs webhooks.existingSecret, a Secret with what signs them" -}}
{{- end -}}
{{- $scaling := .Values.worker.autoscaling -}}
{{- if and $scaling.enabled (lt (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- fail "worker.autoscaling.maxReplicas must not be smaller than minReplicas" -}}
{{- end -}}
{{- end -}}
