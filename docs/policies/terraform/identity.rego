# Who may do what changes only with the consent of somebody from the group `security`.
package terraform.identity

import rego.v1

identity(type) if startswith(type, "aws_iam_")

identity(type) if type in {
	"aws_ecr_repository_policy", "aws_kms_grant", "aws_kms_key_policy", "aws_lambda_permission", "aws_s3_bucket_policy",
	"aws_secretsmanager_secret_policy", "aws_sns_topic_policy", "aws_sqs_queue_policy",
}

changed contains change if {
	some change in input.resource_changes
	identity(change.type)
	some action in change.change.actions
	action in {"create", "delete", "forget", "update"}
}

approval contains {"group": "security", "msg": msg} if {
	some change in changed
	msg := sprintf("%s says who may do what", [change.address])
}

risk contains {"level": "high", "msg": msg} if {
	some change in changed
	msg := sprintf("%s says who may do what", [change.address])
}
