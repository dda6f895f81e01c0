# No way in from everywhere on a port that people administer machines by.
package terraform.no_open_admin_ports

import rego.v1

admin_ports := {22, 2375, 2376, 3306, 3389, 5432, 5985, 5986, 6379, 6443, 9200, 10250, 27017}

everywhere := {"0.0.0.0/0", "::/0"}

planned contains change if {
	some change in input.resource_changes
	some action in change.change.actions
	action in {"create", "update"}
}

# Rules within a group, and rules of their own in both of their forms.
ingress contains {"address": change.address, "rule": rule} if {
	some change in planned
	change.type in {"aws_default_security_group", "aws_security_group"}
	some rule in change.change.after.ingress
}

ingress contains {"address": change.address, "rule": change.change.after} if {
	some change in planned
	change.type == "aws_security_group_rule"
	change.change.after.type == "ingress"
}

ingress contains {"address": change.address, "rule": change.change.after} if {
	some change in planned
	change.type == "aws_vpc_security_group_ingress_rule"
}

sources(rule) := {source |
	some key in {"cidr_blocks", "ipv6_cidr_blocks"}
	some source in rule[key]
} | {source |
	some key in {"cidr_ipv4", "cidr_ipv6"}
	source := rule[key]
}

reaches(rule, _) if object.get(rule, "protocol", object.get(rule, "ip_protocol", "")) in {"-1", "all"}

reaches(rule, port) if {
	rule.from_port <= port
	port <= rule.to_port
}

deny contains msg if {
	some found in ingress
	some source in sources(found.rule)
	source in everywhere
	some port in admin_ports
	reaches(found.rule, port)
	msg := sprintf("%s: port %d is open to %s", [found.address, port, source])
}
