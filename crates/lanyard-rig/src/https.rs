//! A folder served over TLS with the certificate of a development daemon: an issuer's discovery documents, say.

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
/// How often it is asked whether it listens, and how long between: ten seconds in all.
const ASKED: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// A server, which ends with its owner.
pub struct Https {
    child: Child,
    address: SocketAddr,
}

impl Https {
    /// Serves a folder with the certificate that is in a development daemon's directory.
    ///
    /// # Errors
    /// When there is no Python, or it does not come up.
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
            std::thread::sleep(PAUSE);
        }
        bail!("the server does not listen")
    }

    /// Where it is, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        // It may have ended before: then there is nothing to end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
