# No bucket is opened to everybody.
package terraform.no_public_buckets

import rego.v1

blocks := {"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"}

planned contains change if {
	some change in input.resource_changes
	some action in change.change.actions
	action in {"create", "update"}
}

deny contains msg if {
	some change in planned
	change.type == "aws_s3_bucket_acl"
	startswith(change.change.after.acl, "public-")
	msg := sprintf("%s: the ACL %s opens the bucket to everybody", [change.address, change.change.after.acl])
}

deny contains msg if {
	some change in planned
	change.type == "aws_s3_bucket_public_access_block"
	some block in blocks
	object.get(change.change.after, block, false) != true
	msg := sprintf("%s: %s is off", [change.address, block])
}

deny contains msg if {
	some change in input.resource_changes
	change.type == "aws_s3_bucket_public_access_block"
	"delete" in change.change.actions
	not "create" in change.change.actions
	msg := sprintf("%s: the block on public access is taken away", [change.address])
}

# A statement for everybody, with no condition that narrows it.
deny contains msg if {
	some change in planned
	change.type == "aws_s3_bucket_policy"
	is_string(change.change.after.policy)
	some statement in statements(json.unmarshal(change.change.after.policy))
	statement.Effect == "Allow"
	everybody(statement.Principal)
	not statement.Condition
	msg := sprintf("%s: a statement allows everybody", [change.address])
}

# What is not known yet cannot be judged.
deny contains msg if {
	some change in planned
	change.type == "aws_s3_bucket_policy"
	object.get(change.change.after_unknown, "policy", false) == true
	msg := sprintf("%s: the policy is not known before the apply", [change.address])
}

statements(document) := document.Statement if is_array(document.Statement)

statements(document) := [document.Statement] if is_object(document.Statement)

everybody(principal) if principal == "*"

everybody(principal) if principal.AWS == "*"

everybody(principal) if "*" in principal.AWS
