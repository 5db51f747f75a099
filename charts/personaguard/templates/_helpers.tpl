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
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
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

{{/* The rules file, with links to the runbooks where the reader's people find them. */}}
{{- define "personaguard.rules" -}}
{{- $rules := .Files.Get "files/rules.yaml" -}}
{{- with .Values.monitoring.rules.runbookUrl -}}
{{- $rules = replace "docs/runbooks.md#" (printf "%s#" .) $rules -}}
{{- end -}}
{{ $rules }}
{{- end }}

{{/* CEL: whether any of a list of metav1.LabelSelectors selects the object. All of matchLabels and matchExpressions count; an
     empty selector selects everything. */}}
{{- define "personaguard.selects" -}}
{{ . }}.exists(s,
  s.?matchLabels.orValue({}).all(k, object.metadata.?labels[?k] == optional.of(s.matchLabels[k])) &&
  s.?matchExpressions.orValue([]).all(e,
    e.operator == 'In' ? e.?values.orValue([]).exists(v, object.metadata.?labels[?e.key] == optional.of(v)) :
    e.operator == 'NotIn' ? !e.?values.orValue([]).exists(v, object.metadata.?labels[?e.key] == optional.of(v)) :
    e.operator == 'Exists' ? object.metadata.?labels[?e.key].hasValue() :
    e.operator == 'DoesNotExist' && !object.metadata.?labels[?e.key].hasValue()))
{{- end }}
