//! A `lanyardd dev` process, which ends when its value is dropped.

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

/// Number of checks whether a daemon listens, and the pause between two: 20 seconds in total.
const ASKED: u32 = 400;
const PAUSE: Duration = Duration::from_millis(50);

/// Returns the folder with `lanyardd` and `lanyard`: that of the running program, or the one above.
///
/// # Errors
/// When the binaries are not built.
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

/// Finds a port on which no process listens.
///
/// # Errors
/// The system's error, or no free port.
pub fn free_port() -> Result<SocketAddr> {
    // Below the range of ephemeral ports, from which an outgoing connection could take a port
    // meanwhile.
    const FIRST: u16 = 20_000;
    const MANY: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time start at different ports.
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

/// Runs `lanyardd` with these arguments until it ends.
///
/// # Errors
/// When `lanyardd` is not built or does not start.
pub fn daemon_command(arguments: &[&str]) -> Result<Answer> {
    let output = Command::new(binaries()?.join("lanyardd"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("lanyardd does not start")?;
    Ok(Answer::of(&output))
}

/// A running daemon, and the addresses of its listeners.
pub struct Daemon {
    child: Child,
    address: SocketAddr,
    kill_address: SocketAddr,
    directory: PathBuf,
}

impl Daemon {
    /// Starts a daemon with this data directory, and waits until it listens.
    ///
    /// # Errors
    /// When the daemon does not come up. Its log is `lanyardd.log` in the directory.
    pub fn start(directory: &Path) -> Result<Self> {
        Self::start_with(directory, &[], &[])
    }

    /// Like [`Daemon::start`], with further arguments and environment variables.
    ///
    /// # Errors
    /// When the daemon does not come up. Its log is `lanyardd.log` in the directory.
    pub fn start_with(
        directory: &Path,
        arguments: &[&str],
        environment: &[(&str, PathBuf)],
    ) -> Result<Self> {
        Self::start_under(&[], directory, arguments, environment)
    }

    /// Like [`Daemon::start_with`], started by another program, such as a shell that sets limits.
    ///
    /// # Errors
    /// When the daemon does not come up. Its log is `lanyardd.log` in the directory.
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

    /// Stops the daemon, changes its configuration, and serves again on the same addresses.
    ///
    /// # Errors
    /// When the daemon does not come up. Its log is `lanyardd.log` in the directory.
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

    /// Returns the address of the API.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the kill plane.
    #[must_use]
    pub const fn kill_address(&self) -> SocketAddr {
        self.kill_address
    }

    /// Returns the process id.
    #[must_use]
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Returns the content of the log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("lanyardd.log")).unwrap_or_default()
    }

    /// Returns the command line of one of the daemon's people.
    ///
    /// # Errors
    /// When the binaries are not built.
    pub fn cli(&self, person: &str) -> Result<Cli> {
        let context = self
            .directory
            .join("contexts")
            .join(format!("{person}.json"));
        Ok(Cli::new(binaries()?.join("lanyard"), context))
    }

    /// Sends one plain HTTP/1.1 request and returns the whole answer as text.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn http(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<String> {
        self.http_at(self.address, (method, path), headers, body)
    }

    /// Posts to `/v1/kill` of the kill plane.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn kill_plane(&self, headers: &[(&str, &str)], body: &str) -> Result<String> {
        self.kill_plane_at("/v1/kill", headers, body)
    }

    /// Posts to another path of the kill plane.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn kill_plane_at(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<String> {
        self.http_at(self.kill_address, ("POST", path), headers, body)
    }

    /// Sends a GET to another listener of the daemon.
    ///
    /// # Errors
    /// When no answer arrives.
    pub fn http_on(&self, address: SocketAddr, path: &str) -> Result<String> {
        self.http_at(address, ("GET", path), &[], "")
    }

    /// Posts to another listener of the daemon.
    ///
    /// # Errors
    /// When no answer arrives.
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
        // The server may close without the close_notify alert of TLS. What has arrived is the
        // answer.
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            read?;
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Opens a connection and sends only this text, such as an incomplete request.
    ///
    /// # Errors
    /// When no process listens.
    pub fn half_asked(&self, text: &str) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut stream = self.connect(self.address)?;
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
        Ok(stream)
    }

    fn connect(&self, address: SocketAddr) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(Duration::from_secs(10)))?;
        // Small writes must not wait for acknowledgements.
        tcp.set_nodelay(true)?;
        Ok(StreamOwned::new(self.tls()?, tcp))
    }

    /// Makes a TLS client that trusts this daemon's authority only.
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

    /// Kills the daemon with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// The system's error.
    pub fn crash(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and waits for a clean end.
    ///
    /// # Errors
    /// When the daemon ends with a failure.
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
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
