# No way in from everywhere on a port that people administer machines by. What is not known before the apply, or is not of the
# type that it should be, cannot be judged, and is denied.
package terraform.no_open_admin_ports

import rego.v1

admin_ports := {22, 2375, 2376, 3306, 3389, 5432, 5985, 5986, 6379, 6443, 9200, 10250, 27017}

groups := {"aws_default_security_group", "aws_security_group"}

rules := {"aws_security_group_rule", "aws_vpc_security_group_ingress_rule"}

# What says who may reach what, in every form of a rule.
attributes := {
	"cidr_blocks", "cidr_ipv4", "cidr_ipv6", "from_port", "ip_protocol", "ipv6_cidr_blocks", "protocol", "to_port", "type",
}

planned contains change if {
	some change in input.resource_changes
	some action in change.change.actions
	action in {"create", "update"}
}

after(change, name) := object.get(change, ["change", "after", name], null)

# A list; nothing where there is something else.
listed(value) := value if is_array(value)

listed(value) := [] if not is_array(value)

# Something of this is not known before the apply.
holds_unknown(value) if {
	walk([value], [_, part])
	part == true
}

unknown(change, _) if change.change.after_unknown == true

unknown(change, name) if holds_unknown(object.get(change, ["change", "after_unknown", name], false))

deny contains msg if {
	some change in planned
	change.type in groups | rules
	not is_object(change.change.after)
	msg := sprintf("%s: what it will be is not said", [change.address])
}

# Rules within a group, and rules of their own in both of their forms.
ingress contains {"address": change.address, "rule": rule} if {
	some change in planned
	change.type in groups
	some rule in listed(after(change, "ingress"))
}

ingress contains {"address": change.address, "rule": change.change.after} if {
	some change in planned
	change.type == "aws_security_group_rule"
	after(change, "type") != "egress"
}

ingress contains {"address": change.address, "rule": change.change.after} if {
	some change in planned
	change.type == "aws_vpc_security_group_ingress_rule"
}

deny contains msg if {
	some change in planned
	change.type in groups
	not after(change, "ingress") == null
	not is_array(after(change, "ingress"))
	msg := sprintf("%s: ingress is not a list of rules", [change.address])
}

# A group without rules of its own has them unknown, because others may add some; only what the configuration sets counts.
deny contains msg if {
	some change in planned
	change.type in groups
	unknown(change, "ingress")
	not left_open(change)
	msg := sprintf("%s: the rules are not known before the apply", [change.address])
}

left_open(change) if {
	resources := [resource | some resource in configured; resource.type == change.type; resource.name == change.name]
	count(resources) > 0
	every resource in resources {
		object.get(resource, ["expressions", "ingress"], null) == null
	}
}

configured contains resource if {
	walk(object.get(input, "configuration", {}), [_, module])
	some resource in listed(module.resources)
}

deny contains msg if {
	some change in planned
	change.type in rules
	after(change, "type") != "egress"
	some name in attributes
	unknown(change, name)
	msg := sprintf("%s: %s is not known before the apply", [change.address, name])
}

lists := {"cidr_blocks", "ipv6_cidr_blocks"}

singles := {"cidr_ipv4", "cidr_ipv6"}

sources(rule) := {source |
	some key in lists
	some source in listed(rule[key])
} | {source |
	some key in singles
	source := rule[key]
	source != null
}

# Every address there is, however the network is written.
everywhere(source) if {
	is_string(source)
	endswith(source, "/0")
}

deny contains msg if {
	some found in ingress
	not readable(found.rule)
	msg := sprintf("%s: a rule names sources that cannot be read", [found.address])
}

readable(rule) if {
	is_object(rule)
	every key in lists {
		is_list(object.get(rule, key, null))
	}
	every source in sources(rule) {
		is_string(source)
	}
}

is_list(value) if value == null

is_list(value) if is_array(value)

protocol(rule) := object.get(rule, "protocol", object.get(rule, "ip_protocol", null))

reaches(rule, _) if protocol(rule) in {"-1", "all", -1}

reaches(rule, port) if {
	rule.from_port <= port
	port <= rule.to_port
}

deny contains msg if {
	some found in ingress
	some source in sources(found.rule)
	everywhere(source)
	some port in admin_ports
	reaches(found.rule, port)
	msg := sprintf("%s: port %d is open to %s", [found.address, port, source])
}

deny contains msg if {
	some found in ingress
	some source in sources(found.rule)
	everywhere(source)
	not protocol(found.rule) in {"-1", "all", -1}
	some end in {"from_port", "to_port"}
	not is_number(found.rule[end])
	not unknown_rule(found.address)
	msg := sprintf("%s: %s is open to %s and is not a number", [found.address, end, source])
}

# What was said to be unknown need not be said to be no number.
unknown_rule(address) if {
	some change in planned
	change.address == address
	change.type in rules
	some name in attributes
	unknown(change, name)
}
