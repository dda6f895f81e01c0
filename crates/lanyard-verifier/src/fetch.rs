//! Getting the broker's documents: one GET, capped in size and time, and no redirect is followed (T10).

use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};

/// How long one document may take.
///
/// # Limit
/// - for: a document of the broker
/// - unit: of time
/// - beyond: the document counts as not fetched
/// - test: `t10_who_says_nothing_is_not_waited_for`
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// Why a document is not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The certificates to trust are none, or there is no TLS.
    #[error("the client for the broker cannot be set up")]
    Client(#[source] reqwest::Error),
    /// Nobody answers in time, or it is somebody else.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// Where.
        url: String,
        /// The last cause.
        why: String,
    },
    /// An answer that is no document: a redirect is one of these.
    #[error("{url} answers {status}")]
    Status {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// More than it may be.
    #[error("{url} answers with more than {most} bytes")]
    Size {
        /// Where.
        url: String,
        /// The bound, in bytes.
        most: usize,
    },
}

/// Whoever fetches: over HTTPS, or whatever a test has in its place.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// What is at this address, if that is no more than `most` bytes.
    ///
    /// # Errors
    /// See [`FetchError`].
    async fn fetch(&self, url: &str, most: usize) -> Result<Vec<u8>, FetchError>;
}

/// Over HTTPS.
#[derive(Debug)]
pub struct Https(Client);

impl Https {
    /// Believes these roots alone (PEM); those of the system where there are none.
    ///
    /// # Errors
    /// [`FetchError::Client`].
    pub fn trusting(authority: Option<&[u8]>) -> Result<Self, FetchError> {
        // reqwest takes the process's provider, and panics where there is none. Of two that set it at the same time, one
        // comes too late, and both have it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = Client::builder()
            .redirect(Policy::none())
            .timeout(FETCH_TIMEOUT)
            .no_proxy();
        let builder = match authority {
            Some(pem) => {
                let roots = Certificate::from_pem_bundle(pem).map_err(FetchError::Client)?;
                builder.tls_certs_only(roots)
            }
            None => builder,
        };
        builder.build().map(Self).map_err(FetchError::Client)
    }
}

#[async_trait]
impl Fetch for Https {
    async fn fetch(&self, url: &str, most: usize) -> Result<Vec<u8>, FetchError> {
        let silent = |why: String| FetchError::Silent {
            url: url.to_owned(),
            why,
        };
        let address: Url = url.parse().map_err(|_| silent("not a URL".to_owned()))?;
        let sent = self.0.get(address).send().await;
        let mut response = sent.map_err(|error| silent(last_cause(&error)))?;
        if response.status().as_u16() != 200 {
            return Err(FetchError::Status {
                url: url.to_owned(),
                status: response.status().as_u16(),
            });
        }
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| silent(last_cause(&error)))?
        {
            if body.len() + chunk.len() > most {
                let url = url.to_owned();
                return Err(FetchError::Size { url, most });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn last_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
