//! The keys of issuers, fetched at the start, every minute, and when a token names an unknown key.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lanyard_identity::jwks::Jwks;
use lanyard_identity::spiffe::Bundle;
use lanyard_secret_file::read_plain;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::config::Config;
use crate::identity::config::KeySource;
use crate::wire::Broker;

/// How often keys are fetched without a request: how long a withdrawn key may still be believed.
const EVERY: Duration = Duration::from_secs(60);
/// How often keys are fetched at most, however many unknown keys are named (T11).
const AT_MOST_EVERY: Duration = Duration::from_secs(10);
/// How long keys that cannot be fetched again are believed (T11).
///
/// # Limit
/// - for: the keys of an issuer
/// - unit: of time
/// - beyond: its tokens are refused until keys are fetched; kills take them all the same
/// - test: `t11_keys_that_were_not_fetched_for_long_serve_a_kill_alone`
const KEYS_BELIEVED: Duration = Duration::from_secs(6 * 3600);
/// How long one fetch may take (T10).
///
/// # Limit
/// - for: a document of an issuer
/// - unit: of time
/// - beyond: the keys count as not fetched; the last known ones are believed
/// - test: `t10_documents_that_cannot_be_trusted_are_no_key_sets`
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits whose key is not known yet.
const WAIT: Duration = Duration::from_secs(3);
/// The largest document, in bytes (T10).
///
/// # Limit
/// - for: a document of an issuer
/// - unit: bytes
/// - beyond: the keys count as not fetched; the last known ones are believed
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
    pub(crate) fn new(config: &Config) -> Self {
        let issuers = config.identities.issuers.iter();
        let fetched = issuers.filter(|issuer| !matches!(issuer.keys, KeySource::File(_)));
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
        if last.is_some_and(|last| last.elapsed() < AT_MOST_EVERY) {
            return;
        }
        watched.wanted.notify_one();
        // Whether it came or not: the token is looked at again, and refused if its key is still not known.
        drop(timeout(WAIT, fetched.changed()).await);
    }
}

/// Fetches the keys of every configured issuer until told to stop.
pub(crate) async fn follow(config: &Config, broker: Arc<Broker>, stop: watch::Receiver<bool>) {
    let mut followed = JoinSet::new();
    for issuer in &config.identities.issuers {
        let (name, keys) = (issuer.name.clone(), issuer.keys.clone());
        let (broker, stop) = (Arc::clone(&broker), stop.clone());
        match Source::of(keys) {
            Ok(Some(source)) => drop(followed.spawn(one(name, source, broker, stop))),
            Ok(None) => {}
            Err(error) => tracing::error!(
                issuer = name,
                error = format!("{error:#}"),
                "its keys cannot be fetched"
            ),
        }
    }
    while followed.join_next().await.is_some() {}
}

async fn one(issuer: String, source: Source, broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    let Some(watched) = broker.doors.keys.0.get(&issuer) else {
        return;
    };
    let mut told = Vec::new();
    while !*stop.borrow() {
        match source.renew(&issuer, &broker).await {
            Ok(passed_over) => {
                // Once, and again when it is something else: keys are fetched every minute.
                if passed_over != told {
                    for key in &passed_over {
                        tracing::warn!(issuer, key, "a key is passed over");
                    }
                }
                told = passed_over;
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(issuer, error, "its keys were not fetched");
            }
        }
        watched.fetched.send_replace(Some(Instant::now()));
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = watched.wanted.notified() => {}
            _ = stop.changed() => {}
        }
    }
}

/// The places that keys are fetched from.
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

    /// Fetches an issuer's keys; returns the keys that cannot be used, and why.
    async fn renew(&self, issuer: &str, broker: &Broker) -> Result<Vec<String>> {
        let doors = &broker.doors;
        // A system clock that is ahead for a while makes no keys good for longer.
        let now = broker.engine.system_time().min(broker.engine.now());
        let until = now + KEYS_BELIEVED;
        let take = |keys: Jwks| {
            let passed_over = keys.passed_over().iter().map(ToString::to_string);
            let mut told: Vec<_> = passed_over.collect();
            if keys.is_empty() {
                told.push("the set has no key that can be used: its tokens are refused".to_owned());
            }
            doors.verifier.renew(issuer, keys, until);
            told
        };
        Ok(match self {
            Self::Discovery(client) => take(discovered(client, issuer).await?),
            Self::Cluster => {
                let cluster = doors.clusters.get(issuer).context("no such cluster")?;
                take(Jwks::parse(&cluster.keys().await?)?)
            }
            Self::BundleFile(path) => {
                let path = path.clone();
                let bytes = tokio::task::spawn_blocking(move || read_plain(&path)).await??;
                doors.take_bundle(issuer, Bundle::parse(&bytes)?, until)
            }
            Self::BundleEndpoint(client, url) => {
                let bytes = get(client, url.as_str()).await?;
                doors.take_bundle(issuer, Bundle::parse(&bytes)?, until)
            }
        })
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
    // T9: byte for byte, or the document is of somebody else.
    if found.issuer != issuer {
        bail!("its OpenID configuration is of another issuer");
    }
    let set = get(client, &found.jwks_uri).await?;
    Ok(Jwks::parse(&set)?)
}

async fn get(client: &Client, url: &str) -> Result<Vec<u8>> {
    let url: Url = url.parse().context("not a URL")?;
    if is_inward(&url) {
        bail!("a link-local address, where instances keep their credentials: {url}");
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

/// True if the URL is an address of a cloud's metadata service, or similar (T10).
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
    fn t10_keys_are_not_fetched_from_where_instances_keep_their_credentials() {
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
