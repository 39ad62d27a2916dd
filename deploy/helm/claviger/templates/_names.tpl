{{/* The release's name: of the Deployment and of what belongs to it. */}}
{{- define "claviger.name" -}}
{{- ternary .Release.Name (printf "%s-claviger" .Release.Name) (contains "claviger" .Release.Name) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "claviger.account" -}}
{{- default (include "claviger.name" .) .Values.serviceAccount.name }}
{{- end }}

{{- define "claviger.selector" -}}
app.kubernetes.io/name: claviger
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "claviger.labels" -}}
{{ include "claviger.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Not empty where this release answers the API. */}}
{{- define "claviger.api" -}}
{{- if has "api" .Values.roles }}api{{ end }}
{{- end }}

{{/* The port's name says what is spoken there. */}}
{{- define "claviger.port" -}}
{{- ternary "https" "http" (has "api" .Values.roles) }}
{{- end }}

{{/* Flow of the values -> files of its roles. */}}
{{- define "claviger.flows" -}}
scan: [scan]
rotate: [rotate]
rotateToken: [rotate-token]
rotateCertificate: [rotate-certificate]
revoke: [revoke]
revokeAccount: [revoke-account]
revokePod: [revoke-pod]
mitigate: [mitigate]
swap: [swap]
{{- end }}

{{/* Roles of which single namespaces are no use: what they name lies in no namespace. */}}
{{- define "claviger.clustered" -}}
scan: [scan-cluster]
rotateCertificate: [rotate-certificate]
mitigate: [mitigate]
{{- end }}
