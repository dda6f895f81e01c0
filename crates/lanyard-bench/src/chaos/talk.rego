# Says as much of a plan as a policy can: a warning and a reason for each change.
package chaos

import rego.v1

warn contains message if {
	some change in input.resource_changes
	message := sprintf("%s is changed, and its name is repeated: %s", [change.address, change.name])
}

risk contains {"level": "high", "msg": change.address} if some change in input.resource_changes
