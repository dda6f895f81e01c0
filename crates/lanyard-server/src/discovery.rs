//! Keys of issuers by OpenID Connect Discovery 1.0: fetched at the start, and again every minute.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lanyard_identity::jwks::Jwks;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};
use serde::Deserialize;
use tokio::sync::watch;

use crate::config::{Config, KeySource};
use crate::wire::Broker;

/// How often keys are fetched: how long a new key of an issuer may be unknown here.
const EVERY: Duration = Duration::from_secs(60);
/// How long keys that cannot be fetched again are believed (T11).
const BELIEVED: Duration = Duration::from_secs(6 * 3600);
/// How long one fetch may take (T10).
const FETCH: Duration = Duration::from_secs(10);
/// The largest document, in bytes (T10).
const SIZE: usize = 256 * 1024;

#[derive(Deserialize)]
struct OpenIdConfiguration {
    issuer: String,
    jwks_uri: String,
}

/// Fetches the keys of every issuer that is configured so, until told to stop.
pub(crate) async fn follow(config: &Config, broker: Arc<Broker>, mut stop: watch::Receiver<bool>) {
    let mut issuers = Vec::new();
    for issuer in &config.issuers {
        let KeySource::Discovery { ca_file } = &issuer.keys else {
            continue;
        };
        match client(ca_file.as_deref()) {
            Ok(client) => issuers.push((issuer.name.clone(), client)),
            Err(error) => {
                tracing::error!(
                    issuer = issuer.name,
                    error = format!("{error:#}"),
                    "its keys cannot be fetched"
                );
            }
        }
    }
    while !issuers.is_empty() && !*stop.borrow() {
        for (issuer, client) in &issuers {
            match keys(client, issuer).await {
                Ok(keys) => {
                    let until = broker.engine.now() + BELIEVED;
                    broker.verifier.renew(issuer, keys, until);
                }
                Err(error) => {
                    tracing::warn!(
                        issuer,
                        error = format!("{error:#}"),
                        "its keys were not fetched"
                    );
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}

fn client(ca_file: Option<&Path>) -> Result<Client> {
    let mut builder = Client::builder()
        .https_only(true)
        .redirect(Policy::none())
        .timeout(FETCH);
    if let Some(path) = ca_file {
        let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
        let roots = Certificate::from_pem_bundle(&pem)?;
        builder = builder.tls_certs_only(roots);
    }
    Ok(builder.build()?)
}

async fn keys(client: &Client, issuer: &str) -> Result<Jwks> {
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
    let mut response = client.get(url).send().await?.error_for_status()?;
    if !response.status().is_success() {
        bail!("it answered {}", response.status());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > SIZE {
            bail!("a document of more than {SIZE} bytes");
        }
    }
    Ok(bytes)
}
