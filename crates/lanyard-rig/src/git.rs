//! A git server over HTTPS that takes the broker's tokens as passwords, and asks the broker about each.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::Daemon;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/git/server.py");
/// How often it is asked whether it listens, and how long between: ten seconds in all.
const ASKED: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// A running server with one repository, `app.git`, which ends with its owner.
pub struct Git {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Git {
    /// Starts it at this address with the certificate of a daemon in this directory, which answers it about tokens.
    ///
    /// # Errors
    /// When there is no git or no Python, or it does not come up.
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
            std::thread::sleep(PAUSE);
        }
        bail!("the git server does not listen")
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A line for each request that it has answered: method, path, user, status.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Git {
    fn drop(&mut self) {
        // It may have ended before: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An empty one, which takes pushes, where there is none yet.
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
