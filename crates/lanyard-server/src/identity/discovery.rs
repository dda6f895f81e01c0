//! The keys of issuers, fetched at the start, every minute, and when a token names an unknown key.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lanyard_engine::Engine;
use lanyard_identity::jwks::Jwks;
use lanyard_identity::spiffe::Bundle;
use lanyard_secret_file::read_plain;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Doors;
use super::issuer::{IssuerConfig, KeySource};

/// The interval at which keys are fetched without a request. A withdrawn key may be accepted for
/// this long.
const FETCH_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest time between two fetches, however many tokens name unknown keys (T11).
const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(10);
/// The time for which the last fetched keys stay in use while new ones cannot be fetched (T11).
///
/// # Limit
/// - for: the keys of an issuer
/// - unit: of time
/// - beyond: the issuer's tokens are refused until its keys can be fetched again; kill orders still
///   accept them
/// - test: `t11_keys_fetched_too_long_ago_verify_kills_only`
const KEYS_BELIEVED: Duration = Duration::from_secs(6 * 3600);
/// The longest that one fetch may take (T10).
///
/// # Limit
/// - for: a document of an issuer
/// - unit: of time
/// - beyond: the fetch failed; the last fetched keys stay in use
/// - test: `t10_documents_that_cannot_be_trusted_are_no_key_sets`
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which a caller with an unknown key waits for a fetch.
const KEY_WAIT: Duration = Duration::from_secs(3);
/// The largest key document that is read (T10).
///
/// # Limit
/// - for: a document of an issuer
/// - unit: bytes
/// - beyond: the fetch failed; the last fetched keys stay in use
/// - test: `t10_documents_that_cannot_be_trusted_are_no_key_sets`
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

#[derive(Deserialize)]
struct OpenIdConfiguration {
    issuer: String,
    jwks_uri: String,
}

/// The requests for fresh keys, by issuer.
pub(crate) struct KeyWatch(BTreeMap<String, Watched>);

struct Watched {
    wanted: Notify,
    fetched: watch::Sender<Option<Instant>>,
}

impl KeyWatch {
    /// Prepares the issuers whose keys are fetched.
    pub(crate) fn new(issuers: &[IssuerConfig]) -> Self {
        let fetched = issuers
            .iter()
            .filter(|issuer| !matches!(issuer.keys, KeySource::File(_)));
        let watched = |name: String| {
            let watched = Watched {
                wanted: Notify::new(),
                fetched: watch::Sender::new(None),
            };
            (name, watched)
        };
        Self(fetched.map(|issuer| watched(issuer.name.clone())).collect())
    }

    /// Fetches an issuer's keys, unless that happened recently, and waits briefly for the result.
    pub(crate) async fn renewed(&self, issuer: &str) {
        let Some(watched) = self.0.get(issuer) else {
            return;
        };
        let mut fetched = watched.fetched.subscribe();
        let last = *fetched.borrow_and_update();
        if last.is_some_and(|last| last.elapsed() < MIN_FETCH_INTERVAL) {
            return;
        }
        watched.wanted.notify_one();
        // The result does not matter here: the token is verified again, and refused if its key is
        // still unknown.
        drop(timeout(KEY_WAIT, fetched.changed()).await);
    }
}

/// Fetches the keys of every configured issuer until told to stop.
pub(crate) async fn follow(
    issuers: &[IssuerConfig],
    doors: Arc<Doors>,
    engine: Arc<Engine>,
    stop: watch::Receiver<bool>,
) {
    let mut followed = JoinSet::new();
    for issuer in issuers {
        let name = issuer.name.clone();
        match Source::of(issuer.keys.clone()) {
            Ok(Some(source)) => {
                let fetched = Fetched {
                    issuer: name,
                    source,
                    doors: Arc::clone(&doors),
                    engine: Arc::clone(&engine),
                };
                followed.spawn(fetched.follow(stop.clone()));
            }
            Ok(None) => {}
            Err(error) => tracing::error!(
                issuer = name,
                error = format!("{error:#}"),
                "cannot prepare the fetch of an issuer's keys"
            ),
        }
    }
    while followed.join_next().await.is_some() {}
}

/// An issuer whose keys are fetched repeatedly.
struct Fetched {
    issuer: String,
    source: Source,
    doors: Arc<Doors>,
    engine: Arc<Engine>,
}

impl Fetched {
    async fn follow(self, mut stop: watch::Receiver<bool>) {
        let issuer = self.issuer.as_str();
        let Some(watched) = self.doors.keys.0.get(issuer) else {
            return;
        };
        let mut told = Vec::new();
        while !*stop.borrow() {
            match self.renew().await {
                Ok(passed_over) => {
                    // Log a key once, not at every fetch.
                    if passed_over != told {
                        for key in &passed_over {
                            tracing::warn!(issuer, key, "a key cannot be used: it is skipped");
                        }
                    }
                    told = passed_over;
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(issuer, error, "cannot fetch the keys of an issuer");
                }
            }
            watched.fetched.send_replace(Some(Instant::now()));
            tokio::select! {
                () = tokio::time::sleep(FETCH_INTERVAL) => {}
                () = watched.wanted.notified() => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Fetches the keys. Returns the keys that cannot be used, each with the reason.
    async fn renew(&self) -> Result<Vec<String>> {
        let (issuer, doors) = (self.issuer.as_str(), &self.doors);
        // While the system clock runs ahead, the keys must not stay in use for longer.
        let now = self.engine.clock().system().min(self.engine.clock().now());
        let until = now + KEYS_BELIEVED;
        let take = |keys: Jwks| {
            let passed_over = keys.passed_over().iter().map(ToString::to_string);
            let mut told: Vec<_> = passed_over.collect();
            if keys.is_empty() {
                told.push(
                    "the key set has no usable key: the issuer's tokens are refused".to_owned(),
                );
            }
            doors.verifier.renew(issuer, keys, until);
            told
        };
        Ok(match &self.source {
            Source::Discovery(client) => take(discovered(client, issuer).await?),
            Source::Cluster => {
                let cluster = doors.clusters.get(issuer).context("no such cluster")?;
                take(Jwks::parse(&cluster.keys().await?)?)
            }
            Source::BundleFile(path) => {
                let path = path.clone();
                let bytes = tokio::task::spawn_blocking(move || read_plain(&path)).await??;
                doors.take_bundle(issuer, Bundle::parse(&bytes)?, until)
            }
            Source::BundleEndpoint(client, url) => {
                let bytes = get(client, url.as_str()).await?;
                doors.take_bundle(issuer, Bundle::parse(&bytes)?, until)
            }
        })
    }
}

/// The location that an issuer's keys are fetched from.
enum Source {
    Discovery(Client),
    Cluster,
    BundleFile(std::path::PathBuf),
    BundleEndpoint(Client, Url),
}

impl Source {
    fn of(keys: KeySource) -> Result<Option<Self>> {
        Ok(Some(match keys {
            KeySource::File(_) => return Ok(None),
            KeySource::Discovery { ca_file } => Self::Discovery(client(ca_file.as_deref())?),
            KeySource::Cluster { .. } => Self::Cluster,
            KeySource::BundleFile(path) => Self::BundleFile(path),
            KeySource::BundleEndpoint { url, ca_file } => {
                Self::BundleEndpoint(client(ca_file.as_deref())?, url)
            }
        }))
    }
}

/// An HTTP client without redirects, over TLS, with the timeout of a fetch (T10).
pub(crate) fn client(ca_file: Option<&Path>) -> Result<Client> {
    let mut builder = Client::builder()
        .https_only(true)
        .redirect(Policy::none())
        .timeout(FETCH_TIMEOUT);
    if let Some(path) = ca_file {
        let pem = read_plain(path)?;
        let roots = Certificate::from_pem_bundle(&pem)?;
        builder = builder.tls_certs_only(roots);
    }
    Ok(builder.build()?)
}

async fn discovered(client: &Client, issuer: &str) -> Result<Jwks> {
    let configuration = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let document = get(client, &configuration).await?;
    let found: OpenIdConfiguration =
        serde_json::from_slice(&document).context("its OpenID configuration cannot be read")?;
    // T9: the issuer must match byte for byte, or the document belongs to another issuer.
    if found.issuer != issuer {
        bail!("its OpenID configuration names another issuer");
    }
    let set = get(client, &found.jwks_uri).await?;
    Ok(Jwks::parse(&set)?)
}

async fn get(client: &Client, url: &str) -> Result<Vec<u8>> {
    let url: Url = url.parse().context("not a URL")?;
    if is_inward(&url) {
        bail!("`{url}` is a link-local address, where cloud instances publish their credentials");
    }
    let mut response = client.get(url).send().await?.error_for_status()?;
    if !response.status().is_success() {
        bail!("it answered {}", response.status());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_DOCUMENT_BYTES {
            bail!("a document of more than {MAX_DOCUMENT_BYTES} bytes");
        }
    }
    Ok(bytes)
}

/// Returns true if the URL is a link-local address, such as a cloud's metadata service (T10).
fn is_inward(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_link_local() || address.is_unspecified(),
        Some(url::Host::Ipv6(address)) => {
            let mapped = address.to_ipv4_mapped();
            address.is_unicast_link_local()
                || address.is_unspecified()
                || mapped.is_some_and(|it| it.is_link_local() || it.is_unspecified())
        }
        Some(url::Host::Domain(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t10_keys_are_not_fetched_from_link_local_addresses() {
        for inward in [
            "https://169.254.169.254/jwks",
            "https://[fe80::1]/jwks",
            "https://[::ffff:169.254.169.254]/jwks",
            "https://2852039166/jwks",
            "https://0.0.0.0/jwks",
        ] {
            assert!(is_inward(&inward.parse().unwrap()), "{inward}");
        }
        assert!(!is_inward(&"https://issuer.example/jwks".parse().unwrap()));
    }
}
