//! The wire protocol of STS and IAM, by moto. It enforces little: what a policy means is not proved by it.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{free_port, python};

/// What is installed.
const MOTO: &str = "moto[server]==5.2.5";
/// How often it is asked whether it listens, and how long between: a minute in all.
const ASKED: u32 = 600;
const PAUSE: Duration = Duration::from_millis(100);

/// A running moto, which ends with its owner.
pub struct Moto {
    child: Child,
    address: SocketAddr,
}

impl Moto {
    /// Installs it where it is missing, starts it, and waits until it listens. Its log goes to this file.
    ///
    /// # Errors
    /// When there is no Python, or it does not come up.
    pub fn start(log: &Path) -> Result<Self> {
        let python = python(MOTO)?;
        let address = free_port()?;
        let log = std::fs::File::create(log)?;
        let child = Command::new(python.with_file_name("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("moto does not start")?;
        let mut moto = Self { child, address };
        for _ in 0..ASKED {
            if TcpStream::connect(address).is_ok() {
                return Ok(moto);
            }
            if let Some(status) = moto.child.try_wait()? {
                bail!("moto ended with {status}");
            }
            std::thread::sleep(PAUSE);
        }
        bail!("moto does not listen")
    }

    /// Its endpoint, for every service.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended before: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
