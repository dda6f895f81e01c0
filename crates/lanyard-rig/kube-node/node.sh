#!/bin/bash
# One Kubernetes node, in namespaces that are its own already: this is the first process of its process namespace.
# node.sh DIRECTORY COMPONENTS POD-COMPONENTS: where kube-apiserver, etcd and kubectl are, and where the others.
# The directory holds users.csv, the kubeconfigs and the service accounts' keys. `ready` appears in it when pods can run.
set -eu
directory=$1 server=$2 components=$3
state=$directory/state
NODE=10.77.0.1 PODS=10.77.1.0/24 SERVICES=10.77.2.0/24

# --- Files. Everything but the directory is read-only, so that nothing is left on the machine.
mkdir -p "$state"/{etc/cni,containerd,kubelet,etcd,tmp,lib,log,volumes}
mount --make-rshared /
mount --bind "$directory" "$directory"
mount -o remount,bind,ro /
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind "$state/lib" /var/lib
mount --bind "$state/log" /var/log
mount -t sysfs sysfs /sys
export TMPDIR=$state/tmp HOME=$state/tmp

# --- Cgroups, as the cgroup namespace shows them.
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
while IFS=: read -r _ controllers _; do
  case $controllers in
  '') continue ;;
  name=*) options=none,$controllers ;;
  *) options=$controllers ;;
  esac
  mkdir "/sys/fs/cgroup/${controllers#name=}"
  mount -t cgroup -o "$options" cgroup "/sys/fs/cgroup/${controllers#name=}"
  for one in ${controllers//,/ }; do
    [ -e "/sys/fs/cgroup/${one#name=}" ] || ln -s "$controllers" "/sys/fs/cgroup/$one"
  done
done </proc/self/cgroup

# --- Kernel settings that the kubelet wants for the whole machine: it finds them set, and the machine's stay as they are.
pin() {
  echo "$2" >"$state/etc/${1//\//_}"
  mount --bind "$state/etc/${1//\//_}" "/proc/sys/$1"
}
pin vm/overcommit_memory 1
pin vm/panic_on_oom 0
pin kernel/panic 10
pin kernel/panic_on_oops 1
pin kernel/keys/root_maxkeys 1000000
pin kernel/keys/root_maxbytes 25000000

# --- Network: the node's address on one end of a pair (not every kernel has dummies), and a default route over it, without
# which nothing is sent to the addresses of Services.
hostname node
ip link set lo up
ip link add node0 type veth peer name node1
ip link set node1 up
ip address add "$NODE/24" dev node0
ip link set node0 up
ip route add default dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 2>/dev/null >/proc/sys/net/bridge/bridge-nf-call-iptables || true
printf 'nameserver %s\nsearch svc.cluster.local cluster.local\n' "$NODE" >/run/resolv.conf
mount --bind /run/resolv.conf "$(realpath /etc/resolv.conf)"

# --- Configurations.
# Where the machine's own files lie on an overlay, there can be no other on top.
snapshotter=native
mkdir -p "$state"/tmp/overlay/{lower,upper,work,merged}
if mount -t overlay overlay -o "lowerdir=$state/tmp/overlay/lower,upperdir=$state/tmp/overlay/upper,workdir=$state/tmp/overlay/work" \
  "$state/tmp/overlay/merged" 2>/dev/null; then
  umount "$state/tmp/overlay/merged"
  snapshotter=overlayfs
fi
cat >"$state/etc/containerd.toml" <<TOML
version = 2
root = "$state/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  # A machine without CAP_SYS_RESOURCE lets nobody lower the score.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$snapshotter"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/etc/cni"
TOML
cat >"$state/etc/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
cat >"$state/etc/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
address: $NODE
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
clusterDomain: cluster.local
clusterDNS: [$NODE]
resolvConf: /run/resolv.conf
volumePluginDir: $state/kubelet/plugins
failSwapOn: false
# The disk and the memory are shared with whatever else the machine does.
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageMinimumGCAge: 24h
nodeStatusUpdateFrequency: 5s
syncFrequency: 10s
# Files of ConfigMaps and Secrets follow a change at once, and not after the minute of a cache.
configMapAndSecretChangeDetectionStrategy: Watch
podCIDR: $PODS
maxPods: 100
YAML
cat >"$state/etc/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $directory/proxy.kubeconfig}
clusterCIDR: $PODS
hostnameOverride: node
bindAddress: $NODE
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
cat >"$state/etc/Corefile" <<CORE
.:53 {
  bind $NODE
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $directory/admin.kubeconfig it
  }
}
CORE

# --- Processes.
parts=()
run() {
  local name=$1
  shift
  "$@" >"$directory/logs/$name.log" 2>&1 &
  parts+=("$!=$name")
}
# Without one of its parts there is no node.
check_parts() {
  local part
  for part in "${parts[@]}"; do
    kill -0 "${part%%=*}" 2>/dev/null || { echo "${part#*=} ended: $(tail -n 1 "$directory/logs/${part#*=}.log")"; exit 1; }
  done
}
kubectl() { "$server/kubectl" --kubeconfig "$directory/admin.kubeconfig" "$@"; }
# Whatever is waited for here comes within seconds on an idle machine; five minutes are for one that is not.
until_ok() {
  local end=$((SECONDS + 300))
  until "$@" >/dev/null 2>&1; do
    check_parts
    [ "$SECONDS" -lt "$end" ] || { echo "not within five minutes: $*"; exit 1; }
    sleep 0.1
  done
  echo "$SECONDS s: $*"
}
run containerd containerd -c "$state/etc/containerd.toml"
run etcd "$server/etcd" --data-dir "$state/etcd" --unsafe-no-fsync
run kube-apiserver "$server/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --secure-port 6443 \
  --bind-address "$NODE" --advertise-address "$NODE" --cert-dir "$directory/certificates" \
  --token-auth-file "$directory/users.csv" --authorization-mode Node,RBAC --allow-privileged \
  --service-account-signing-key-file "$directory/service-accounts.pem" \
  --service-account-key-file "$directory/service-accounts.pub.pem" \
  --service-account-issuer https://kubernetes.default.svc.cluster.local --service-cluster-ip-range "$SERVICES" \
  --kubelet-preferred-address-types InternalIP
until_ok ctr -a /run/containerd/containerd.sock version
until_ok kubectl get --raw /readyz
run kube-controller-manager "$components/kube-controller-manager" --kubeconfig "$directory/controllers.kubeconfig" \
  --service-account-private-key-file "$directory/service-accounts.pem" --root-ca-file "$directory/certificates/apiserver.crt" \
  --use-service-account-credentials --leader-elect=false --bind-address 127.0.0.1 --cert-dir "$state/controllers" \
  --node-monitor-grace-period 5m
run kube-scheduler "$components/kube-scheduler" --kubeconfig "$directory/scheduler.kubeconfig" --leader-elect=false \
  --bind-address 127.0.0.1 --cert-dir "$state/scheduler"
run kubelet "$components/kubelet" --config "$state/etc/kubelet.yaml" --kubeconfig "$directory/node.kubeconfig" \
  --hostname-override node --node-ip "$NODE" --root-dir "$state/kubelet" --cert-dir "$state/kubelet/certificates"
run kube-proxy "$components/kube-proxy" --config "$state/etc/proxy.yaml"
run coredns "$components/coredns" -conf "$state/etc/Corefile"
is_ready() { kubectl get node node -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -q True; }
until_ok is_ready
# Without it no pod is admitted.
until_ok kubectl get serviceaccount default
touch "$directory/ready"

wait -n || true
check_parts
exit 1
