//! A Kubernetes cluster of one node that runs pods: the API server of [`crate::Kubernetes`] with the controllers, the scheduler,
//! a kubelet on containerd, kube-proxy and CoreDNS.
//!
//! The node is in namespaces of its own (`node/node.sh`), and a keeper (`node/keep.sh`) ends it when its owner ends, however that
//! happens. Pods and Services are reached from within these namespaces alone: [`Pods::command`] goes there. NetworkPolicies are
//! accepted and not enforced, and there is no load balancer.

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

/// How long a start may take: some 12 s on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The node's address, in its own network.
const API: &str = "10.77.0.1:6443";
/// The static users, with their groups.
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
/// Volumes that claims of the class `local` are bound to, each once.
const VOLUMES: usize = 16;
/// What has to be installed, and the Debian package that has it.
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
/// Where [`Pods::shared`] finds it.
const SHARED: [&str; 2] = ["LANYARD_PODS", "LANYARD_PODS_KUBECTL"];

/// A running cluster, which ends with its owner.
pub struct PodCluster {
    keeper: Child,
    access: Pods,
    pause: PathBuf,
}

/// Access to a cluster that runs.
#[derive(Debug, Clone)]
pub struct Pods {
    directory: PathBuf,
    kubectl: PathBuf,
}

impl PodCluster {
    /// Builds the parts where that was not done, and starts the node with its files in this directory.
    ///
    /// # Errors
    /// When a part is not installed, or the node does not get ready; the logs are in the directory.
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
        let keeper = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/keep.sh");
        let keeper = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "bash"])
            .arg(keeper)
            .args([&directory, &server, &components])
            // The keeper ends when the other end of this is closed, which the kernel does for a process that is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.join("logs/keeper.log"))?)
            // What a terminal sends to the owner is none of the keeper's: it has to clean up.
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

    /// Access to it.
    #[must_use]
    pub const fn pods(&self) -> &Pods {
        &self.access
    }

    /// A program that waits until it is told to end, linked to nothing.
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
        // Until it has removed what the node left.
        drop(self.keeper.wait());
    }
}

impl Pods {
    /// The cluster that the test command started, where it did.
    #[must_use]
    pub fn shared() -> Option<Self> {
        let [directory, kubectl] = SHARED.map(std::env::var_os);
        Some(Self {
            directory: directory?.into(),
            kubectl: kubectl?.into(),
        })
    }

    /// What makes [`Pods::shared`] find this one in a child process.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        let [directory, kubectl] = SHARED;
        [
            (directory, self.directory.clone()),
            (kubectl, self.kubectl.clone()),
        ]
    }

    /// The first process of the node, as this process sees it.
    ///
    /// # Errors
    /// When the node does not run.
    pub fn node(&self) -> Result<u32> {
        let process = std::fs::read_to_string(self.directory.join("node.pid"))?;
        process.trim().parse().context("the node has no process")
    }

    /// The administrator's kubeconfig; its server is reached from within the node alone.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// A fresh folder that is written from within the node as well, where all else is read-only.
    ///
    /// # Errors
    /// As of the system.
    pub fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(&self.directory)?)
    }

    /// A program in the node's namespaces, where Services have their names and pods their addresses.
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

    /// Does this on the node's network: what connects there reaches Services by their addresses, and pods.
    ///
    /// # Errors
    /// When the node does not run, and as of the work.
    pub fn on_network<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let network = std::fs::File::open(format!("/proc/{}/ns/net", self.node()?))?;
        // A network belongs to a thread, and this one ends with its work.
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

    /// kubectl as the administrator, whatever comes of it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self.command(&self.kubectl)?.args(arguments).output();
        Ok(Answer::of(&output.context("kubectl does not start")?))
    }

    /// kubectl as the administrator, and wants success; its standard output.
    ///
    /// # Errors
    /// When it fails.
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

    /// Applies manifests, whatever comes of it.
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

    /// Applies manifests.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        let answer = self.try_apply(manifests)?;
        ensure!(answer.code == 0, "kubectl apply: {}", answer.stderr);
        Ok(())
    }

    /// Gives the node the images of an OCI archive.
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

    /// The image of the process that every pod has besides its own.
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

/// Says what of the machine is missing, before minutes go into building.
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
        "the node is written for cgroup v1, and this machine has v2 alone"
    );
    Ok(())
}

/// The default storage class, which makes no volumes, and the volumes that it gives.
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
