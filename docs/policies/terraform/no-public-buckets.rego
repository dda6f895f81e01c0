# No bucket is opened to everybody. What is not known before the apply, or is not of the type that it should be, cannot be
# judged, and is denied.
package terraform.no_public_buckets

import rego.v1

blocks := {"block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"}

# Everybody, and everybody with an account of AWS, which is the same.
everybody_acls := {"authenticated-read", "public-read", "public-read-write"}

everybody_groups := {
	"http://acs.amazonaws.com/groups/global/AllUsers",
	"http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
}

planned contains change if {
	some change in input.resource_changes
	some action in change.change.actions
	action in {"create", "update"}
}

# An attribute as it will be; null where it is not set.
after(change, name) := object.get(change, ["change", "after", name], null)

# A list; nothing where there is something else.
listed(value) := value if is_array(value)

listed(value) := [] if not is_array(value)

# Something of the attribute is not known before the apply.
unknown(change, name) if {
	value := object.get(change, ["change", "after_unknown", name], false)
	walk([value], [_, part])
	part == true
}

unknown(change, _) if change.change.after_unknown == true

kinds := {"aws_s3_bucket", "aws_s3_bucket_acl", "aws_s3_bucket_policy", "aws_s3_bucket_public_access_block"}

deny contains msg if {
	some change in planned
	change.type in kinds
	not is_object(change.change.after)
	msg := sprintf("%s: what it will be is not said", [change.address])
}

# Access control lists, of their own and of buckets as they were once written.

deny contains msg if {
	some change in planned
	change.type == "aws_s3_bucket_acl"
	some name in {"acl", "access_control_policy"}
	unknown(change, name)
	msg := sprintf("%s: %s is not known before the apply", [change.address, name])
}

acls contains {"address": change.address, "acl": after(change, "acl")} if {
	some change in planned
	change.type in {"aws_s3_bucket", "aws_s3_bucket_acl"}
	after(change, "acl") != null
}

deny contains msg if {
	some found in acls
	found.acl in everybody_acls
	msg := sprintf("%s: the ACL %s opens the bucket to everybody", [found.address, found.acl])
}

deny contains msg if {
	some found in acls
	not is_string(found.acl)
	msg := sprintf("%s: the ACL is not the name of one", [found.address])
}

grants contains {"address": change.address, "grant": grant} if {
	some change in planned
	change.type == "aws_s3_bucket_acl"
	some policy in listed(after(change, "access_control_policy"))
	some grant in listed(policy.grant)
}

grants contains {"address": change.address, "grant": {"grantee": [grant]}} if {
	some change in planned
	change.type == "aws_s3_bucket"
	some grant in listed(after(change, "grant"))
}

deny contains msg if {
	some found in grants
	some grantee in listed(found.grant.grantee)
	grantee.uri in everybody_groups
	msg := sprintf("%s: a grant opens the bucket to everybody", [found.address])
}

deny contains msg if {
	some found in grants
	not readable(found.grant)
	msg := sprintf("%s: a grant names nobody that can be read", [found.address])
}

readable(grant) if {
	is_array(grant.grantee)
	count(grant.grantee) > 0
	every grantee in grant.grantee {
		some name in {"email_address", "id", "uri"}
		is_string(grantee[name])
		object.get(grantee, "uri", null) in {null, grantee[name]}
	}
}

deny contains msg if {
	some change in planned
	change.type == "aws_s3_bucket_acl"
	not lists(change)
	msg := sprintf("%s: access_control_policy is not a list of grants", [change.address])
}

lists(change) if after(change, "access_control_policy") == null

lists(change) if {
	policies := after(change, "access_control_policy")
	is_array(policies)
	every policy in policies {
		is_array(policy.grant)
	}
}

# The block on public access.

deny contains msg if {
	some change in planned
	change.type == "aws_s3_bucket_public_access_block"
	some block in blocks
	not unknown(change, block)
	after(change, block) != true
	msg := sprintf("%s: %s is off", [change.address, block])
}

deny contains msg if {
	some change in planned
	change.type == "aws_s3_bucket_public_access_block"
	some block in blocks
	unknown(change, block)
	msg := sprintf("%s: %s is not known before the apply", [change.address, block])
}

deny contains msg if {
	some change in input.resource_changes
	change.type == "aws_s3_bucket_public_access_block"
	"delete" in change.change.actions
	not "create" in change.change.actions
	msg := sprintf("%s: the block on public access is taken away", [change.address])
}

# Policies.

deny contains msg if {
	some change in planned
	change.type == "aws_s3_bucket_policy"
	unknown(change, "policy")
	msg := sprintf("%s: the policy is not known before the apply", [change.address])
}

policies contains {"address": change.address, "policy": after(change, "policy")} if {
	some change in planned
	change.type == "aws_s3_bucket_policy"
	not unknown(change, "policy")
}

policies contains {"address": change.address, "policy": after(change, "policy")} if {
	some change in planned
	change.type == "aws_s3_bucket"
	not after(change, "policy") in {null, ""}
}

deny contains msg if {
	some found in policies
	not document(found.policy)
	msg := sprintf("%s: the policy is not a document of statements", [found.address])
}

# A statement for everybody, with no condition that narrows it.
deny contains msg if {
	some found in policies
	some statement in statements(document(found.policy))
	allows(statement)
	everybody(statement)
	not narrowed(statement)
	msg := sprintf("%s: a statement allows everybody", [found.address])
}

document(policy) := parsed if {
	is_string(policy)
	json.is_valid(policy)
	parsed := json.unmarshal(policy)
	is_object(parsed)
	every statement in statements(parsed) {
		statement.Effect in {"Allow", "Deny"}
	}
}

statements(parsed) := parsed.Statement if is_array(parsed.Statement)

statements(parsed) := [parsed.Statement] if is_object(parsed.Statement)

allows(statement) if statement.Effect != "Deny"

# Whom a statement is about, where that can be read as somebody: anything else is everybody.
everybody(statement) if not somebody(statement)

somebody(statement) if {
	is_object(statement.Principal)
	count(statement.Principal) > 0
	every kind, names in statement.Principal {
		kind != "*"
		named(names)
	}
}

named(names) if {
	is_string(names)
	not "*" in {names}
}

named(names) if {
	is_array(names)
	every name in names {
		is_string(name)
		name != "*"
	}
}

narrowed(statement) if {
	is_object(statement.Condition)
	count(statement.Condition) > 0
}
