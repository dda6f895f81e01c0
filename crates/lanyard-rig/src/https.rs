//! A folder served over TLS with the certificate of a development daemon, for instance the
//! discovery documents of an issuer.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::free_port;

const SCRIPT: &str = "
import functools, http.server, ssl, sys
port, folder, certificate, key = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
server = http.server.ThreadingHTTPServer(('127.0.0.1', int(port)), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
";
/// Number of checks whether the server listens, and the pause between two: ten seconds in total.
const ASKED: u32 = 200;
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running server. Dropping the value ends it.
pub struct Https {
    child: Child,
    address: SocketAddr,
}

impl Https {
    /// Serves a folder with the certificate in a development daemon's directory.
    ///
    /// # Errors
    /// When Python is missing, or the server does not come up.
    pub fn start(folder: &Path, daemon: &Path) -> Result<Self> {
        let address = free_port()?;
        let child = Command::new("python3")
            .args(["-c", SCRIPT, &address.port().to_string()])
            .arg(folder)
            .arg(daemon.join("dev-tls.pem"))
            .arg(daemon.join("dev-tls.key"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("python3 does not start")?;
        let server = Self { child, address };
        for _ in 0..ASKED {
            if TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("the server does not listen")
    }

    /// Returns the base URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        // The process may have ended already, so errors are ignored.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
