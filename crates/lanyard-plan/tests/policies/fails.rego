package fails

import rego.v1

# A built-in function fails on what it is given.
deny contains msg if {
	some change in input.resource_changes
	to_number(change.address) > 0
	msg := "never"
}
