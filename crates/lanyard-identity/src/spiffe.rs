//! SPIFFE: bundles of trust domains, and X.509-SVIDs (SPIFFE-ID, X509-SVID and
//! SPIFFE_Trust_Domain_and_Bundle specifications). JWT-SVIDs are tokens whose issuer is the trust
//! domain.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lanyard_vocabulary::identity::{Confirmation, Evidence, Identity, Method};
use lanyard_vocabulary::time::Timestamp;
use parking_lot::RwLock;
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Deserialize;
use serde_json::{Value, json};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring as algorithms};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::RejectedToken;
use crate::jwks::{Jwks, JwksError};

/// Longest SPIFFE ID (SPIFFE-ID section 2.3).
///
/// # Limit
/// - for: a workload
/// - unit: bytes
/// - beyond: the certificate or the token is refused
/// - test: `t44_a_spiffe_id_has_bounds`
const MAX_SPIFFE_ID_BYTES: usize = 2048;
/// Longest name of a trust domain.
///
/// # Limit
/// - for: a workload
/// - unit: bytes
/// - beyond: the certificate or the token is refused
/// - test: `t44_a_spiffe_id_has_bounds`
const MAX_TRUST_DOMAIN_BYTES: usize = 255;
/// Certificates between a leaf and its authority.
///
/// # Limit
/// - for: a workload
/// - unit: certificates
/// - beyond: the certificate is refused
/// - test: `t44_a_chain_has_so_many_certificates_and_no_more`
const MAX_INTERMEDIATES: usize = 4;

/// Signature algorithms that certificates may use.
const SIGNATURES: &[&dyn rustls_pki_types::SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];

/// A bundle that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// The document is not a usable SPIFFE bundle.
    #[error("not a SPIFFE bundle: {0}")]
    Form(&'static str),
    /// The JWT-SVID keys are not a valid key set.
    #[error(transparent)]
    Keys(#[from] JwksError),
}

/// The authorities and keys of a trust domain.
#[derive(Debug)]
pub struct Bundle {
    authorities: Vec<CertificateDer<'static>>,
    /// Keys of the JWT-SVIDs. The caller takes them out to give them to the
    /// [`Verifier`](crate::Verifier).
    pub keys: Option<Jwks>,
    /// Refresh interval that the trust domain asks for.
    pub refresh: Option<Duration>,
    /// Skipped keys and authorities, with the reason for each.
    pub passed_over: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
    spiffe_refresh_hint: Option<u64>,
}

impl Bundle {
    /// Parses the JSON form (SPIFFE_Trust_Domain_and_Bundle section 4).
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let document: Document =
            serde_json::from_slice(bytes).map_err(|_| BundleError::Form("no list of keys"))?;
        let (mut authorities, mut keys, mut passed_over) = (Vec::new(), Vec::new(), Vec::new());
        for (place, key) in document.keys.into_iter().enumerate() {
            match key.get("use").and_then(Value::as_str) {
                Some("x509-svid") => match authority(&key) {
                    Ok(authority) => authorities.push(authority),
                    Err(error) => passed_over.push(format!("key {place} of the bundle: {error}")),
                },
                Some("jwt-svid") => keys.push(key),
                // Other uses are ignored (section 4.2.2).
                Some(_) | None => {}
            }
        }
        let keys = Jwks::parse(json!({"keys": keys}).to_string().as_bytes())?;
        passed_over.extend(
            keys.passed_over()
                .iter()
                .map(|key| format!("of its JWT-SVID keys, {key}")),
        );
        if authorities.is_empty() && keys.is_empty() {
            let why = match passed_over.as_slice() {
                [] => "it has no key for SVIDs",
                _ => "it has no usable key for SVIDs",
            };
            return Err(BundleError::Form(why));
        }
        Ok(Self {
            authorities,
            keys: Some(keys),
            refresh: document.spiffe_refresh_hint.map(Duration::from_secs),
            passed_over,
        })
    }
}

fn authority(key: &Value) -> Result<CertificateDer<'static>, &'static str> {
    let chain = key.get("x5c").and_then(Value::as_array);
    let Some([Value::String(one)]) = chain.map(Vec::as_slice) else {
        return Err("an authority for X.509-SVIDs needs exactly one certificate in x5c");
    };
    let der = STANDARD
        .decode(one)
        .map_err(|_| "a certificate is not base64")?;
    let der = CertificateDer::from(der);
    anchor_from_trusted_cert(&der).map_err(|_| "an authority is not a certificate")?;
    Ok(der)
}

/// The configured trust domains. Each vouches for its own names only.
#[derive(Debug, Default)]
pub struct TrustDomains(BTreeMap<String, RwLock<(Option<Bundle>, Timestamp)>>);

impl TrustDomains {
    /// Starts without bundles: certificates are refused until [`TrustDomains::renew`] supplies one.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let empty = |name| (name, RwLock::new((None, Timestamp::EPOCH)));
        Self(names.into_iter().map(empty).collect())
    }

    /// Replaces the bundle of `domain`; the new one is valid until `until`.
    pub fn renew(&self, domain: &str, bundle: Bundle, until: Timestamp) {
        if let Some(held) = self.0.get(domain) {
            *held.write() = (Some(bundle), until);
        }
    }

    /// Verifies a chain, leaf first, and returns the workload. The TLS handshake has proved
    /// possession of the key.
    ///
    /// # Errors
    /// [`RejectedToken::Certificate`], or [`RejectedToken::StaleKeys`].
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        now: Timestamp,
    ) -> Result<(Identity, Evidence), RejectedToken> {
        let bad = RejectedToken::Certificate;
        let (leaf, between) = chain
            .split_first()
            .ok_or(bad("no certificate was presented"))?;
        if between.len() > MAX_INTERMEDIATES {
            return Err(bad("its chain is too long"));
        }
        let id = spiffe_id(leaf)?;
        let domain = trust_domain(&id).ok_or(bad("its name is not a SPIFFE ID"))?;
        let held = self.0.get(domain).ok_or(RejectedToken::Issuer)?.read();
        if now > held.1 {
            return Err(RejectedToken::StaleKeys);
        }
        let bundle = held.0.as_ref().ok_or(RejectedToken::StaleKeys)?;
        let anchors: Vec<_> = bundle
            .authorities
            .iter()
            .filter_map(|der| anchor_from_trusted_cert(der).ok())
            .collect();
        let end = EndEntityCert::try_from(leaf).map_err(|_| bad("it cannot be read"))?;
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()));
        end.verify_for_usage(
            SIGNATURES,
            &anchors,
            between,
            at,
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map_err(|_| bad("no authority of its trust domain signed it"))?;
        let identity = Identity {
            issuer: format!("spiffe://{domain}"),
            subject: id.clone(),
        };
        let evidence = Evidence {
            method: Method::X509Svid,
            claims: BTreeMap::new(),
            key: Some(thumbprint(leaf)),
        };
        Ok((identity, evidence))
    }
}

/// Returns `x5t#S256` of a certificate (RFC 8705 section 3.1).
#[must_use]
pub fn thumbprint(certificate: &CertificateDer<'_>) -> Confirmation {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    Confirmation::Certificate(URL_SAFE_NO_PAD.encode(digest.as_ref()))
}

/// Returns the only URI of a leaf certificate (X509-SVID sections 2 and 5.2).
fn spiffe_id(leaf: &CertificateDer<'_>) -> Result<String, RejectedToken> {
    let bad = RejectedToken::Certificate;
    let unreadable = bad("it cannot be read");
    let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| unreadable)?;
    if !rest.is_empty() {
        return Err(unreadable);
    }
    let constraints = certificate.basic_constraints().map_err(|_| unreadable)?;
    if constraints.is_some_and(|it| it.value.ca) {
        return Err(bad("it is an authority"));
    }
    let usage = certificate.key_usage().map_err(|_| unreadable)?;
    let usage = usage.ok_or(bad("it has no key usage"))?.value;
    if !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign() {
        return Err(bad("its key is not for signatures alone"));
    }
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| unreadable)?;
    let names = names.map_or(&[][..], |it| it.value.general_names.as_slice());
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::DNSName(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri.to_owned()),
        (None, _) | (Some(_), Some(_)) => Err(bad("it has not exactly one URI")),
    }
}

/// Returns the trust domain of a well-formed SPIFFE ID with a path (SPIFFE-ID section 2).
#[must_use]
pub fn trust_domain(id: &str) -> Option<&str> {
    let rest = id
        .strip_prefix("spiffe://")
        .filter(|_| id.len() <= MAX_SPIFFE_ID_BYTES)?;
    let (domain, path) = rest.split_once('/')?;
    let of_domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
    let of_path = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let domain_ok = !domain.is_empty()
        && domain.len() <= MAX_TRUST_DOMAIN_BYTES
        && domain.chars().all(of_domain);
    let segment_ok =
        |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(of_path);
    (domain_ok && path.split('/').all(segment_ok)).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t9_only_a_well_formed_id_has_a_trust_domain() {
        assert_eq!(
            trust_domain("spiffe://acme.example/a/b"),
            Some("acme.example")
        );
        for bad in [
            "spiffe://acme.example",
            "spiffe://acme.example/",
            "spiffe://Acme.example/a",
            "spiffe://acme.example/a//b",
            "spiffe://acme.example/../b",
            "spiffe://acme.example/a/",
            "spiffe://user@acme.example/a",
            "spiffe://acme.example:8443/a",
            "spiffe://acme.example/a?b",
            "spiffe://acme.example/a#b",
            "spiffe://acme.example/%61",
            "https://acme.example/a",
            "spiffe:///a",
        ] {
            assert_eq!(trust_domain(bad), None, "{bad}");
        }
    }
    #[test]
    fn t44_a_spiffe_id_has_bounds() {
        let of = |domain: usize, path: usize| {
            format!("spiffe://{}/{}", "d".repeat(domain), "p".repeat(path))
        };
        assert!(trust_domain(&of(255, 1)).is_some() && trust_domain(&of(256, 1)).is_none());
        let path = |length: usize| trust_domain(&of(10, length - of(10, 0).len())).is_some();
        assert!(path(2048) && !path(2049));
    }

    #[test]
    fn t44_a_chain_has_so_many_certificates_and_no_more() {
        let shown = |certificates: usize| {
            let chain = vec![CertificateDer::from(vec![0]); certificates];
            TrustDomains::default()
                .verify(&chain, Timestamp::EPOCH)
                .unwrap_err()
        };
        let long = RejectedToken::Certificate("its chain is too long");
        assert_ne!(shown(1 + MAX_INTERMEDIATES), long);
        assert_eq!(shown(2 + MAX_INTERMEDIATES), long);
    }
}
