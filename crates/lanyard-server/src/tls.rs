//! TLS of the listeners: certificates, reloaded when their files change, and client certificates.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use lanyard_secret_file::Origin;
use parking_lot::RwLock;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    self, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    ServerConnection, SignatureScheme,
};

/// The interval at which the files are checked.
const LOOK: Duration = Duration::from_secs(30);
/// The most certificates that a client may show: its own, and what leads from there to an
/// authority.
///
/// # Limit
/// - for: a client
/// - unit: certificates
/// - beyond: the handshake is refused
/// - test: `t43_a_chain_is_so_long_at_most`
const MAX_CLIENT_CERTIFICATES: usize = 5;
/// The most that these may take, in bytes.
///
/// # Limit
/// - for: a client
/// - unit: bytes
/// - beyond: the handshake is refused
/// - test: `t43_a_chain_is_so_long_at_most`
const MAX_CLIENT_CERTIFICATE_BYTES: usize = 16 * 1024;
/// The protocol offered to clients, by its ALPN name (RFC 7301).
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// The files of a certificate and its key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The certificate in use.
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
        let pem = lanyard_secret_file::read_plain(&self.certificate)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .with_context(|| format!("the certificate {}", self.certificate.display()))?;
        let pem = lanyard_secret_file::read(&self.key, Origin::Configured)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
            let why = if matches!(error, rustls::pki_types::pem::Error::NoItemsFound) {
                "there is no private key in PEM in it".to_owned()
            } else {
                error.to_string()
            };
            anyhow::anyhow!("the key {}: {why}", self.key.display())
        })?;
        let provider = crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider)
            .with_context(|| format!("{} and its key", self.certificate.display()))
    }

    fn changed(&self) -> Option<SystemTime> {
        let modified = |path: &PathBuf| std::fs::metadata(path).and_then(|it| it.modified()).ok();
        modified(&self.certificate).max(modified(&self.key))
    }

    /// Makes an acceptor with this certificate, and what keeps it renewed.
    ///
    /// # Errors
    /// When a file cannot be read, or certificate and key do not belong together.
    pub(crate) fn acceptor(&self) -> Result<(TlsAcceptor, Renewal)> {
        let current = Arc::new(Current {
            files: self.clone(),
            key: RwLock::new((Arc::new(self.read()?), self.changed())),
        });
        let provider = Arc::new(crypto::ring::default_provider());
        let holders = Holders(provider.signature_verification_algorithms);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(holders))
            .with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok((TlsAcceptor::from(Arc::new(config)), Renewal(current)))
    }
}

/// Keeps a listener's certificate as new as its files.
pub(crate) struct Renewal(Arc<Current>);

impl Renewal {
    /// Reloads the certificate for ever. A pair that cannot be read leaves the previous one in use.
    pub(crate) async fn follow(self) {
        self.0.follow().await;
    }
}

impl Current {
    async fn follow(&self) {
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

/// Asks for a client certificate and verifies that the client holds its key. Each request that
/// relies on the certificate checks its subject and its authority.
#[derive(Debug)]
struct Holders(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Holders {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let bytes: usize = intermediates.iter().map(|it| it.len()).sum();
        if intermediates.len() >= MAX_CLIENT_CERTIFICATES
            || bytes.saturating_add(end_entity.len()) > MAX_CLIENT_CERTIFICATE_BYTES
        {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// The certificates that a client showed, its own first, whose key it holds. No authority was
/// checked yet.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificates(pub(crate) Arc<[CertificateDer<'static>]>);

impl PeerCertificates {
    /// The certificates of a session, also of a resumed one, which keeps those of its first
    /// handshake.
    pub(crate) fn of(session: &ServerConnection) -> Option<Self> {
        let chain = session.peer_certificates()?;
        let chain = chain.iter().map(|it| it.clone().into_owned());
        Some(Self(chain.collect()))
    }
}

/// The version of HTTP on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
    /// No version was agreed on: the first bytes decide.
    AsItBegins,
}

impl Protocol {
    /// The version that the handshake agreed on.
    pub(crate) fn of(session: &ServerConnection) -> Self {
        match session.alpn_protocol() {
            Some(HTTP2) => Self::Http2,
            Some(HTTP1) => Self::Http1,
            Some(_) | None => Self::AsItBegins,
        }
    }
}
