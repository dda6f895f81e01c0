//! One `lanyardd dev`, which ends with its owner.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::{Answer, Cli};

/// How long a daemon may take to listen, and how often it is asked: 20 seconds in all.
const ASKED: u32 = 400;
const PAUSE: Duration = Duration::from_millis(50);

/// The folder with `lanyardd` and `lanyard`: beside the running program, or one above it.
///
/// # Errors
/// When they have not been built.
pub fn binaries() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .find(|folder| folder.join("lanyardd").exists());
    found
        .map(Path::to_path_buf)
        .context("lanyardd is not built: run `cargo xtask test`, which builds it first")
}

/// A port that nobody listens on now.
///
/// # Errors
/// As of the system.
pub fn free_port() -> Result<SocketAddr> {
    // Below the range that outgoing connections are given theirs from, which would take one of these in between.
    const FIRST: u16 = 20_000;
    const MANY: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin apart.
    let own = u16::try_from(std::process::id() % u32::from(MANY)).unwrap_or(0);
    for _ in 0..MANY {
        let next = NEXT
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(own.wrapping_mul(97))
            % MANY;
        let address = (Ipv4Addr::LOCALHOST, FIRST + next);
        if let Ok(listener) = TcpListener::bind(address) {
            return Ok(listener.local_addr()?);
        }
    }
    bail!("there is no free port")
}

/// `lanyardd` with these arguments, until it ends.
///
/// # Errors
/// When it is not built or does not start.
pub fn daemon_command(arguments: &[&str]) -> Result<Answer> {
    let output = Command::new(binaries()?.join("lanyardd"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("lanyardd does not start")?;
    Ok(Answer::of(&output))
}

/// A running daemon.
pub struct Daemon {
    child: Child,
    address: SocketAddr,
    kill_address: SocketAddr,
    directory: PathBuf,
}

impl Daemon {
    /// Starts one on this directory and waits until it listens.
    ///
    /// # Errors
    /// When it does not come up; its log is in `lanyardd.log` in the directory.
    pub fn start(directory: &Path) -> Result<Self> {
        Self::start_with(directory, &[], &[])
    }

    /// As [`Daemon::start`], with further arguments and environment.
    ///
    /// # Errors
    /// When it does not come up; its log is in `lanyardd.log` in the directory.
    pub fn start_with(
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, PathBuf)],
    ) -> Result<Self> {
        Self::start_under(&[], directory, arguments, environment)
    }

    /// As [`Daemon::start_with`], as the last arguments of another program: a shell that sets limits, say.
    ///
    /// # Errors
    /// When it does not come up; its log is in `lanyardd.log` in the directory.
    pub fn start_under(
        program: &[&str],
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, PathBuf)],
    ) -> Result<Self> {
        let addresses = (free_port()?, free_port()?);
        let daemon = binaries()?.join("lanyardd");
        let mut command = match program {
            [] => Command::new(daemon),
            [first, more @ ..] => {
                let mut command = Command::new(first);
                command.args(more).arg(daemon);
                command
            }
        };
        command
            .args(["dev", "--data-dir"])
            .arg(directory)
            .args(["--listen", &addresses.0.to_string()])
            .args(["--kill-listen", &addresses.1.to_string()])
            .args(arguments)
            .envs(environment.iter().cloned());
        Self::up(command, directory, addresses)
    }

    /// Stops it, and serves again on the same addresses with its configuration changed like this.
    ///
    /// # Errors
    /// When it does not come up; its log is in `lanyardd.log` in the directory.
    pub fn serve_again(self, change: impl FnOnce(String) -> String) -> Result<Self> {
        let (directory, addresses) = (self.directory.clone(), (self.address, self.kill_address));
        let config = std::fs::read_to_string(directory.join("lanyardd.yaml"))?;
        self.stop()?;
        let changed = directory.join("changed.yaml");
        std::fs::write(&changed, change(config))?;
        let mut command = Command::new(binaries()?.join("lanyardd"));
        command.args(["serve", "--config"]).arg(changed);
        Self::up(command, &directory, addresses)
    }

    fn up(
        mut command: Command,
        directory: &Path,
        (address, kill_address): (SocketAddr, SocketAddr),
    ) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(directory.join("lanyardd.log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("lanyardd does not start")?;
        let mut daemon = Self {
            child,
            address,
            kill_address,
            directory: directory.to_path_buf(),
        };
        for _ in 0..ASKED {
            if daemon
                .http("GET", "/readyz/kill", &[], "")
                .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
            {
                return Ok(daemon);
            }
            if let Some(status) = daemon.child.try_wait()? {
                bail!("lanyardd ended with {status}: {}", daemon.log());
            }
            std::thread::sleep(PAUSE);
        }
        bail!("lanyardd does not listen: {}", daemon.log());
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its kill plane listens.
    #[must_use]
    pub const fn kill_address(&self) -> SocketAddr {
        self.kill_address
    }

    /// Its process id.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("lanyardd.log")).unwrap_or_default()
    }

    /// The command line of one of its people.
    ///
    /// # Errors
    /// When the binaries are not there.
    pub fn cli(&self, person: &str) -> Result<Cli> {
        let context = self
            .directory
            .join("contexts")
            .join(format!("{person}.json"));
        Ok(Cli::new(binaries()?.join("lanyard"), context))
    }

    /// One HTTP/1.1 request, as plain as can be; the whole answer as text.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn http(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<String> {
        self.http_at(self.address, (method, path), headers, body)
    }

    /// The same, on the kill plane.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn kill_plane(&self, headers: &[(&str, &str)], body: &str) -> Result<String> {
        self.kill_plane_at("/v1/kill", headers, body)
    }

    /// What else is posted to the kill plane.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn kill_plane_at(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<String> {
        self.http_at(self.kill_address, ("POST", path), headers, body)
    }

    /// What is served at another of its addresses.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn http_on(&self, address: SocketAddr, path: &str) -> Result<String> {
        self.http_at(address, ("GET", path), &[], "")
    }

    /// What is posted to another of its addresses.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn post_on(&self, address: SocketAddr, path: &str, body: &str) -> Result<String> {
        self.http_at(address, ("POST", path), &[], body)
    }

    fn http_at(
        &self,
        address: SocketAddr,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<String> {
        let mut stream = self.connect(address)?;
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: lanyard\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )?;
        let mut answer = Vec::new();
        // The server may close without the alert that TLS has for it: what came is what it said.
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            read?;
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A connection over which this was sent and nothing else: a request that is not whole, say.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn half_asked(&self, text: &str) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut stream = self.connect(self.address)?;
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
        Ok(stream)
    }

    fn connect(&self, address: SocketAddr) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(Duration::from_secs(10)))?;
        // What is written in pieces does not wait for an acknowledgement.
        tcp.set_nodelay(true)?;
        Ok(StreamOwned::new(self.tls()?, tcp))
    }

    /// A client that believes this daemon's own authority and nobody else.
    fn tls(&self) -> Result<ClientConnection> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(
            self.directory.join("dev-ca.pem"),
        )?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1")?;
        Ok(ClientConnection::new(Arc::new(config), name)?)
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// As of the system.
    pub fn crash(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for a clean end.
    ///
    /// # Errors
    /// When it ends with a failure.
    pub fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.child.id())?;
        let id = rustix::process::Pid::from_raw(id).context("the daemon has no process id")?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("lanyardd ended with {status}: {}", self.log());
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended before: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
