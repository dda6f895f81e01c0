#!/bin/bash
# Keeps one node for as long as its owner holds the other end of standard input, then removes every trace of it.
# The owner starts this in a mount namespace of its own: keeper.sh DIRECTORY COMPONENTS POD-COMPONENTS
set -eu
exec 3<&0 </dev/null
directory=$1
here=$(dirname "$(realpath "$0")")

# A cgroup of the node's own in every hierarchy: two nodes on one machine never meet, and nobody else's is removed.
# A line of /proc/self/cgroup is `4:memory:/path`.
cgroups=() parents=()
mkdir -p "$directory/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$directory/cgroup"
while IFS=: read -r _ controllers path; do
  case $controllers in
  '') continue ;;
  name=*) options=none,$controllers ;;
  *) options=$controllers ;;
  esac
  hierarchy=$directory/cgroup/${controllers#name=}
  mkdir "$hierarchy"
  mount -t cgroup -o "$options" cgroup "$hierarchy"
  parent=$hierarchy${path%/}
  own=$(mktemp -d "$parent/lanyard-node.XXXXXX")
  # A new cpuset has no processors, and takes no process before it has.
  for set in cpuset.cpus cpuset.mems; do
    [ ! -f "$parent/$set" ] || cat "$parent/$set" >"$own/$set"
  done
  cgroups+=("$own") parents+=("$parent")
done </proc/self/cgroup
for own in "${cgroups[@]}"; do echo $$ >"$own/cgroup.procs"; done

# unshare ignores TERM, but ends with this process. Its child, the first of its process namespace, ends with it,
# and then the kernel ends all other processes of the namespace.
setpriv --pdeathsig KILL unshare --net --mount --pid --cgroup --ipc --uts --fork --kill-child=SIGKILL --mount-proc \
  --propagation private bash "$here/node.sh" "$@" 3<&- >"$directory/logs/node.log" 2>&1 &
node=$!
# The first process of the node, by which others enter its namespaces.
first=
while [ -z "$first" ] && kill -0 "$node" 2>/dev/null; do
  sleep 0.05
  first=$(grep -l "^PPid:[[:space:]]*$node\$" /proc/[0-9]*/status 2>/dev/null | tr -dc '0-9') || true
done
echo "$first" >"$directory/node.pid"

cat <&3 >/dev/null &
owner=$!
wait -n "$node" "$owner" || true
kill -KILL "$node" "$owner" 2>/dev/null || true
wait

for parent in "${parents[@]}"; do echo $$ >"$parent/cgroup.procs"; done
for own in "${cgroups[@]}"; do
  # The last processes of a namespace leave their cgroups after it has ended.
  for _ in $(seq 200); do
    find "$own" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [ -d "$own" ] || break
    sleep 0.05
  done
done
rm -rf "$directory/state"
