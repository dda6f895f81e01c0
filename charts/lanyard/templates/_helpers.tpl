{{/* The name of everything: the release, with the chart's name where the release does not have it. */}}
{{- define "lanyard.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "lanyard.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: broker
{{- end -}}

{{/* What everything is found by that is no part of the broker's pod. */}}
{{- define "lanyard.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: lanyard
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lanyard.serviceAccount" -}}
{{- default (include "lanyard.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The service account of an operator of `operators`. */}}
{{- define "lanyard.account" -}}
{{- printf "system:serviceaccount:%s:%s" .namespace .name -}}
{{- end -}}

{{- define "lanyard.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "lanyard.leaseNamespace" -}}
{{- default (printf "%s-leases" .Release.Namespace) .Values.kubernetesTarget.leaseNamespace -}}
{{- end -}}

{{/* Where agents reach the broker. */}}
{{- define "lanyard.url" -}}
{{- default (printf "https://%s.%s.svc:7070" (include "lanyard.fullname" .) .Release.Namespace) .Values.url -}}
{{- end -}}

{{/* The same from within the cluster, by a name that is in the certificate. */}}
{{- define "lanyard.innerUrl" -}}
{{- if .Values.tls.secretName -}}
{{- include "lanyard.url" . -}}
{{- else -}}
{{- printf "https://%s.%s.svc:7070" (include "lanyard.fullname" .) .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- define "lanyard.tlsSecret" -}}
{{- default (printf "%s-tls" (include "lanyard.fullname" .)) .Values.tls.secretName -}}
{{- end -}}

{{/* Whether the chart makes the certificate itself. */}}
{{- define "lanyard.makesTls" -}}
{{- if not (or .Values.tls.secretName .Values.tls.certManager.enabled) -}}yes{{- end -}}
{{- end -}}

{{- define "lanyard.metricsSecret" -}}
{{- default (printf "%s-metrics" (include "lanyard.fullname" .)) .Values.metrics.bearerSecret.name -}}
{{- end -}}

{{/* The names in the certificate: of every Service, and of this machine, for whoever forwards a port. */}}
{{- define "lanyard.dnsNames" -}}
{{- $full := include "lanyard.fullname" . -}}
{{- $names := list -}}
{{- range $service := list $full (printf "%s-kill" $full) (printf "%s-metrics" $full) (printf "%s-admission" $full) -}}
{{- $names = concat $names (list $service (printf "%s.%s" $service $.Release.Namespace) (printf "%s.%s.svc" $service $.Release.Namespace) (printf "%s.%s.svc.%s" $service $.Release.Namespace $.Values.clusterDomain)) -}}
{{- end -}}
{{- $names = append $names "localhost" -}}
{{- with .Values.url -}}
{{- $names = append $names ((urlParse .).hostname) -}}
{{- end -}}
{{- concat $names .Values.tls.names | uniq | toJson -}}
{{- end -}}

{{/* The CA and the certificate that the chart makes: those of the Secret for as long as the names stay the same. One pair in
     one rendering, whoever asks. */}}
{{- define "lanyard.tls" -}}
{{- if not (hasKey .Values "_tls") -}}
{{- $names := include "lanyard.dnsNames" . | fromJsonArray -}}
{{- $digest := $names | toJson | sha256sum -}}
{{- $there := lookup "v1" "Secret" .Release.Namespace (include "lanyard.tlsSecret" .) | default dict -}}
{{- $of := dig "metadata" "annotations" "lanyard.dev/names" "" $there -}}
{{- if and (hasKey $there "data") (eq $of $digest) -}}
{{- $_ := set .Values "_tls" (dict "digest" $digest "ca" (index $there.data "ca.crt") "certificate" (index $there.data "tls.crt") "key" (index $there.data "tls.key")) -}}
{{- else -}}
{{- $days := int .Values.tls.days -}}
{{- $ca := genCAWithKey (printf "%s CA" (include "lanyard.fullname" .)) $days (genPrivateKey "ecdsa") -}}
{{- $pair := genSignedCertWithKey (include "lanyard.fullname" .) (list "127.0.0.1" "::1") $names $days $ca (genPrivateKey "ecdsa") -}}
{{- $_ := set .Values "_tls" (dict "digest" $digest "ca" ($ca.Cert | b64enc) "certificate" ($pair.Cert | b64enc) "key" ($pair.Key | b64enc)) -}}
{{- end -}}
{{- end -}}
{{- .Values._tls | toJson -}}
{{- end -}}

{{/* The CA that agents hold the broker's certificate against, in PEM; nothing where the system's roots know it, or where only
     the cluster does. */}}
{{- define "lanyard.ca" -}}
{{- if .Values.tls.ca -}}
{{- .Values.tls.ca | trim -}}
{{- else if include "lanyard.makesTls" . -}}
{{- (include "lanyard.tls" . | fromJson).ca | b64dec | trim -}}
{{- end -}}
{{- end -}}

{{/* How a pod of the release itself reaches the broker, and as whom: a context of the command line. */}}
{{- define "lanyard.context" -}}
{{- $identity := dict "token_file" "/run/lanyard/token/token" -}}
{{- $context := dict "endpoint" .endpoint "identity" $identity -}}
{{- if include "lanyard.caVolume" .root -}}
{{- $_ := set $context "ca_file" "/run/lanyard/ca/ca.crt" -}}
{{- end -}}
{{- $context | toPrettyJson -}}
{{- end -}}

{{/* Where a pod of the release finds the CA; nothing where the system's roots are enough. */}}
{{- define "lanyard.caVolume" -}}
{{- if .Values.tls.ca -}}
configMap: {name: {{ include "lanyard.fullname" . }}-ca}
{{- else if not .Values.tls.secretName -}}
secret: {secretName: {{ include "lanyard.tlsSecret" . }}, items: [{key: ca.crt, path: ca.crt}], optional: true}
{{- end -}}
{{- end -}}

{{/* The token that shows the broker who a pod is. */}}
{{- define "lanyard.tokenVolume" -}}
projected:
  sources:
    - serviceAccountToken: {audience: {{ include "lanyard.audience" . }}, expirationSeconds: 600, path: token}
{{- end -}}

{{- define "lanyard.audience" -}}
{{- dig "audience" "lanyard" .Values.config -}}
{{- end -}}

{{/* What every container may do: nothing that it does not need. */}}
{{- define "lanyard.hookPod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
restartPolicy: Never
securityContext: {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "lanyard.hookVolumes" -}}
- name: context
  configMap: {name: {{ include "lanyard.fullname" . }}-contexts}
- name: token
  {{- include "lanyard.tokenVolume" . | nindent 2 }}
- name: state
  emptyDir: {medium: Memory, sizeLimit: 8Mi}
{{- with include "lanyard.caVolume" . }}
- name: ca
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "lanyard.hookMounts" -}}
- {name: context, mountPath: /etc/lanyard, readOnly: true}
- {name: token, mountPath: /run/lanyard/token, readOnly: true}
- {name: state, mountPath: /run/lanyard/state}
{{- if include "lanyard.caVolume" . }}
- {name: ca, mountPath: /run/lanyard/ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* The environment that the charter of `helm test` is about: the first sandbox, else the first of all. */}}
{{- define "lanyard.testEnvironment" -}}
{{- $environments := include "lanyard.environments" . | fromJson -}}
{{- $found := "" -}}
{{- range $name := keys $environments | sortAlpha -}}
{{- if and (not $found) (eq (get $environments $name) "sandbox") -}}{{- $found = $name -}}{{- end -}}
{{- end -}}
{{- default (keys $environments | sortAlpha | first) $found -}}
{{- end -}}

{{- define "lanyard.environments" -}}
{{- default (dict "staging" "sandbox" "production" "production") .Values.config.environments | toJson -}}
{{- end -}}

{{/* Who acts as an operator: the service accounts of `operators`, the hook before an uninstall, and whoever may exec into the
     broker's pod. By role. */}}
{{- define "lanyard.operators" -}}
{{- $full := include "lanyard.fullname" . -}}
{{- $roles := dict -}}
{{- $holders := dict -}}
{{- if .Values.operatorByExec.enabled -}}
{{- $_ := set $holders (include "lanyard.serviceAccount" .) (list "viewer" "on-call") -}}
{{- end -}}
{{- if .Values.uninstall.killEverything -}}
{{- $_ := set $holders (printf "%s-uninstall" $full) (list "on-call") -}}
{{- end -}}
{{- range $name, $operator := .Values.operators -}}
{{- $_ := set $holders (printf "%s-operator-%s" $full $name) $operator.roles -}}
{{- end -}}
{{- range $name := keys $holders | sortAlpha -}}
{{- range $role := get $holders $name -}}
{{- $account := include "lanyard.account" (dict "namespace" $.Release.Namespace "name" $name) -}}
{{- $_ := set $roles $role (append (get $roles $role | default list) $account) -}}
{{- end -}}
{{- end -}}
{{- $roles | toJson -}}
{{- end -}}

{{/* Whether charters are read as objects: where nothing says which agents they may name, they are not. */}}
{{- define "lanyard.objects" -}}
{{- if and .Values.charterObjects.enabled (or .Values.kubernetes.agents .Values.charterObjects.namespaces) -}}yes{{- end -}}
{{- end -}}

{{- define "lanyard.webhook" -}}
{{- if and (include "lanyard.objects" .) .Values.charterObjects.webhook.enabled -}}yes{{- end -}}
{{- end -}}

{{/* The namespaces whose Charter objects are read, with their bounds. */}}
{{- define "lanyard.objectNamespaces" -}}
{{- $own := dict "namespace" .Release.Namespace -}}
{{- if .Values.agentNamespaces -}}
{{- $agents := list -}}
{{- range .Values.agentNamespaces -}}
{{- $agents = append $agents (dict "issuer" $.Values.kubernetes.issuer "subject" (printf "system:serviceaccount:%s:*" .)) -}}
{{- end -}}
{{- $_ := set $own "agents" $agents -}}
{{- end -}}
{{- default (list $own) .Values.charterObjects.namespaces | toJson -}}
{{- end -}}

{{/* The daemon's configuration: what the chart says, with `config` over it. */}}
{{- define "lanyard.config" -}}
{{- $full := include "lanyard.fullname" . -}}
{{- range $key := list "data_dir" "charters" "charter_objects" "listen" "kill_listen" "metrics_listen" "metrics_bearer_file" "tls" -}}
{{- if hasKey $.Values.config $key -}}
{{- fail (printf "config.%s: the chart sets this field of the daemon's configuration itself; take it out of `config`" $key) -}}
{{- end -}}
{{- end -}}
{{- $url := include "lanyard.url" . -}}
{{- $own := dict "data_dir" "/var/lib/lanyard/data" "charters" "/run/lanyard/charters" -}}
{{- $_ := set $own "listen" (printf "%s:7070" .Values.listenAddress) -}}
{{- $_ := set $own "kill_listen" (printf "%s:7071" .Values.listenAddress) -}}
{{- if .Values.metrics.enabled -}}
{{- $_ := set $own "metrics_listen" (printf "%s:7072" .Values.listenAddress) -}}
{{- $_ := set $own "metrics_bearer_file" "/run/lanyard/metrics/token" -}}
{{- end -}}
{{- if include "lanyard.objects" . -}}
{{- $objects := dict "kubernetes" dict "stale_after" .Values.charterObjects.staleAfter "namespaces" (include "lanyard.objectNamespaces" . | fromJsonArray) -}}
{{- if include "lanyard.webhook" . -}}
{{- if and .Values.tls.secretName (not .Values.tls.ca) -}}
{{- fail "tls.ca: the API server needs the CA of the given certificate for the webhook of charters; name it, or set charterObjects.webhook.enabled to false" -}}
{{- end -}}
{{- $_ := set $objects "admission_listen" (printf "%s:7073" .Values.listenAddress) -}}
{{- end -}}
{{- $_ := set $own "charter_objects" $objects -}}
{{- end -}}
{{- $_ := set $own "tls" (dict "certificate" "/run/lanyard/tls/tls.crt" "key" "/run/lanyard/tls/tls.key") -}}
{{- $_ := set $own "issuer" $url -}}
{{- $_ := set $own "audience" "lanyard" -}}
{{- $_ := set $own "environments" (include "lanyard.environments" . | fromJson) -}}
{{- $targets := dict "tokens" (dict "kind" "token") -}}
{{- if .Values.kubernetesTarget.namespaces -}}
{{- $cluster := dict "kind" "kubernetes" "namespace" (include "lanyard.leaseNamespace" .) -}}
{{- with .Values.kubernetesTarget.clusterRoles -}}
{{- $_ := set $cluster "cluster_roles" . -}}
{{- end -}}
{{- with .Values.kubernetesTarget.drillNamespace -}}
{{- $_ := set $cluster "drill_namespace" . -}}
{{- end -}}
{{- $_ := set $targets .Values.kubernetesTarget.name $cluster -}}
{{- end -}}
{{- $_ := set $own "targets" $targets -}}
{{- $issuers := list -}}
{{- if .Values.kubernetes.agents -}}
{{- $issuer := dict "issuer" .Values.kubernetes.issuer "kind" "agents" "kubernetes" dict -}}
{{- $operators := include "lanyard.operators" . | fromJson -}}
{{- if $operators -}}
{{- $_ := set $issuer "operators" $operators -}}
{{- end -}}
{{- $issuers = append $issuers $issuer -}}
{{- end -}}
{{- $origins := list -}}
{{- range $service := list (dict "name" $full "port" 7070) (dict "name" (printf "%s-kill" $full) "port" 7071) -}}
{{- range $host := list $service.name (printf "%s.%s" $service.name $.Release.Namespace) (printf "%s.%s.svc" $service.name $.Release.Namespace) (printf "%s.%s.svc.%s" $service.name $.Release.Namespace $.Values.clusterDomain) "localhost" "127.0.0.1" -}}
{{- $origins = append $origins (printf "https://%s:%d" $host (int $service.port)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.url -}}
{{- $origins = append $origins . -}}
{{- end -}}
{{- $over := deepCopy .Values.config -}}
{{- $issuers = concat $issuers (default list $over.issuers) -}}
{{- $_ := set $over "issuers" (ternary (list) $issuers (empty $issuers)) -}}
{{- $_ := set $over "origins" (concat $origins (default list $over.origins) | uniq) -}}
{{- mergeOverwrite $own $over | toYaml -}}
{{- end -}}

{{/* The volumes of `secretFiles`. */}}
{{- define "lanyard.secretVolumes" -}}
{{- range $index, $file := .Values.secretFiles }}
- name: secret-{{ $index }}
  secret:
    secretName: {{ $file.secret }}
    defaultMode: 0440
    # A Secret that is missing costs what needs it, and not the kill switch.
    optional: true
    {{- with $file.items }}
    items: {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- end -}}
