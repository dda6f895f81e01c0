# Workloads say what they need, and do not run as root. Written as conftest's users have written such policies for years.
package main

# Where the pods of a kind are described.
pod_paths := {
	"CronJob": ["spec", "jobTemplate", "spec", "template", "spec"],
	"DaemonSet": ["spec", "template", "spec"],
	"Deployment": ["spec", "template", "spec"],
	"Job": ["spec", "template", "spec"],
	"Pod": ["spec"],
	"ReplicaSet": ["spec", "template", "spec"],
	"ReplicationController": ["spec", "template", "spec"],
	"StatefulSet": ["spec", "template", "spec"],
}

pod = object.get(input, pod_paths[input.kind], null)

name = sprintf("%s %v", [input.kind, object.get(input, ["metadata", "name"], null)])

containers[container] {
	list := {"containers", "ephemeralContainers", "initContainers"}[_]
	container := pod[list][_]
}

deny[msg] {
	pod_paths[input.kind]
	not is_array(object.get({"pod": pod}, ["pod", "containers"], null))
	msg := sprintf("%s has no containers that can be read", [name])
}

deny[msg] {
	pod_paths[input.kind]
	not rootless
	msg := sprintf("%s may run as root", [name])
}

# Of the pod, and of no container otherwise; or of every container by itself.
rootless {
	pod.securityContext.runAsNonRoot == true
	count([container | container := containers[_]; weakened(container)]) == 0
}

rootless {
	count(containers) > 0
	count([container | container := containers[_]; not container.securityContext.runAsNonRoot == true]) == 0
}

weakened(container) {
	own := object.get({"container": container}, ["container", "securityContext", "runAsNonRoot"], null)
	own != null
	own != true
}

deny_latest[msg] {
	container := containers[_]
	not pinned(container)
	msg := sprintf("%s: %v is not pinned", [name, object.get({"container": container}, ["container", "image"], null)])
}

pinned(container) {
	contains(image(container), "@")
}

pinned(container) {
	parts := split(image(container), "/")
	last := parts[count(parts) - 1]
	contains(last, ":")
	not endswith(last, ":latest")
}

image(container) = container.image {
	is_string(container.image)
}

warn[msg] {
	container := containers[_]
	not limited(container)
	own := object.get({"container": container}, ["container", "name"], null)
	msg := sprintf("%s: %v has no memory limit", [name, own])
}

limited(container) {
	limit := container.resources.limits.memory
	{"number", "string"}[type_name(limit)]
}
