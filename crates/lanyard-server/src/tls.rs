//! Listeners with TLS. Certificates are read again when their files change.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use parking_lot::RwLock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

/// How long a handshake may take (T43).
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many handshakes are under way at most.
const HANDSHAKES: usize = 1024;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// After an error of accept itself (no descriptors, say), the time until the next.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the certificate and its key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The certificate that is shown now.
#[derive(Debug)]
struct Current {
    files: TlsFiles,
    key: RwLock<(Arc<CertifiedKey>, Option<SystemTime>)>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read().0))
    }
}

impl TlsFiles {
    fn read(&self) -> Result<CertifiedKey> {
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .with_context(|| format!("the certificate {}", self.certificate.display()))?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("the key {}", self.key.display()))?;
        let provider = crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider)
            .with_context(|| format!("{} and its key", self.certificate.display()))
    }

    fn changed(&self) -> Option<SystemTime> {
        let modified = |path: &PathBuf| std::fs::metadata(path).and_then(|it| it.modified()).ok();
        modified(&self.certificate).max(modified(&self.key))
    }

    /// What accepts connections with this certificate, now and as it is renewed.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor> {
        let current = Arc::new(Current {
            files: self.clone(),
            key: RwLock::new((Arc::new(self.read()?), self.changed())),
        });
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        tokio::spawn(current.follow());
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl Current {
    /// Until the process ends. A pair that cannot be read leaves the one before it in use.
    async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let changed = self.files.changed();
            if changed == self.key.read().1 {
                continue;
            }
            match self.files.read() {
                Ok(key) => {
                    *self.key.write() = (Arc::new(key), changed);
                    tracing::info!("the certificate was renewed");
                }
                Err(error) => tracing::error!(
                    error = format!("{error:#}"),
                    "the certificate stays as it was"
                ),
            }
        }
    }
}

/// A listener whose connections have shaken hands.
pub(crate) struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Accepts on this listener; a slow handshake holds up nobody else.
    pub(crate) fn new(tcp: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let address = tcp.local_addr()?;
        let (done, ready) = mpsc::channel(64);
        tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(HANDSHAKES));
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let Ok((stream, peer)) = tcp.accept().await else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                // An answer is not held back for more: without this each waits for an acknowledgement.
                stream.set_nodelay(true).ok();
                let (acceptor, done) = (acceptor.clone(), done.clone());
                tokio::spawn(async move {
                    let shaken = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await;
                    drop(place);
                    if let Ok(Ok(stream)) = shaken {
                        // Nobody takes connections any more once the server ends.
                        drop(done.send((stream, peer)).await);
                    }
                });
            }
        });
        Ok(Self { address, ready })
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
