//! HTTP forms and JSON over HTTPS, for brokers and identity providers.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::proxy::{Proxies, Proxy, ProxyError};

/// Time allowed for one request, from connecting to the last byte of the answer.
///
/// # Limit
/// - for: a request over HTTP to the broker or an identity provider
/// - unit: of time
/// - beyond: the request fails
/// - test: `t44_an_answer_over_http_has_so_many_bytes_and_so_much_time`
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest body that is read of an answer.
///
/// # Limit
/// - for: an answer over HTTP
/// - unit: bytes
/// - beyond: the answer counts as malformed
/// - test: `t44_an_answer_over_http_has_so_many_bytes_and_so_much_time`
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The number of characters of a remote error text that are shown: enough for a sentence of a
/// broker.
const QUOTED_CHARACTERS: usize = 1000;

/// An HTTP request gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is neither https nor on loopback.
    #[error("`{0}` is not an https address")]
    Address(String),
    /// The trust anchors are not PEM certificates.
    #[error("cannot read the trusted certificates: {0}")]
    Authority(reqwest::Error),
    /// The environment names a proxy that cannot be used for this address.
    #[error(transparent)]
    Proxy(ProxyError),
    /// No connection was made, TLS verification failed, or the answer did not arrive in time.
    #[error("`{url}` does not answer: {why}")]
    Silent {
        /// The URL of the request.
        url: String,
        /// The innermost cause of the failure.
        why: String,
    },
    /// The body of the answer is too long, or is not the JSON that the protocol asks for.
    #[error("`{url}` answered HTTP {status} with an unexpected body")]
    Malformed {
        /// The URL of the request.
        url: String,
        /// The HTTP status of the answer.
        status: u16,
    },
}

/// An HTTP client that follows no redirect, because a redirect would carry tokens to another host.
pub(crate) struct Https {
    client: Client,
    proxies: Proxies,
}

/// An HTTP answer of any status, with its whole body.
pub(crate) struct Answer {
    url: String,
    status: u16,
    body: Zeroizing<Vec<u8>>,
}

/// An OAuth error, RFC 6749 section 5.2.
#[derive(Deserialize)]
pub(crate) struct Refusal {
    pub(crate) error: String,
    error_description: Option<String>,
    /// Lanyard's reason code, such as `ROLE_DENIED`. Only brokers send one.
    pub(crate) reason: Option<String>,
}

/// Reads a number of seconds. Identity providers also send fractions and strings; any other type
/// counts as absent.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(f64),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    let number = match Option::<Given>::deserialize(deserializer)? {
        Some(Given::Number(number)) => Some(number),
        Some(Given::Text(text)) => text.trim().parse().ok(),
        Some(Given::Other(_)) | None => None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` truncates to whole seconds and saturates, as is wanted here"
    )]
    Ok(number.map(|number| number as u64))
}

/// Reads a string and treats an empty one as absent.
pub(crate) fn some_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

impl Refusal {
    pub(crate) fn new(error: &str, description: &str) -> Self {
        Self {
            error: error.to_owned(),
            error_description: Some(description.to_owned()),
            reason: None,
        }
    }

    /// Returns the description, or else the code, without control characters, which could steer a
    /// terminal.
    pub(crate) fn line(&self) -> String {
        let description = self.error_description.as_ref();
        let text = description
            .filter(|text| !text.is_empty())
            .unwrap_or(&self.error);
        text.chars()
            .filter(|c| !c.is_control())
            .take(QUOTED_CHARACTERS)
            .collect()
    }
}

impl Https {
    /// Makes a client for a broker: `authority` (PEM) replaces the system's roots. Plain HTTP is
    /// allowed, since a broker may be on loopback without TLS.
    pub(crate) fn broker(authority: Option<&[u8]>) -> Result<Self, HttpError> {
        let builder = builder(REQUEST_TIMEOUT).tls_info(true);
        Self::of(match authority {
            Some(pem) => builder.tls_certs_only(roots(pem)?),
            None => builder,
        })
    }

    /// Makes a client for an identity provider: `authority` (PEM) is added to the system's roots.
    pub(crate) fn provider(authority: Option<&[u8]>) -> Result<Self, HttpError> {
        let builder = builder(REQUEST_TIMEOUT).https_only(true);
        Self::of(match authority {
            Some(pem) => builder.tls_certs_merge(roots(pem)?),
            None => builder,
        })
    }

    /// Builds the client. HTTP uses the same proxy as gRPC, not reqwest's own reading of the
    /// environment.
    fn of(builder: ClientBuilder) -> Result<Self, HttpError> {
        let proxies = Proxies::of_environment();
        let builder = builder.no_proxy().proxy(proxies.for_http());
        let client = builder.build().map_err(HttpError::Authority)?;
        Ok(Self { client, proxies })
    }

    /// Parses `url` and finds the proxy for it.
    fn way(&self, url: &str) -> Result<(Url, Option<Proxy>), HttpError> {
        let address = url.parse();
        let address = address.map_err(|_| HttpError::Address(url.to_owned()))?;
        let proxy = self.proxies.to(url).map_err(HttpError::Proxy)?;
        Ok((address, proxy))
    }

    /// Sends a GET and returns the response with its body unread.
    pub(crate) async fn head(&self, url: &str) -> Result<reqwest::Response, HttpError> {
        let (address, proxy) = self.way(url)?;
        let sent = self.client.get(address).send().await;
        sent.map_err(|error| silent((url, proxy.as_ref()), &error))
    }

    pub(crate) async fn get(&self, url: &str) -> Result<Answer, HttpError> {
        let (address, proxy) = self.way(url)?;
        let request = self.client.get(address);
        receive((url, proxy.as_ref()), request).await
    }

    /// Posts a form with the headers of the caller's proof.
    pub(crate) async fn post(
        &self,
        url: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Result<Answer, HttpError> {
        let (address, proxy) = self.way(url)?;
        let mut request = self
            .client
            .post(address)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded(form));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        receive((url, proxy.as_ref()), request).await
    }
}

impl Answer {
    pub(crate) const fn is_success(&self) -> bool {
        self.status == 200
    }

    /// True if a later attempt may succeed: a server error, or a rate limit.
    pub(crate) const fn is_outage(&self) -> bool {
        self.status >= 500 || self.status == 429
    }

    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(|_| HttpError::Malformed {
            url: self.url.clone(),
            status: self.status,
        })
    }
}

/// Encodes pairs as `application/x-www-form-urlencoded`.
pub(crate) fn encoded<V: AsRef<str>>(pairs: &[(&str, V)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs);
    text.finish()
}

fn builder(timeout: Duration) -> ClientBuilder {
    // reqwest uses the process-wide crypto provider and panics if an embedding program installed
    // none. A second install fails because a provider is then in place, so the error is dropped.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder().redirect(Policy::none()).timeout(timeout)
}

fn roots(pem: &[u8]) -> Result<Vec<Certificate>, HttpError> {
    Certificate::from_pem_bundle(pem).map_err(HttpError::Authority)
}

async fn receive(
    (url, proxy): (&str, Option<&Proxy>),
    request: reqwest::RequestBuilder,
) -> Result<Answer, HttpError> {
    let silent = |error: reqwest::Error| silent((url, proxy), &error);
    let mut response = request.send().await.map_err(silent)?;
    let status = response.status().as_u16();
    // The whole capacity at once: a buffer that grows leaves copies of tokens behind.
    let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER_BYTES));
    while let Some(chunk) = response.chunk().await.map_err(silent)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            let url = url.to_owned();
            return Err(HttpError::Malformed { url, status });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        url: url.to_owned(),
        status,
        body,
    })
}

fn silent((url, proxy): (&str, Option<&Proxy>), error: &reqwest::Error) -> HttpError {
    let why = last_cause(error);
    HttpError::Silent {
        url: url.to_owned(),
        why: match proxy {
            Some(proxy) => {
                format!("{why} (through {proxy}; hosts in NO_PROXY are reached without it)")
            }
            None => why,
        },
    }
}

fn last_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Listens for one request and answers with a body of `bytes` bytes, or never answers if
    /// `None`.
    fn server(bytes: Option<usize>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let read = peer.read(&mut head).unwrap();
            let Some(bytes) = bytes else {
                // Keep the connection open until the client gives up.
                while peer.read(&mut head).is_ok_and(|read| read > 0) {}
                return;
            };
            assert!(read > 0);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
            // Writing fails once the client rejects the length, which is what one case expects.
            peer.write_all(answer.as_bytes()).ok();
            peer.write_all(&vec![b'x'; bytes]).ok();
        });
        format!("http://{address}/")
    }

    #[tokio::test]
    async fn t44_an_answer_over_http_has_so_many_bytes_and_so_much_time() {
        let client = Https::broker(None).unwrap();
        let whole = client.get(&server(Some(MAX_ANSWER_BYTES))).await.unwrap();
        assert_eq!(whole.body.len(), MAX_ANSWER_BYTES);
        let long = client.get(&server(Some(MAX_ANSWER_BYTES + 1))).await;
        assert!(matches!(long, Err(HttpError::Malformed { .. })));
        let short = builder(Duration::from_millis(50)).build().unwrap();
        let url = server(None);
        let silent = receive((&url, None), short.get(&url)).await;
        assert!(matches!(silent, Err(HttpError::Silent { .. })));
    }
}
