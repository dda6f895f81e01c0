package values

import rego.v1

deny if count(input.resource_changes) > 2

warn := [sprintf("%d changes", [count(input.resource_changes)])]

deny_regex contains change.address if {
	some change in input.resource_changes
	regex.match(`^aws_.*\.public`, change.address)
}

warn_prefix contains change.address if {
	some change in input.resource_changes
	startswith(change.address, "aws_sqs_queue.")
}

warn_numbers contains sprintf("%v %v %v", [1.5, 7 % 3, round(2.5)])

warn_sets contains x if {
	some x in {change.type | some change in input.resource_changes} & {"aws_sqs_queue", "aws_iam_role"}
}
