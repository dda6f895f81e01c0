//! A one-node Kubernetes cluster that runs pods: the API server of [`crate::Kubernetes`] with
//! controllers, scheduler, kubelet on containerd, kube-proxy and CoreDNS.
//!
//! The node runs in its own namespaces (`kube-node/node.sh`). The keeper process
//! (`kube-node/keeper.sh`) ends the node when its owner ends, in whatever way. Pods and Services
//! can only be reached from inside these namespaces: [`Pods::command`] enters them. NetworkPolicies
//! are accepted but not enforced, and there is no load balancer.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::kubernetes::{build, build_of, keys, kubeconfig};
use crate::{Answer, Image};

/// Time for a start. An idle machine needs about 12 s.
const START_TIMEOUT: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Address of the node in its own network.
const API: &str = "10.77.0.1:6443";
/// Static users with their groups.
const USERS: &str = "admin-token,admin,admin,system:masters\n\
    node-token,system:node:node,node,system:nodes\n\
    controllers-token,system:kube-controller-manager,controllers\n\
    scheduler-token,system:kube-scheduler,scheduler\n\
    proxy-token,system:kube-proxy,proxy\n";
const KUBECONFIGS: [&str; 5] = ["admin", "node", "controllers", "scheduler", "proxy"];
const COMPONENTS: [&str; 6] = [
    "coredns/main.go",
    "kube-controller-manager/main.go",
    "kube-proxy/main.go",
    "kube-scheduler/main.go",
    "kubelet/main.go",
    "pause/main.go",
];
/// Number of volumes for claims of the class `local`; each volume is bound once.
const VOLUMES: usize = 16;
/// Required programs, and the Debian packages that contain them.
const PARTS: [(&str, &str); 11] = [
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("buildah", "buildah"),
    ("conntrack", "conntrack"),
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("runc", "runc"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];
/// Variables by which [`Pods::shared`] finds the cluster.
const SHARED: [&str; 2] = ["LANYARD_PODS", "LANYARD_PODS_KUBECTL"];

/// A running cluster. Dropping the value ends it.
pub struct PodCluster {
    keeper: Child,
    access: Pods,
    pause: PathBuf,
}

/// Access to a running cluster.
#[derive(Debug, Clone)]
pub struct Pods {
    directory: PathBuf,
    kubectl: PathBuf,
}

impl PodCluster {
    /// Builds the programs if necessary, and starts the node with its files in `directory`.
    ///
    /// # Errors
    /// When a program is missing, or the node does not get ready. The logs are in the directory.
    pub fn start(directory: &Path) -> Result<Self> {
        check_machine()?;
        let (server, components) = (build()?, build_of(&COMPONENTS)?);
        std::fs::create_dir_all(directory.join("logs"))?;
        let directory = directory.canonicalize()?;
        std::fs::write(directory.join("users.csv"), USERS)?;
        let [private, public] = keys()?;
        std::fs::write(directory.join("service-accounts.pem"), private)?;
        std::fs::write(directory.join("service-accounts.pub.pem"), public)?;
        let address: SocketAddr = API.parse()?;
        for user in KUBECONFIGS {
            let file = directory.join(format!("{user}.kubeconfig"));
            std::fs::write(file, kubeconfig(&directory, address, user))?;
        }
        let keeper = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube-node/keeper.sh");
        let keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash"])
            .arg(keeper)
            .args([&directory, &server, &components])
            // The keeper ends when this pipe is closed. The kernel closes the pipe even if the
            // owner is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join("logs/keeper.log"))?)
            // Signals of the owner's terminal must not reach the keeper, which has to clean up.
            .process_group(0)
            .spawn()
            .context("unshare does not start")?;
        let kubectl = server.join("kubectl");
        let access = Pods { directory, kubectl };
        let mut cluster = Self {
            keeper,
            access,
            pause: components.join("pause"),
        };
        let pause = cluster.access.pause_image(&cluster.pause)?;
        cluster.wait()?;
        cluster.access.load(&pause)?;
        cluster.access.apply(&volumes(&cluster.access.directory)?)?;
        Ok(cluster)
    }

    /// Returns access to the cluster.
    #[must_use]
    pub const fn pods(&self) -> &Pods {
        &self.access
    }

    /// Returns the path of a static program that waits for a signal.
    #[must_use]
    pub fn pause(&self) -> &Path {
        &self.pause
    }

    fn wait(&mut self) -> Result<()> {
        let ready = self.access.directory.join("ready");
        let polls = START_TIMEOUT.as_millis() / POLL_INTERVAL.as_millis();
        for _ in 0..polls {
            if ready.exists() {
                return Ok(());
            }
            if let Some(status) = self.keeper.try_wait()? {
                let logs = self.access.directory.join("logs");
                let end = |name: &str| {
                    let log = std::fs::read_to_string(logs.join(name)).unwrap_or_default();
                    let lines: Vec<_> = log.lines().rev().take(3).map(str::to_owned).collect();
                    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
                };
                bail!(
                    "the node ended with {status}: {} {}",
                    end("keeper.log"),
                    end("node.log")
                );
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!(
            "the node does not get ready in {} s",
            START_TIMEOUT.as_secs()
        )
    }
}

impl Drop for PodCluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // The keeper needs time to remove the node's leftovers.
        drop(self.keeper.wait());
    }
}

impl Pods {
    /// Returns the cluster that the test command started, if it did.
    #[must_use]
    pub fn shared() -> Option<Self> {
        let [directory, kubectl] = SHARED.map(std::env::var_os);
        Some(Self {
            directory: directory?.into(),
            kubectl: kubectl?.into(),
        })
    }

    /// Returns the variables by which [`Pods::shared`] finds this cluster in a child process.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        let [directory, kubectl] = SHARED;
        [
            (directory, self.directory.clone()),
            (kubectl, self.kubectl.clone()),
        ]
    }

    /// Returns the node's first process id, as this process sees it.
    ///
    /// # Errors
    /// When the node does not run.
    pub fn node(&self) -> Result<u32> {
        let process = std::fs::read_to_string(self.directory.join("node.pid"))?;
        process.trim().parse().context("the node has no process")
    }

    /// Returns the administrator's kubeconfig. Its server is only reachable from inside the node.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// Makes a folder that is also writable from inside the node, where everything else is
    /// read-only.
    ///
    /// # Errors
    /// The system's error.
    pub fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(&self.directory)?)
    }

    /// Makes a command that runs in the node's namespaces, where Service names and pod addresses
    /// resolve.
    ///
    /// # Errors
    /// When the node does not run.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command.args([
            "--net", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--target",
        ]);
        command.arg(self.node()?.to_string()).arg("env");
        command.arg(format!("KUBECONFIG={}", self.kubeconfig().display()));
        command.arg(program).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs `work` on the node's network, from which Services and pods are reachable by address.
    ///
    /// # Errors
    /// When the node does not run; also the error of `work`.
    pub fn on_network<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let network = std::fs::File::open(format!("/proc/{}/ns/net", self.node()?))?;
        // A network namespace belongs to a thread, so the work gets a thread of its own.
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs kubectl as the administrator and returns its result.
    ///
    /// # Errors
    /// When kubectl does not start.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self.command(&self.kubectl)?.args(arguments).output();
        Ok(Answer::of(&output.context("kubectl does not start")?))
    }

    /// Runs kubectl as the administrator, which must succeed, and returns standard output.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.kubectl(arguments)?;
        ensure!(
            answer.code == 0,
            "`kubectl {}` exited {}: {}",
            arguments.join(" "),
            answer.code,
            answer.stderr
        );
        Ok(answer.stdout)
    }

    /// Applies manifests and returns kubectl's result.
    ///
    /// # Errors
    /// When kubectl does not start.
    pub fn try_apply(&self, manifests: &str) -> Result<Answer> {
        let mut child = self
            .command(&self.kubectl)?
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(manifests.as_bytes())?;
        drop(stdin);
        Ok(Answer::of(&child.wait_with_output()?))
    }

    /// Applies manifests, which must succeed.
    ///
    /// # Errors
    /// When the API server refuses a manifest.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        let answer = self.try_apply(manifests)?;
        ensure!(answer.code == 0, "kubectl apply: {}", answer.stderr);
        Ok(())
    }

    /// Imports the images of an OCI archive into the node.
    ///
    /// # Errors
    /// When containerd refuses the archive.
    pub fn load(&self, archive: &Path) -> Result<()> {
        let output = self
            .command(Path::new("ctr"))?
            .args(["--address", "/run/containerd/containerd.sock"])
            .args(["--namespace", "k8s.io", "images", "import"])
            .arg(archive)
            .output()
            .context("ctr does not start")?;
        let answer = Answer::of(&output);
        ensure!(
            answer.code == 0,
            "cannot import `{}`: {}",
            archive.display(),
            answer.stderr
        );
        Ok(())
    }

    /// Builds the image of the pause process that every pod contains.
    fn pause_image(&self, pause: &Path) -> Result<PathBuf> {
        let context = self.folder()?;
        std::fs::copy(pause, context.path().join("pause"))?;
        let file = "FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT [\"/pause\"]\n";
        std::fs::write(context.path().join("Containerfile"), file)?;
        let archive = self.directory.join("pause.tar");
        let image = Image {
            context: context.path(),
            name: "localhost/pause:1",
            arguments: &[],
        };
        image.archive(&archive)?;
        Ok(archive)
    }
}

/// Reports missing requirements of the machine before minutes are spent on building.
fn check_machine() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "a node needs root: its namespaces, mounts and cgroups"
    );
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<String> = PARTS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(program, package)| format!("`{program}` (apt-get install {package})"))
        .collect();
    ensure!(missing.is_empty(), "not installed: {}", missing.join(", "));
    let cgroups = std::fs::read_to_string("/proc/self/cgroup")?;
    ensure!(
        cgroups.lines().any(|line| line.contains(":memory:")),
        "the node needs cgroup v1, and this machine has only v2"
    );
    Ok(())
}

/// Renders the default storage class, which provisions nothing, and its volumes.
fn volumes(directory: &Path) -> Result<String> {
    let mut manifests = String::from(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata:\n  name: local\n  \
         annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}\n\
         provisioner: kubernetes.io/no-provisioner\nvolumeBindingMode: WaitForFirstConsumer\n",
    );
    for number in 0..VOLUMES {
        let folder = directory.join(format!("state/volumes/{number}"));
        std::fs::create_dir_all(&folder)?;
        let folder = folder.display();
        manifests.push_str(&format!(
            "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: volume-{number}}}\nspec:\n  \
             capacity: {{storage: 10Gi}}\n  accessModes: [ReadWriteOnce]\n  persistentVolumeReclaimPolicy: Retain\n  \
             storageClassName: local\n  local: {{path: {folder}}}\n  nodeAffinity: {{required: {{nodeSelectorTerms: \
             [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [node]}}]}}]}}}}\n"
        ));
    }
    Ok(manifests)
}
