//! A git server over HTTPS that accepts the broker's tokens as passwords, and asks the broker about
//! each of them.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::Daemon;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/git/server.py");
/// Number of checks whether the server listens, and the pause between two: ten seconds in total.
const ASKED: u32 = 100;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A running server with one repository, `app.git`. Dropping the value ends the server.
pub struct Git {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Git {
    /// Starts the server at `address` with the certificate of the daemon in `directory`, which
    /// judges the tokens.
    ///
    /// # Errors
    /// When git or Python is missing, or the server does not come up.
    pub fn start(address: SocketAddr, directory: &Path, daemon: &Daemon) -> Result<Self> {
        let folder = directory.join("git");
        repository(&folder)?;
        let log = directory.join("git.log");
        let output = std::fs::File::create(&log)?;
        let mut child = Command::new("python3")
            .arg(SERVER)
            .arg(&folder)
            .arg(address.port().to_string())
            .args(["dev-tls.pem", "dev-tls.key", "dev-ca.pem"].map(|name| directory.join(name)))
            .arg(format!("https://{}", daemon.address()))
            .arg(crate::binaries()?.join("lanyard"))
            .arg(directory.join("contexts/oncall.json"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("python3 does not start")?;
        for _ in 0..ASKED {
            if TcpStream::connect(address).is_ok() {
                let url = format!("https://{address}");
                return Ok(Self { child, url, log });
            }
            if let Some(status) = child.try_wait()? {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                bail!("the git server ended with {status}: {said}");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("the git server does not listen")
    }

    /// Returns the base URL of the server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns one line per answered request: method, path, user, status.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Git {
    fn drop(&mut self) {
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Creates an empty repository that accepts pushes, unless it exists.
fn repository(folder: &Path) -> Result<()> {
    let path = folder.join("app.git");
    if path.exists() {
        return Ok(());
    }
    let made = Command::new("git")
        .args(["init", "--quiet", "--bare", "--initial-branch=main"])
        .arg(&path)
        .status()
        .context("git does not start")?;
    ensure!(made.success(), "git init ended with {made}");
    Ok(())
}
