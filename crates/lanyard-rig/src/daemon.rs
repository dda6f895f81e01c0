//! One `lanyardd dev`, which ends with its owner.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::Cli;

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
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A running daemon.
pub struct Daemon {
    child: Child,
    address: SocketAddr,
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
        let address = free_port()?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(directory.join("lanyardd.log"))?;
        let child = Command::new(binaries()?.join("lanyardd"))
            .args(["dev", "--data-dir"])
            .arg(directory)
            .args(["--listen", &address.to_string()])
            .args(arguments)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("lanyardd does not start")?;
        let mut daemon = Self {
            child,
            address,
            directory: directory.to_path_buf(),
        };
        for _ in 0..ASKED {
            if daemon
                .http("GET", "/readyz", &[], "")
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
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: lanyard\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
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
