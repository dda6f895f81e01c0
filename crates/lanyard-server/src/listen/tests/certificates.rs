//! Tests of client certificates: who shows one, and who holds its key.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SignatureScheme, SupportedProtocolVersion, sign,
    version,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{PATIENT, listening};
use crate::tls::TlsFiles;

/// A listener's certificate in a folder, with the roots that trust it.
pub(super) fn shown() -> (TlsAcceptor, RootCertStore) {
    let folder = tempfile::tempdir().unwrap();
    let own = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.path().join("tls.pem"),
        key: folder.path().join("tls.key"),
    };
    std::fs::write(&files.certificate, own.cert.pem()).unwrap();
    std::fs::write(&files.key, own.signing_key.serialize_pem()).unwrap();
    let owner_alone = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&files.key, owner_alone).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let (acceptor, _) = files.acceptor().unwrap();
    (acceptor, roots)
}

fn agent() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["agent".to_owned()]).unwrap()
}

/// A chain and a key, whether or not they belong together.
#[derive(Debug)]
struct Shows(Arc<sign::CertifiedKey>);

impl Shows {
    fn new(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Arc<Self> {
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = ring::sign::any_supported_type(&key).unwrap();
        Arc::new(Self(Arc::new(sign::CertifiedKey::new(chain, key))))
    }
}

impl ResolvesClientCert for Shows {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn client(
    roots: RootCertStore,
    versions: &[&'static SupportedProtocolVersion],
    shows: Option<Arc<Shows>>,
) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let config = match shows {
        Some(shows) => config.with_client_cert_resolver(shows),
        None => config.with_no_client_auth(),
    };
    TlsConnector::from(Arc::new(config))
}

/// The caller as the listener sees it, and the result of the handshake.
async fn asked(
    client: &TlsConnector,
    address: SocketAddr,
) -> std::io::Result<(String, HandshakeKind)> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = client.connect(name, tcp).await?;
    let asked = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(asked).await?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await?;
    let kind = stream.get_ref().1.handshake_kind().unwrap();
    let body = said.split_once("\r\n\r\n").unwrap().1;
    Ok((body.trim().to_owned(), kind))
}

fn named(chain: &[CertificateDer<'_>]) -> String {
    let shown: Vec<_> = chain
        .iter()
        .map(|it| lanyard_vocabulary::digest::hex(it))
        .collect();
    format!("127.0.0.1 {}", shown.join(" "))
}

#[tokio::test]
async fn a_resumed_session_keeps_the_certificate() {
    for version in [&version::TLS12, &version::TLS13] {
        let (acceptor, roots) = shown();
        let (address, _open) = listening(PATIENT, Some(acceptor)).await;
        let agent = agent();
        let chain = vec![agent.cert.der().clone()];
        let expected = named(&chain);
        let client = client(
            roots,
            &[version],
            Some(Shows::new(chain, &agent.signing_key)),
        );
        let first = asked(&client, address).await.unwrap();
        assert_eq!(first, (expected.clone(), HandshakeKind::Full));
        let again = asked(&client, address).await.unwrap();
        assert_eq!(again, (expected, HandshakeKind::Resumed), "{version:?}");
    }
}

#[tokio::test]
async fn nobody_has_to_show_one() {
    let (acceptor, roots) = shown();
    let (address, _open) = listening(PATIENT, Some(acceptor)).await;
    let client = client(roots, &[&version::TLS13], None);
    assert_eq!(asked(&client, address).await.unwrap().0, "127.0.0.1");
}

#[tokio::test]
async fn whoever_does_not_hold_the_key_is_refused() {
    for version in [&version::TLS12, &version::TLS13] {
        let (acceptor, roots) = shown();
        let (address, _open) = listening(PATIENT, Some(acceptor)).await;
        let shows = Shows::new(vec![agent().cert.der().clone()], &agent().signing_key);
        let client = client(roots, &[version], Some(shows));
        asked(&client, address).await.unwrap_err();
    }
}

// T43
#[tokio::test]
async fn t43_a_chain_is_so_long_at_most() {
    let (acceptor, roots) = shown();
    let (address, _open) = listening(PATIENT, Some(acceptor)).await;
    let agent = agent();
    let mut chain = vec![agent.cert.der().clone(); 5];
    let at_most = Shows::new(chain.clone(), &agent.signing_key);
    let expected = named(&chain);
    let at_most = client(roots.clone(), &[&version::TLS13], Some(at_most));
    assert_eq!(asked(&at_most, address).await.unwrap().0, expected);
    chain.push(agent.cert.der().clone());
    let longer = Shows::new(chain, &agent.signing_key);
    let longer = client(roots.clone(), &[&version::TLS13], Some(longer));
    asked(&longer, address).await.unwrap_err();
    let large = CertificateDer::from(vec![0; 16 * 1024]);
    let large = Shows::new(vec![agent.cert.der().clone(), large], &agent.signing_key);
    let large = client(roots, &[&version::TLS13], Some(large));
    asked(&large, address).await.unwrap_err();
}
