# What becomes of a machine on which the Debian package is installed, used, removed and purged: on a copy of this one that ends with
# the script. Arguments: the package, an empty folder, a free address.
set -euo pipefail
package=$1 work=$2 address=$3

mount -t tmpfs -o mode=755 tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
if ! mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"; then
  echo "no overlay"
  exit 0
fi
mount --rbind /proc "$work/root/proc"
mount --rbind /dev "$work/root/dev"
# A machine on which systemd does not run.
mount -t tmpfs tmpfs "$work/root/run"
cp "$package" "$work/root/lanyard.deb"
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

said() { echo "== $1"; }
inside() { chroot "$work/root" "$@"; }
config=/etc/lanyard/lanyardd.yaml
as_lanyard="setpriv --reuid lanyard --regid lanyard --clear-groups --no-new-privs"

said install
inside dpkg --no-triggers --install /lanyard.deb
inside stat -c '%n %a %U %G' /etc/lanyard /var/lib/lanyard /usr/bin/lanyardd
inside test ! -e "$config"
inside getent passwd lanyard
inside dpkg --verify lanyard

said verify
inside systemd-analyze --man=no verify lanyardd.service
said security
inside systemd-analyze --offline=true --no-pager security lanyardd.service | tail -n 1

said init
inside lanyardd init /etc/lanyard --user lanyard --data-dir /var/lib/lanyard/data --listen "$address"
inside find /etc/lanyard /var/lib/lanyard -printf '%p %m %u %g\n' | sort
inside $as_lanyard lanyardd check --config "$config"
if inside $as_lanyard cat /etc/lanyard/contexts/people.key; then
  echo "the daemon reads the keys of people"
fi
if inside $as_lanyard sh -c "echo >> $config"; then
  echo "the daemon writes its configuration"
fi

said serve
# As the unit starts it.
start=$(sed -n 's/^ExecStart=//p' "$work/root/usr/lib/systemd/system/lanyardd.service")
chroot "$work/root" $as_lanyard $start > "$work/log" 2>&1 &
daemon=$!
trap 'kill "$daemon" 2>/dev/null || true' EXIT
context=/etc/lanyard/contexts/agent.json
for _ in $(seq 600); do
  inside lanyard --context "$context" whoami >/dev/null 2>&1 && break
  kill -0 "$daemon" || { cat "$work/log"; exit 1; }
  sleep 0.1
done
inside lanyard --context "$context" whoami
inside curl --silent --show-error --cacert /etc/lanyard/contexts/ca.pem "https://$address/livez"
echo
kill -TERM "$daemon"
wait "$daemon"
echo "ended with $?"

said remove
inside dpkg --no-triggers --remove lanyard
inside find /etc/lanyard /var/lib/lanyard -maxdepth 1
(cd "$work/upper" && find . -path '*lanyard*' -not -path './etc/lanyard*' -not -path './var/lib/lanyard*' -printf '%P\n')

said purge
inside dpkg --no-triggers --purge lanyard
said left
rm "$work/root/lanyard.deb"
(cd "$work/upper" && find . \( -type f -o -type l \) -printf '%P\n' | sort)
