//! Forms and JSON over HTTPS, to brokers and to identity providers.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::proxy::{Proxies, Proxy, ProxyError};

/// How long one request may take.
///
/// # Limit
/// - for: a request over HTTP to the broker or an identity provider
/// - unit: of time
/// - beyond: the request fails
/// - test: `t44_an_answer_over_http_has_so_many_bytes_and_so_much_time`
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer, in bytes.
///
/// # Limit
/// - for: an answer over HTTP
/// - unit: bytes
/// - beyond: the answer counts as malformed
/// - test: `t44_an_answer_over_http_has_so_many_bytes_and_so_much_time`
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The longest text of somebody else that is repeated, in characters: a broker's sentence, whole.
const TEXT: usize = 1000;

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Not one of ours: neither https, nor on loopback.
    #[error("{0} is no https address")]
    Address(String),
    /// The certificates to believe are none.
    #[error("the certificates to trust cannot be read: {0}")]
    Authority(reqwest::Error),
    /// The way there is through a proxy that cannot be used.
    #[error(transparent)]
    Proxy(ProxyError),
    /// Nobody is there, or it is somebody else.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// The address that was asked.
        url: String,
        /// The last cause.
        why: String,
    },
    /// An answer that makes no sense.
    #[error("{url} answers {status} with something else than was asked for")]
    Malformed {
        /// The address that was asked.
        url: String,
        /// The HTTP status of the answer.
        status: u16,
    },
}

/// A client that follows no redirect.
pub(crate) struct Https {
    client: Client,
    proxies: Proxies,
}

/// An answer over HTTP, whatever its status.
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
    /// What programs go by, where a broker answers.
    pub(crate) reason: Option<String>,
}

/// A number of seconds, where one is given: providers write fractions, and numbers as texts.
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
        reason = "`as` takes the whole seconds and keeps within the bounds of its type, as is wanted here"
    )]
    Ok(number.map(|number| number as u64))
}

/// A text, where there is one and it is not empty.
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

    /// One line of it, without what could steer a terminal.
    pub(crate) fn line(&self) -> String {
        let description = self.error_description.as_ref();
        let text = description
            .filter(|text| !text.is_empty())
            .unwrap_or(&self.error);
        text.chars()
            .filter(|c| !c.is_control())
            .take(TEXT)
            .collect()
    }
}

impl Https {
    /// For a broker: these roots alone, the system's where there are none. A broker may be on loopback without TLS.
    pub(crate) fn broker(authority: Option<&[u8]>) -> Result<Self, HttpError> {
        let builder = builder(REQUEST_TIMEOUT).tls_info(true);
        Self::of(match authority {
            Some(pem) => builder.tls_certs_only(roots(pem)?),
            None => builder,
        })
    }

    /// For an identity provider: the system's roots, and these.
    pub(crate) fn provider(authority: Option<&[u8]>) -> Result<Self, HttpError> {
        let builder = builder(REQUEST_TIMEOUT).https_only(true);
        Self::of(match authority {
            Some(pem) => builder.tls_certs_merge(roots(pem)?),
            None => builder,
        })
    }

    /// Through the proxy of the environment, as gRPC.
    fn of(builder: ClientBuilder) -> Result<Self, HttpError> {
        let proxies = Proxies::of_environment();
        let builder = builder.no_proxy().proxy(proxies.for_http());
        let client = builder.build().map_err(HttpError::Authority)?;
        Ok(Self { client, proxies })
    }

    /// An address, once the way there can be gone; and the proxy on it.
    fn way(&self, url: &str) -> Result<(Url, Option<Proxy>), HttpError> {
        let address = url.parse();
        let address = address.map_err(|_| HttpError::Address(url.to_owned()))?;
        let proxy = self.proxies.to(url).map_err(HttpError::Proxy)?;
        Ok((address, proxy))
    }

    /// The head of an answer.
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

    /// Posts a form. The headers are those of the caller's proof.
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

    /// Whether it may be different later.
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

/// Pairs as a form or a query has them.
pub(crate) fn encoded<V: AsRef<str>>(pairs: &[(&str, V)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs);
    text.finish()
}

fn builder(timeout: Duration) -> ClientBuilder {
    // reqwest takes the process's provider, and panics where a program that embeds this has set none. Of two that set it
    // at the same time, one comes too late, and both have it.
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
                format!("{why} (through {proxy}; NO_PROXY names hosts that are reached without it)")
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

    /// An address where one request is answered with a body of so many bytes, or not at all.
    fn server(bytes: Option<usize>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let read = peer.read(&mut head).unwrap();
            let Some(bytes) = bytes else {
                // Until the client goes away.
                while peer.read(&mut head).is_ok_and(|read| read > 0) {}
                return;
            };
            assert!(read > 0);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
            // The client goes away in the middle of what is too long.
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
