//! Fetches the broker's documents: one GET each, limited in size and time, and without redirects
//! (T10).

use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};

/// Time limit of fetching one document.
///
/// # Limit
/// - for: a document of the broker
/// - unit: of time
/// - beyond: the document counts as not fetched
/// - test: `t10_a_silent_server_times_out`
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// The reason why a document was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The trusted certificates are unusable, or TLS cannot be set up.
    #[error("the client for the broker cannot be set up")]
    Client(#[source] reqwest::Error),
    /// The server gave no answer in time, or is another server by its certificate.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// URL of the document.
        url: String,
        /// The innermost cause of the failure.
        why: String,
    },
    /// The server answered with another status than 200; redirects count as such.
    #[error("{url} answers {status}")]
    Status {
        /// URL of the document.
        url: String,
        /// HTTP status of the answer.
        status: u16,
    },
    /// The document is larger than its limit.
    #[error("{url} answers with more than {most} bytes")]
    Size {
        /// URL of the document.
        url: String,
        /// The limit in bytes.
        most: usize,
    },
}

/// A way to fetch documents: HTTPS, or a test's own.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Fetches the document at `url`, which may have at most `most` bytes.
    ///
    /// # Errors
    /// See [`FetchError`].
    async fn fetch(&self, url: &str, most: usize) -> Result<Vec<u8>, FetchError>;
}

/// Fetches documents over HTTPS.
#[derive(Debug)]
pub struct Https(Client);

impl Https {
    /// Trusts only `authority` (PEM), or the system's roots without one.
    ///
    /// # Errors
    /// [`FetchError::Client`] when a certificate cannot be parsed.
    pub fn trusting(authority: Option<&[u8]>) -> Result<Self, FetchError> {
        // reqwest takes the process's default provider and panics without one. When two clients
        // install it at once, one call fails, and both have the provider.
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
