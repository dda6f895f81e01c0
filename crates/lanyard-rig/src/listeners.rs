//! The listeners of a daemon, as plain HTTP clients reach them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The addresses of one daemon, and the directory with the authority of its certificate.
#[derive(Debug, Clone)]
pub struct Listeners {
    address: SocketAddr,
    kill_address: SocketAddr,
    pub(crate) directory: PathBuf,
}

impl Listeners {
    /// Names the addresses of the API and of the kill plane of the daemon in `directory`.
    #[must_use]
    pub fn at((address, kill_address): (SocketAddr, SocketAddr), directory: &Path) -> Self {
        Self {
            address,
            kill_address,
            directory: directory.to_path_buf(),
        }
    }

    /// Returns the addresses of the API and of the kill plane.
    #[must_use]
    pub const fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.address, self.kill_address)
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
}
