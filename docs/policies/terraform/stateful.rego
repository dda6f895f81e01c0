# What holds state is destroyed or replaced only with a ticket, and with the approval of two people.
package terraform.stateful

import rego.v1

stateful := {
	"aws_db_instance", "aws_dynamodb_table", "aws_ebs_volume", "aws_efs_file_system", "aws_elasticache_cluster",
	"aws_elasticache_replication_group", "aws_kinesis_stream", "aws_opensearch_domain", "aws_rds_cluster",
	"aws_s3_bucket", "aws_secretsmanager_secret", "aws_sqs_queue",
}

lost contains change if {
	some change in input.resource_changes
	change.type in stateful
	some action in change.change.actions
	action in {"delete", "forget"}
}

ticket if {
	is_string(data.lanyard.task.ticket)
	data.lanyard.task.ticket != ""
}

deny contains msg if {
	some change in lost
	not ticket
	msg := sprintf("%s holds state, and the task names no ticket", [change.address])
}

approval contains {"people": 2, "msg": msg} if {
	some change in lost
	msg := sprintf("%s holds state and is destroyed", [change.address])
}
