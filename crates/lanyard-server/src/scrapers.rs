//! Access to the metrics: by a bearer token from a file, or by a client certificate of an
//! authority. With neither configured, metrics are served on loopback alone, to everybody there.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lanyard_document::{Code, Item, Section};
use lanyard_secret_file::{Origin, read_plain, read_word};
use ring::digest::{SHA256, digest};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::identity::Presented;

/// The least number of characters of a bearer token.
const TOKEN_CHARACTERS_MIN: usize = 32;

/// The configuration of access to the metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ScraperConfig {
    bearer_file: Option<PathBuf>,
    client_ca: Option<PathBuf>,
}

impl ScraperConfig {
    /// Reads `metrics_bearer_file` and `metrics_client_ca`.
    pub(crate) fn read(top: &Section<'_>, base: &Path) -> Self {
        let path = |name| {
            let item = top.get(name)?;
            let path = crate::values::path(item, base)?;
            if top.get("metrics_listen").is_none() {
                let message = format!("`{name}` says who may read metrics that are not served");
                let fault = item.finding(Code::Listen, message);
                item.f.add(fault.help("name `metrics_listen`"));
            }
            Some(path)
        };
        Self {
            bearer_file: path("metrics_bearer_file"),
            client_ca: path("metrics_client_ca"),
        }
    }

    /// The address, unless it is off loopback and no proof is demanded (S40).
    pub(crate) fn asked_at(&self, item: Item<'_>, address: SocketAddr) -> Option<SocketAddr> {
        let is_open = self.bearer_file.is_none() && self.client_ca.is_none();
        if address.ip().is_loopback() || !is_open {
            return Some(address);
        }
        let message = format!("{address} is not on loopback, and everybody could read the metrics");
        let fault = item.finding(Code::Listen, message);
        item.f
            .add(fault.help("name a `metrics_bearer_file` or a `metrics_client_ca`"));
        None
    }

    /// Checks each file; the results are named by field.
    pub(crate) fn look(&self) -> [(&'static str, Result<()>); 2] {
        let (bearer_file, client_ca) = (self.bearer_file.as_deref(), self.client_ca.as_deref());
        [
            (
                "metrics_bearer_file",
                bearer_file.map_or(Ok(()), |path| bearer(path).map(drop)),
            ),
            (
                "metrics_client_ca",
                client_ca.map_or(Ok(()), |path| authority(path).map(drop)),
            ),
        ]
    }

    /// Reads the files.
    ///
    /// # Errors
    /// Which file does not contain what it should.
    pub(crate) fn open(&self) -> Result<Scrapers> {
        Ok(Scrapers {
            bearer: self.bearer_file.as_deref().map(bearer).transpose()?,
            authority: self.client_ca.as_deref().map(authority).transpose()?,
        })
    }
}

fn bearer(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let token = read_word(path, Origin::Configured)?;
    ensure!(
        token.len() >= TOKEN_CHARACTERS_MIN,
        "the token in `{shown}` has {} characters and needs {TOKEN_CHARACTERS_MIN}",
        token.len()
    );
    Ok(digest(&SHA256, token.as_bytes()).as_ref().to_vec())
}

fn authority(path: &Path) -> Result<Arc<dyn ClientCertVerifier>> {
    let shown = path.display();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read_plain(path)?) {
        let certificate = certificate.with_context(|| format!("`{shown}` is not PEM"))?;
        let added = roots.add(certificate);
        added.with_context(|| format!("`{shown}` holds a certificate that is no authority's"))?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
    verifier.with_context(|| format!("`{shown}` holds no certificate of an authority"))
}

/// The proofs that give access to the metrics.
#[derive(Clone)]
pub(crate) struct Scrapers {
    /// SHA-256 of the token. Comparing digests reveals nothing of the token.
    bearer: Option<Vec<u8>>,
    authority: Option<Arc<dyn ClientCertVerifier>>,
}

impl Scrapers {
    fn admit(
        &self,
        token: Option<&str>,
        certificates: Option<&[CertificateDer<'static>]>,
        now: UnixTime,
    ) -> bool {
        if self.bearer.is_none() && self.authority.is_none() {
            return true;
        }
        let shown = token.map(|token| digest(&SHA256, token.as_bytes()));
        let knows = |bearer: &Vec<u8>| shown.is_some_and(|shown| shown.as_ref() == bearer);
        if self.bearer.as_ref().is_some_and(knows) {
            return true;
        }
        let Some((authority, (leaf, rest))) = self
            .authority
            .as_ref()
            .zip(certificates.and_then(<[_]>::split_first))
        else {
            return false;
        };
        authority.verify_client_cert(leaf, rest, now).is_ok()
    }
}

/// Lets requests with a proof through.
pub(crate) async fn admitted(
    State(scrapers): State<Scrapers>,
    request: Request,
    next: Next,
) -> Response {
    let presented = request.extensions().get::<Presented>().cloned();
    let token = presented.as_ref().and_then(Presented::token);
    let token = token.map(|(_, token)| token);
    let certificates = presented.as_ref().and_then(Presented::certificates);
    if scrapers.admit(token, certificates, UnixTime::now()) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "unauthorized\n").into_response()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        let owner_alone = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, owner_alone).unwrap();
        path
    }

    /// The certificate of an authority, in PEM, and that of one of its clients.
    fn authority() -> (String, CertificateDer<'static>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = KeyPair::generate().unwrap();
        let authority = params.self_signed(&own).unwrap();
        let issuer = Issuer::from_params(&params, &own);
        let client = CertificateParams::new(vec!["prometheus".to_owned()]).unwrap();
        let client = client.signed_by(&KeyPair::generate().unwrap(), &issuer);
        (authority.pem(), client.unwrap().der().clone())
    }

    #[test]
    fn s40_metrics_are_for_whoever_shows_the_token_or_a_certificate_of_the_authority() {
        let directory = tempfile::tempdir().unwrap();
        let ((ca, ours), (_, theirs)) = (authority(), authority());
        let scrapers = ScraperConfig {
            bearer_file: Some(file(directory.path(), "token", &format!("{TOKEN}\n"))),
            client_ca: Some(file(directory.path(), "ca.pem", &ca)),
        };
        let scrapers = scrapers.open().unwrap();
        let now = UnixTime::now();
        let (good, bad) = ([ours], [theirs]);
        for (token, chain, admitted) in [
            (None, None, false),
            (Some(""), None, false),
            (Some("0123456789abcdef0123456789abcdee"), None, false),
            (Some(TOKEN), None, true),
            (None, Some(bad.as_slice()), false),
            (None, Some([].as_slice()), false),
            (None, Some(good.as_slice()), true),
            (Some("wrong"), Some(bad.as_slice()), false),
        ] {
            assert_eq!(scrapers.admit(token, chain, now), admitted, "{token:?}");
        }
        let open = ScraperConfig::default();
        assert!(open.open().unwrap().admit(None, None, now));
    }

    #[test]
    fn s40_metrics_off_loopback_ask_who_reads_them() {
        const REST: &str = "data_dir: data\ncharters: charters\nlisten: 127.0.0.1:0\nissuer: https://lanyard.example\n\
            audience: lanyard\nissuers: []\nenvironments: {staging: sandbox}\ntargets: {tickets: {kind: token}}\n\
            tls: {certificate: c.pem, key: k.pem}\n";
        let directory = tempfile::tempdir().unwrap();
        let with = |more: &str| {
            let path = file(directory.path(), "lanyardd.yaml", &format!("{REST}{more}"));
            crate::config::load(&path).map_err(|error| format!("{error:#}"))
        };
        let line = with("metrics_listen: 0.0.0.0:7072\n").err().unwrap();
        assert!(line.contains("everybody could read the metrics"), "{line}");
        for more in [
            "metrics_bearer_file: token\n",
            "metrics_client_ca: ca.pem\n",
        ] {
            assert!(
                with(&format!("metrics_listen: 0.0.0.0:7072\n{more}")).is_ok(),
                "{more}"
            );
            let line = with(more).err().unwrap();
            assert!(line.contains("metrics that are not served"), "{line}");
        }
        assert!(with("metrics_listen: 127.0.0.1:7072\n").is_ok());
    }

    #[test]
    fn s40_a_token_that_can_be_guessed_and_a_file_without_an_authority_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let line = |bearer: Option<&str>, ca: Option<&str>| {
            let config = ScraperConfig {
                bearer_file: bearer.map(|text| file(directory.path(), "token", text)),
                client_ca: ca.map(|text| file(directory.path(), "ca.pem", text)),
            };
            format!("{:#}", config.open().err().unwrap())
        };
        assert!(line(Some("short"), None).contains("has 5 characters and needs 32"));
        assert!(line(None, Some("")).contains("holds no certificate of an authority"));
    }
}
