//! A Kubernetes API server with etcd, built from their Go modules. Without a controller manager no
//! garbage is collected, so only the broker deletes its objects.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::{Answer, free_port};

/// Release of the module.
const VERSION: &str = "v1.36.3";
/// Number of readiness checks, and the pause between two: a minute in total.
const ASKED: u32 = 600;
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Static users: an administrator, and the broker, whose rights come from `broker.yaml` only.
const USERS: &str = "admin-token,admin,admin,system:masters\nbroker-token,lanyardd,lanyardd\n";
const BROKER: &str = include_str!("../../../docs/kubernetes/namespaces.yaml");
const BROKER_CLUSTER: &str = include_str!("../../../docs/kubernetes/cluster.yaml");

/// A running API server. Dropping the value ends it.
pub struct Kubernetes {
    children: Vec<Child>,
    access: Cluster,
}

/// Access to a running API server.
#[derive(Debug, Clone)]
pub struct Cluster {
    directory: PathBuf,
    kubectl: PathBuf,
}

impl Kubernetes {
    /// Builds the programs if necessary, and starts the server with its files in `directory`.
    ///
    /// # Errors
    /// When Go is missing, or the server does not come up. The logs are in the directory.
    pub fn start(directory: &Path) -> Result<Self> {
        let binaries = build()?;
        let (client, peer, server) = (free_port()?, free_port()?, free_port()?);
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("users.csv"), USERS)?;
        let [private, public] = keys()?;
        std::fs::write(directory.join("service-accounts.pem"), private)?;
        std::fs::write(directory.join("service-accounts.pub.pem"), public)?;
        let url = |address: SocketAddr| format!("http://{address}");
        let mut etcd = Command::new(binaries.join("etcd"));
        etcd.arg("--data-dir").arg(directory.join("etcd"));
        etcd.args(["--listen-client-urls", &url(client)]);
        etcd.args(["--advertise-client-urls", &url(client)]);
        etcd.args(["--listen-peer-urls", &url(peer)]);
        etcd.args(["--initial-advertise-peer-urls", &url(peer)]);
        etcd.args(["--initial-cluster", &format!("default={}", url(peer))]);
        etcd.arg("--unsafe-no-fsync");
        let mut api = Command::new(binaries.join("kube-apiserver"));
        api.args(["--etcd-servers", &url(client)]);
        api.args(["--bind-address", "127.0.0.1", "--secure-port"]);
        api.arg(server.port().to_string());
        api.arg("--cert-dir").arg(directory.join("certificates"));
        api.arg("--token-auth-file")
            .arg(directory.join("users.csv"));
        api.arg("--service-account-signing-key-file")
            .arg(directory.join("service-accounts.pem"));
        api.arg("--service-account-key-file")
            .arg(directory.join("service-accounts.pub.pem"));
        api.args(["--service-account-issuer", "https://kubernetes.invalid"]);
        api.args(["--authorization-mode", "RBAC"]);
        api.args(["--service-cluster-ip-range", "10.0.0.0/24"]);
        let access = Cluster {
            directory: directory.to_path_buf(),
            kubectl: binaries.join("kubectl"),
        };
        for user in ["admin", "broker"] {
            let text = kubeconfig(directory, server, user);
            std::fs::write(access.kubeconfig(user), text)?;
        }
        let mut running = Self {
            children: vec![spawn(&mut etcd, &directory.join("etcd.log"))?],
            access,
        };
        running
            .children
            .push(spawn(&mut api, &directory.join("kube-apiserver.log"))?);
        running.wait()?;
        running.access.apply(BROKER_CLUSTER)?;
        Ok(running)
    }

    /// Returns access to the server.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.access
    }

    /// Stops the API server with SIGSTOP: connections to it hang.
    ///
    /// # Errors
    /// The system's error.
    pub fn freeze(&self) -> Result<()> {
        self.signal(rustix::process::Signal::STOP)
    }

    /// Continues the API server after [`Kubernetes::freeze`].
    ///
    /// # Errors
    /// The system's error.
    pub fn thaw(&self) -> Result<()> {
        self.signal(rustix::process::Signal::CONT)
    }

    fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let server = self.children.last().context("there is no API server")?;
        let id = i32::try_from(server.id())?;
        let id = rustix::process::Pid::from_raw(id).context("no process id")?;
        Ok(rustix::process::kill_process(id, signal)?)
    }

    fn wait(&mut self) -> Result<()> {
        for _ in 0..ASKED {
            let ready = self.access.kubectl("admin", &["get", "--raw", "/readyz"])?;
            if ready.code == 0 {
                return Ok(());
            }
            for child in &mut self.children {
                if let Some(status) = child.try_wait()? {
                    let log = self.access.directory.join("kube-apiserver.log");
                    let log = std::fs::read_to_string(log).unwrap_or_default();
                    let end: Vec<&str> = log.lines().rev().take(5).collect();
                    bail!("the API server or its etcd ended with {status}: {end:?}");
                }
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("the API server does not get ready");
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            // The process may have ended already, so errors are ignored.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Cluster {
    /// Returns the server that the test command started, if it did.
    #[must_use]
    pub fn shared() -> Option<Self> {
        let directory = PathBuf::from(std::env::var_os("LANYARD_KUBERNETES")?);
        let kubectl = PathBuf::from(std::env::var_os("LANYARD_KUBECTL")?);
        Some(Self { directory, kubectl })
    }

    /// Returns the variables by which [`Cluster::shared`] finds this server in a child process.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("LANYARD_KUBERNETES", self.directory.clone()),
            ("LANYARD_KUBECTL", self.kubectl.clone()),
        ]
    }

    /// Returns the kubeconfig of `admin` or `broker`.
    #[must_use]
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.directory.join(format!("{user}.kubeconfig"))
    }

    /// Returns the URL, the certificate in PEM, and the public key of service-account tokens in
    /// PEM.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn issuer(&self) -> Result<[String; 3]> {
        let config = std::fs::read_to_string(self.kubeconfig("admin"))?;
        let url = config.split_once("server: \"").context("no server")?.1;
        let url = url.split('"').next().unwrap_or_default().to_owned();
        let read = |name: &str| std::fs::read_to_string(self.directory.join(name));
        Ok([
            url,
            read("certificates/apiserver.crt")?,
            read("service-accounts.pub.pem")?,
        ])
    }

    /// Opens a connection for HTTP/1.1.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn connect(&self) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut roots = RootCertStore::empty();
        let authority = self.directory.join("certificates/apiserver.crt");
        for certificate in CertificateDer::pem_file_iter(authority)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let [url, ..] = self.issuer()?;
        let address: SocketAddr = url.trim_start_matches("https://").parse()?;
        let name = ServerName::from(address.ip());
        let tls = ClientConnection::new(Arc::new(config), name)?;
        let tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        Ok(StreamOwned::new(tls, tcp))
    }

    /// Sends a GET with this token and returns the status code.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn get(&self, token: &str, path: &str) -> Result<u16> {
        let mut stream = self.connect()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: it\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        // The server may close without the close_notify alert of TLS. What has arrived is the
        // answer.
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            read?;
        }
        let answer = String::from_utf8_lossy(&answer);
        let code = answer.split(' ').nth(1).context("no status")?;
        Ok(code.parse()?)
    }

    /// Writes a kubeconfig with a token into a folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_of(
        folder: &Path,
        (server, certificate_authority): (&str, &str),
        namespace: &str,
        token: &str,
    ) -> Result<PathBuf> {
        let authority = folder.join("authority.pem");
        std::fs::write(&authority, certificate_authority)?;
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": server, "certificate-authority": authority}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": namespace}}],
            "users": [{"name": "it", "user": {"token": token}}],
        });
        let file = folder.join("kubeconfig");
        std::fs::write(&file, text.to_string())?;
        Ok(file)
    }

    /// Writes the administrator's kubeconfig into a folder, with the token of an ExecCredential
    /// instead of the administrator's.
    ///
    /// # Errors
    /// When the credential has no token, or the file cannot be written.
    pub fn kubeconfig_with(&self, folder: &Path, credential: &str) -> Result<PathBuf> {
        let credential: serde_json::Value = serde_json::from_str(credential)?;
        let token = credential.pointer("/status/token");
        let token = token
            .and_then(serde_json::Value::as_str)
            .context("no token")?;
        let admin = std::fs::read_to_string(self.kubeconfig("admin"))?;
        let file = folder.join("kubeconfig");
        std::fs::write(
            &file,
            admin.replace("token: admin-token", &format!("token: {token}")),
        )?;
        Ok(file)
    }

    /// Returns the path of kubectl.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.kubectl
    }

    /// Runs kubectl as one of the two users and returns its result.
    ///
    /// # Errors
    /// When kubectl does not start.
    pub fn kubectl(&self, user: &str, arguments: &[&str]) -> Result<Answer> {
        self.kubectl_with(&self.kubeconfig(user), arguments)
    }

    /// Runs kubectl with any kubeconfig and returns its result.
    ///
    /// # Errors
    /// When kubectl does not start.
    pub fn kubectl_with(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Answer> {
        let output = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .context("kubectl does not start")?;
        Ok(Answer::of(&output))
    }

    /// Applies manifests as the administrator.
    ///
    /// # Errors
    /// When the API server refuses a manifest.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        let mut child = Command::new(&self.kubectl)
            .arg("--kubeconfig")
            .arg(self.kubeconfig("admin"))
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        child
            .stdin
            .take()
            .context("no standard input")?
            .write_all(manifests.as_bytes())?;
        let status = child.wait()?;
        if status.success() {
            Ok(())
        } else {
            bail!("kubectl apply ended with {status}")
        }
    }

    /// Creates two namespaces with the rights that the broker needs: one for leases, and one that
    /// charters name.
    ///
    /// # Errors
    /// When the API server refuses a manifest.
    pub fn namespaces(&self, home: &str, target: &str) -> Result<()> {
        self.apply(&BROKER.replace("HOME", home).replace("TARGET", target))
    }
}

fn spawn(command: &mut Command, log: &Path) -> Result<Child> {
    let log = std::fs::File::create(log)?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .spawn()
        .with_context(|| format!("{name} does not start"))
}

/// Makes the ES256 key for service-account tokens and its public key: PKCS #8 and RFC 5480, in PEM.
pub(crate) fn keys() -> Result<[String; 2]> {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    /// The SubjectPublicKeyInfo of a P-256 point, up to the point.
    const PUBLIC: &[u8] = &[
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
        0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let (random, algorithm) = (
        ring::rand::SystemRandom::new(),
        &ECDSA_P256_SHA256_FIXED_SIGNING,
    );
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).ok();
    let pkcs8 = pkcs8.context("the system gives no random bits")?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).ok();
    let pair = pair.context("a fresh key cannot be read")?;
    let public = [PUBLIC, pair.public_key().as_ref()].concat();
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    Ok([
        pem("PRIVATE KEY", pkcs8.as_ref()),
        pem("PUBLIC KEY", &public),
    ])
}

/// Renders the kubeconfig of a static user.
pub(crate) fn kubeconfig(directory: &Path, server: SocketAddr, user: &str) -> String {
    let authority = directory.join("certificates/apiserver.crt");
    let authority = authority.display();
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: it\n\
         clusters: [{{name: it, cluster: {{server: \"https://{server}\", certificate-authority: \"{authority}\"}}}}]\n\
         contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n\
         users: [{{name: it, user: {{token: {user}-token}}}}]\n"
    )
}

/// Builds kube-apiserver, etcd and kubectl, and returns their folder.
pub(crate) fn build() -> Result<PathBuf> {
    build_of(&["kube-apiserver/main.go", "kubectl/main.go", "etcd/main.go"])
}

/// Builds these programs of the module, and returns their folder.
pub(crate) fn build_of(programs: &[&str]) -> Result<PathBuf> {
    let stamp = format!("-s -w -X k8s.io/component-base/version.gitVersion={VERSION}");
    crate::go::build("kubernetes", VERSION, programs, &stamp)
}
