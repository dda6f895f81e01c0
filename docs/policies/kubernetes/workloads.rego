# Workloads say what they need, and do not run as root. Written as conftest's users have written such policies for years.
package main

workloads := {"DaemonSet", "Deployment", "Job", "StatefulSet"}

containers[container] {
	workloads[input.kind]
	container := input.spec.template.spec.containers[_]
}

deny[msg] {
	workloads[input.kind]
	not input.spec.template.spec.securityContext.runAsNonRoot
	msg := sprintf("%s %s may run as root", [input.kind, input.metadata.name])
}

deny_latest[msg] {
	container := containers[_]
	endswith(container.image, ":latest")
	msg := sprintf("%s %s: %s is not pinned", [input.kind, input.metadata.name, container.image])
}

warn[msg] {
	container := containers[_]
	not container.resources.limits.memory
	msg := sprintf("%s %s: %s has no memory limit", [input.kind, input.metadata.name, container.name])
}
