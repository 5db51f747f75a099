{{- define "personaguard.selectorLabels" -}}
app.kubernetes.io/name: personaguard-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "personaguard.labels" -}}
{{ include "personaguard.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: personaguard
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Of what runs beside the operator, so that nothing selects it as the operator. */}}
{{- define "personaguard.hookLabels" -}}
app.kubernetes.io/name: personaguard-uninstall
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: personaguard
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* An image reference: (dict "image" .Values.image "default" .Chart.AppVersion). */}}
{{- define "personaguard.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .default }}
{{- end -}}
{{- end }}

{{/* The pod security context that the `restricted` Pod Security Standard asks for. */}}
{{- define "personaguard.podSecurityContext" -}}
runAsNonRoot: true
{{- with .Values.runAsUser }}
runAsUser: {{ . | int64 }}
runAsGroup: {{ . | int64 }}
fsGroup: {{ . | int64 }}
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "personaguard.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* "true" where a kind of the Prometheus Operator is to be made: (dict "root" $ "create" Auto|Always|Never "kind" "PodMonitor"). */}}
{{- define "personaguard.wantsMonitoringKind" -}}
{{- if or (eq .create "Always") (and (eq .create "Auto") (.root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind))) -}}
true
{{- end -}}
{{- end }}

{{/* The port that a URL leads to. */}}
{{- define "personaguard.port" -}}
{{- $url := urlParse . -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- end }}

{{/* What the operator itself asks, beside the API server: the URLs in the values. */}}
{{- define "personaguard.urls" -}}
{{- $otel := .Values.otel -}}
{{- $urls := list .Values.alertmanagerUrl .Values.alertWebhook.url .Values.otlpEndpoint -}}
{{- range $name := list "OTEL_EXPORTER_OTLP_ENDPOINT" "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" -}}
{{- $urls = append $urls (get $otel $name) -}}
{{- end -}}
{{- compact $urls | toJson -}}
{{- end }}

{{/* The rules file, with links to the runbooks where the reader's people find them. */}}
{{- define "personaguard.rules" -}}
{{- $rules := .Files.Get "files/rules.yaml" -}}
{{- with .Values.monitoring.rules.runbookUrl -}}
{{- $rules = replace "https://personaguard.dev/docs/runbooks.html#" (printf "%s#" (trimSuffix "#" .)) $rules -}}
{{- end -}}
{{- $cluster := .Values.monitoring.rules.clusterLabel -}}
{{- range $before := list "by (" "on (" "$labels." -}}
{{- $rules = replace (printf "%scluster" $before) (printf "%s%s" $before $cluster) $rules -}}
{{- end -}}
{{ $rules }}
{{- end }}

{{/* CEL: whether any of a list of metav1.LabelSelectors selects an object: (dict "selectors" … "object" "object"). All of
     matchLabels and matchExpressions count; an empty selector selects everything. */}}
{{- define "personaguard.selects" -}}
{{ .selectors }}.exists(s,
  s.?matchLabels.orValue({}).all(k, {{ .object }}.metadata.?labels[?k] == optional.of(s.matchLabels[k])) &&
  s.?matchExpressions.orValue([]).all(e,
    e.operator == 'In' ? e.?values.orValue([]).exists(v, {{ .object }}.metadata.?labels[?e.key] == optional.of(v)) :
    e.operator == 'NotIn' ? !e.?values.orValue([]).exists(v, {{ .object }}.metadata.?labels[?e.key] == optional.of(v)) :
    e.operator == 'Exists' ? {{ .object }}.metadata.?labels[?e.key].hasValue() :
    e.operator == 'DoesNotExist' && !{{ .object }}.metadata.?labels[?e.key].hasValue()))
{{- end }}

{{/* CEL: whether a pod can only run on Windows: by its OS, its node selector, or every term of its required node affinity. */}}
{{- define "personaguard.windows" -}}
(object.spec.?os.?name == optional.of('windows') ||
['kubernetes.io/os', 'beta.kubernetes.io/os'].exists(label,
  object.spec.?nodeSelector[?label] == optional.of('windows') ||
  (object.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution.?nodeSelectorTerms.orValue([]).size() > 0 &&
  object.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.all(t,
    t.?matchExpressions.orValue([]).exists(e, e.key == label && e.operator == 'In' && e.?values.orValue([]) == ['windows'])))))
{{- end }}

{{/* CEL: whether a container whose port is to be taken over cannot be given the plugin for its engine: it has a mount of its own
     where the plugin is to be, or takes a variable to which something is to be added from elsewhere. */}}
{{- define "personaguard.unjoinable" -}}
(has(params.spec.server) && object.spec.containers.exists(c,
  c.?ports.orValue([]).exists(p, p.?name == params.spec.?takeover) && (
  c.?volumeMounts.orValue([]).exists(m, params.spec.server.volumeMounts.exists(s, (m.mountPath + '/').startsWith(s.mountPath + '/'))) ||
  c.?env.orValue([]).exists(e, has(e.valueFrom) && params.spec.server.joins.exists(j, j.name == e.name)))))
{{- end }}

{{/* CEL: the containers of a pod's spec that have the sidecar's name: (dict "object" "object"). */}}
{{- define "personaguard.namesakes" -}}
{{ .object }}.spec.?initContainers.orValue([]).filter(c, params.spec.?container.?name == optional.of(c.name))
{{- end }}

{{/* CEL: whether a pod has the sidecar as it was injected. Images and resources are other people's to rewrite (mirrors,
     digests, autoscalers, limit ranges), and so is what they add: variables, mounts beside ours, a token. Not what would put
     other code into it: a path is compared as the kernel reads it, so one that is not written plainly is none of theirs. */}}
{{- define "personaguard.injected" -}}
{{ include "personaguard.namesakes" (dict "object" "object") }}.exists(c,
  c.?restartPolicy == optional.of('Always') &&
  c.?command.orValue([]) == params.spec.container.?command.orValue([]) &&
  c.?args.orValue([]) == params.spec.container.?args.orValue([]) &&
  c.?workingDir.orValue('') == params.spec.container.?workingDir.orValue('') &&
  c.?envFrom.orValue([]).size() == params.spec.container.?envFrom.orValue([]).size() &&
  has(c.lifecycle) == has(params.spec.container.lifecycle) &&
  params.spec.container.?env.orValue([]).all(p, c.?env.orValue([]).exists(e, e.name == p.name)) &&
  c.?env.orValue([]).all(e,
    params.spec.container.?env.orValue([]).exists(p, p.name == e.name) ?
    params.spec.container.?env.orValue([]).exists(p, p.name == e.name && p.?value.orValue('') == e.?value.orValue('') && has(p.valueFrom) == has(e.valueFrom)) :
    e.name == 'PERSONAGUARD_UPSTREAM' ?
    has(params.spec.takeover) && e.?value.orValue('').matches('^http://127[.]0[.]0[.]1:[0-9]+$') :
    !e.name.startsWith('PERSONAGUARD_') && !e.name.startsWith('LD_') && e.name != 'GLIBC_TUNABLES') &&
  (!has(params.spec.takeover) || c.?env.orValue([]).exists(e, e.name == 'PERSONAGUARD_UPSTREAM')) &&
  params.spec.container.?ports.orValue([]).all(p, c.?ports.orValue([]).exists(o, o.?name == p.?name && o.containerPort == p.containerPort)) &&
  params.spec.container.?volumeMounts.orValue([]).all(p, c.?volumeMounts.orValue([]).exists(m,
    m.name == p.name && m.mountPath == p.mountPath && !has(m.subPath) && !has(m.subPathExpr))) &&
  c.?volumeMounts.orValue([]).all(m, m.mountPath.startsWith('/') && !(m.mountPath + '/').matches('//|/[.][.]?/') &&
    !['/usr/', '/lib/', '/lib64/', '/bin/', '/sbin/', '/etc/ld.so.preload/', '/etc/ld.so.cache/'].exists(d,
      (m.mountPath + '/').startsWith(d) || d.startsWith(m.mountPath + '/')) &&
    params.spec.container.?volumeMounts.orValue([]).all(p, (m.name == p.name && m.mountPath == p.mountPath) ||
    !((m.mountPath + '/').startsWith(p.mountPath + '/') || (p.mountPath + '/').startsWith(m.mountPath + '/'))))) &&
params.spec.volumes.all(p, object.spec.?volumes.orValue([]).exists(v, v.name == p.name &&
  has(v.configMap) == has(p.configMap) && v.?configMap.?name == p.?configMap.?name && v.?configMap.?items.orValue([]) == p.?configMap.?items.orValue([]) &&
  has(v.downwardAPI) == has(p.downwardAPI) &&
  v.?downwardAPI.?items.orValue([]).map(i, i.path + '=' + i.?fieldRef.?fieldPath.orValue('')) ==
  p.?downwardAPI.?items.orValue([]).map(i, i.path + '=' + i.?fieldRef.?fieldPath.orValue('')) &&
  has(v.projected) == has(p.projected) && has(v.image) == has(p.image) &&
  has(v.persistentVolumeClaim) == has(p.persistentVolumeClaim) && has(v.emptyDir) == has(p.emptyDir)))
{{- end }}
