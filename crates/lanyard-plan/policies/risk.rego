# How much a plan could break. Every plan is judged by these rules; a charter's own policies can add to them in any package:
#
#   risk contains {"level": "high", "msg": "…"} if …       the highest level of all counts; low where no rule speaks
#   approval contains {"people": 2, "msg": "…"} if …       at least so many people have to approve
#   approval contains {"group": "security", "msg": "…"} if …   one of them has to be of this group
#
# The input is what `terraform show -json` prints, or one Kubernetes object.
package lanyard.risk

# Kinds with which data goes. By type, or by the first part of one.
stateful_types := {
	"aws_backup_vault", "aws_cloudwatch_log_group", "aws_docdb_cluster", "aws_dynamodb_table", "aws_ebs_volume",
	"aws_ecr_repository", "aws_efs_file_system", "aws_elasticsearch_domain", "aws_fsx_lustre_file_system",
	"aws_kinesis_stream", "aws_kms_key", "aws_mq_broker", "aws_msk_cluster", "aws_neptune_cluster",
	"aws_opensearch_domain", "aws_redshift_cluster", "aws_s3_bucket", "aws_secretsmanager_secret", "aws_sqs_queue",
	"azurerm_key_vault", "azurerm_managed_disk", "azurerm_storage_account", "google_bigquery_dataset",
	"google_compute_disk", "google_kms_crypto_key", "google_spanner_instance", "google_storage_bucket",
	"kubernetes_namespace", "kubernetes_namespace_v1", "kubernetes_persistent_volume",
	"kubernetes_persistent_volume_claim", "kubernetes_persistent_volume_claim_v1", "kubernetes_persistent_volume_v1",
	"kubernetes_stateful_set", "kubernetes_stateful_set_v1",
}

stateful_prefixes := {
	"aws_db_", "aws_elasticache_", "aws_memorydb_", "aws_rds_", "aws_timestreamwrite_", "azurerm_cosmosdb_",
	"azurerm_mssql_", "azurerm_mysql_", "azurerm_postgresql_", "google_sql_",
}

# Kinds that say who may do what. Beside these rules, Lanyard finds by itself the attributes that say so on any other kind (a policy
# within a queue, the members of a binding), values that are sensitive and change, and what a plan does beside its resources.
identity_types := {
	"aws_backup_vault_policy", "aws_cloudwatch_event_bus_policy", "aws_cloudwatch_event_permission",
	"aws_cloudwatch_log_destination_policy", "aws_cloudwatch_log_resource_policy", "aws_dynamodb_resource_policy",
	"aws_ecr_registry_policy", "aws_ecr_repository_policy", "aws_efs_file_system_policy", "aws_eks_access_entry",
	"aws_eks_access_policy_association", "aws_glacier_vault_lock", "aws_glue_resource_policy", "aws_kinesis_resource_policy",
	"aws_key_pair", "aws_kms_grant", "aws_kms_key_policy", "aws_lakeformation_permissions", "aws_lambda_layer_version_permission",
	"aws_lambda_permission", "aws_media_store_container_policy", "aws_opensearch_domain_policy",
	"aws_s3_access_point", "aws_s3_bucket_policy", "aws_s3control_bucket_policy", "aws_secretsmanager_secret_policy",
	"aws_ses_identity_policy", "aws_sns_topic_policy", "aws_sqs_queue_policy", "aws_vpc_endpoint_policy",
}

identity_prefixes := {
	"aws_cognito_", "aws_iam_", "aws_identitystore_", "aws_organizations_", "aws_ram_", "aws_rolesanywhere_", "aws_ssoadmin_",
	"azuread_", "azurerm_role_", "azurerm_user_assigned_identity", "github_actions_", "github_app_", "github_codespaces_",
	"github_dependabot_", "github_organization_", "github_repository_environment", "github_repository_webhook", "github_team",
	"google_project_iam_", "google_service_account", "kubernetes_certificate_signing_request", "kubernetes_cluster_role",
	"kubernetes_default_service_account", "kubernetes_mutating_", "kubernetes_role", "kubernetes_token_request",
	"kubernetes_validating_", "vault_",
}

# Words in the name of a type that says who may do what, whoever's type it is.
identity_words := {
	"_access_entry", "_access_grant", "_access_key", "_access_policy", "_access_token", "_api_key", "_branch_protection",
	"_collaborator", "_deploy_key", "_deploy_token", "_grant", "_iam_", "_launch_permission", "_member", "_permission",
	"_policy_attachment", "_rbac", "_resource_policy", "_role_assignment", "_role_binding", "_role_mapping", "_ruleset",
	"_service_account", "_ssh_key", "_trust_anchor", "_volume_permission",
}

# Kinds that say who reaches what.
perimeter_types := {
	"aws_cloudwatch_event_target", "aws_cloudwatch_log_subscription_filter", "aws_default_security_group",
	"aws_egress_only_internet_gateway", "aws_internet_gateway", "aws_lambda_function_url",
	"aws_nat_gateway", "aws_s3_account_public_access_block", "aws_s3_bucket_acl", "aws_s3_bucket_ownership_controls",
	"aws_s3_bucket_public_access_block", "aws_s3_bucket_replication_configuration", "aws_sns_topic_subscription",
	"aws_security_group", "aws_security_group_rule", "aws_vpc_endpoint", "aws_vpn_connection",
}

perimeter_prefixes := {
	"aws_ec2_transit_gateway", "aws_network_acl", "aws_network_firewall_", "aws_networkfirewall_", "aws_route",
	"aws_vpc_peering_", "aws_vpc_security_group_", "aws_waf", "azurerm_firewall", "azurerm_network_security_",
	"google_compute_firewall", "google_compute_route", "kubernetes_endpoint", "kubernetes_gateway", "kubernetes_ingress",
	"kubernetes_network_policy", "kubernetes_service",
}

# Kinds that are about a whole cluster.
cluster_prefixes := {
	"kubernetes_api_service", "kubernetes_csi_driver", "kubernetes_namespace", "kubernetes_node", "kubernetes_priority_class",
	"kubernetes_runtime_class", "kubernetes_storage_class",
}

cluster_types := {"kubernetes_persistent_volume", "kubernetes_persistent_volume_v1"}

# Kinds that write down who did what, or find who should not have.
audit_types := {
	"aws_cloudtrail", "aws_cloudtrail_event_data_store", "aws_config_configuration_recorder",
	"aws_config_configuration_recorder_status", "aws_config_delivery_channel", "aws_flow_log", "aws_guardduty_detector",
	"aws_securityhub_account",
}

# What the tags of a thing are called.
tags := {"labels", "tags", "tags_all"}

is_stateful(type) if type in stateful_types

is_stateful(type) if {
	some prefix in stateful_prefixes
	startswith(type, prefix)
}

is_identity(type) if type in identity_types

is_identity(type) if {
	some prefix in identity_prefixes
	startswith(type, prefix)
}

is_identity(type) if {
	some word in identity_words
	contains(type, word)
}

is_cluster(type) if type in cluster_types

is_cluster(type) if {
	some prefix in cluster_prefixes
	startswith(type, prefix)
}

# A service account says who a workload is, and a service who reaches it.
is_perimeter(type) if type in perimeter_types

is_perimeter(type) if {
	some prefix in perimeter_prefixes
	startswith(type, prefix)
	not startswith(type, "kubernetes_service_account")
}

# Terraform.

changes contains change if {
	some change in object.get(input, "resource_changes", [])
	object.get(change, "mode", "managed") == "managed"
	some action in change.change.actions
	action in {"create", "update", "delete", "forget"}
}

goes(change) if "delete" in change.change.actions

forgotten(change) if {
	"forget" in change.change.actions
	not goes(change)
}

only_tags(change) if {
	change.change.actions == ["update"]
	unknown := object.get(change.change, "after_unknown", {})
	every side in [change.change.before, change.change.after, unknown] {
		is_object(side)
	}
	before := object.remove(change.change.before, tags)
	after := object.remove(change.change.after, tags)
	before == after
	object.remove(unknown, tags) == {}
}

only_forgotten(change) if change.change.actions == ["forget"]

grave contains sprintf("%s, which holds state, is destroyed", [change.address]) if {
	some change in changes
	is_stateful(change.type)
	goes(change)
}

grave contains sprintf("%s says who may do what", [change.address]) if {
	some change in changes
	is_identity(change.type)
	not only_tags(change)
	not only_forgotten(change)
}

grave contains sprintf("%s says who reaches what", [change.address]) if {
	some change in changes
	is_perimeter(change.type)
	not only_tags(change)
	not only_forgotten(change)
}

grave contains sprintf("%s is about the whole cluster", [change.address]) if {
	some change in changes
	is_cluster(change.type)
	not only_tags(change)
	not only_forgotten(change)
}

grave contains sprintf("%s, which watches, changes or goes", [change.address]) if {
	some change in changes
	change.type in audit_types
	some action in change.change.actions
	action in {"update", "delete"}
	not only_tags(change)
}

risk contains {"level": "medium", "msg": sprintf("%s is destroyed", [change.address])} if {
	some change in changes
	goes(change)
}

risk contains {"level": "medium", "msg": sprintf("%s is no longer managed, and stays as it is", [change.address])} if {
	some change in changes
	forgotten(change)
}

risk contains {"level": "medium", "msg": sprintf("%s changes in place", [change.address])} if {
	some change in changes
	change.change.actions == ["update"]
	not only_tags(change)
}

# Kubernetes: an object is applied over whatever is there. Terraform can hold objects too.

objects contains input if is_string(object.get(input, "kind", null))

objects contains manifest if {
	some change in changes
	change.type == "kubernetes_manifest"
	some side in {"after", "before"}
	manifest := change.change[side].manifest
	is_string(manifest.kind)
}

# Lanyard finds the objects in every other attribute that changes, in texts too: `yaml_body`, the `values` of a chart.
objects contains held if some held in data.lanyard.objects

name(thing) := thing.metadata.name if is_string(thing.metadata.name)

name(thing) := "without a name" if not is_string(thing.metadata.name)

# Kinds of objects by the whole of their names, or by the end of one: routes, policies of networks and bindings have many makers.
identity_kinds := {
	"CertificateSigningRequest", "ClusterIssuer", "ClusterPolicy", "ClusterRole", "ClusterTrustBundle", "ConstraintTemplate",
	"FlowSchema", "Issuer", "PodSecurityPolicy", "Policy", "ReferenceGrant", "Role", "SecurityContextConstraints",
	"ServiceAccount", "TokenRequest", "User",
}

identity_endings := {
	"AccessKey", "AdmissionPolicy", "AdmissionPolicyBinding", "AuthPolicy", "Authentication", "AuthorizationPolicy",
	"IAMPolicy", "IAMPolicyMember", "RoleAssignment", "RoleBinding", "WebhookConfiguration",
}

perimeter_kinds := {
	"DestinationRule", "EndpointSlice", "Endpoints", "EnvoyFilter", "Gateway", "GatewayClass", "IPAddressPool", "Ingress",
	"IngressClass", "IngressRouteTCP", "IngressRouteUDP", "Service", "ServiceCIDR", "ServiceEntry", "ServiceExport",
	"Sidecar", "VirtualService",
}

perimeter_endings := {"NetworkPolicy", "NetworkPolicySpec", "NetworkSet", "Proxy", "Route", "TrafficPolicy"}

cluster_kinds := {
	"APIService", "CSIDriver", "CustomResourceDefinition", "Namespace", "Node", "PersistentVolume", "PriorityClass",
	"RuntimeClass", "StorageClass",
}

is_of(kind, kinds, _) if kind in kinds

is_of(kind, _, endings) if {
	some ending in endings
	endswith(kind, ending)
}

grave contains sprintf("%s %s says who may do what", [thing.kind, name(thing)]) if {
	some thing in objects
	is_of(thing.kind, identity_kinds, identity_endings)
}

grave contains sprintf("%s %s says who may do what", [thing.kind, name(thing)]) if {
	some thing in objects
	thing.kind == "ConfigMap"
	thing.metadata.name == "aws-auth"
}

grave contains sprintf("%s %s says who reaches what", [thing.kind, name(thing)]) if {
	some thing in objects
	is_of(thing.kind, perimeter_kinds, perimeter_endings)
}

grave contains sprintf("%s %s is about the whole cluster", [thing.kind, name(thing)]) if {
	some thing in objects
	thing.kind in cluster_kinds
}

risk contains {"level": "medium", "msg": sprintf("%s %s is applied", [thing.kind, name(thing)])} if {
	some thing in objects
	not thing.kind in {"ConfigMap", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
}

# What is grave is high, and takes two people wherever it is.

risk contains {"level": "high", "msg": msg} if some msg in grave

approval contains {"people": 2, "msg": msg} if some msg in grave
