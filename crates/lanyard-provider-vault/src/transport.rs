//! One call over HTTP: the requests are vaultrs' endpoints, the connection is ours. Its own client follows
//! redirects, reads answers without end and logs what a server says.

use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::provider::ProviderError;
use lanyard_core::secret::Secret;
use lanyard_core::time::Timestamp;
use reqwest::header::HeaderValue;
use rustify::client::Client;
use rustify::endpoint::{Endpoint, MiddleWare};
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::PROVIDER;

/// How long one call may take.
///
/// # Limit
/// - for: a call of Vault or OpenBao
/// - unit: time
/// - beyond: the call is given up; what it did not confirm is asked for again
/// - test: `a_call_of_vault_that_is_not_answered_is_given_up`
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long until a connection stands.
///
/// # No limit
/// A connection stands within the time of its call, which is the bound.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer: the accessors of half a million tokens.
///
/// # Limit
/// - for: an answer of Vault
/// - unit: bytes
/// - beyond: the answer counts as lost
/// - test: `t44_an_answer_of_vault_has_so_many_bytes`
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// What a server may say, and nothing else of it: an error can hold what was sent (T50).
/// <https://developer.hashicorp.com/vault/api-docs#error-response>
const KNOWN: [&str; 20] = [
    "permission denied",
    "invalid accessor",
    "bad token",
    "token not found",
    "invalid token",
    "invalid lease",
    "lease not found",
    "Vault is sealed",
    "local node not active",
    "invalid role or secret ID",
    "invalid role ID",
    "invalid secret id",
    "must be subset of the role's allowed policies",
    "is disallowed by this role",
    "unknown role",
    "Unknown role",
    "parent token lookup failed",
    "rate limit quota exceeded",
    "lease count quota exceeded",
    "no handler for route",
];

/// Why a server cannot be talked to at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not a URL of a server.
    #[error("{0} is not the address of a server: https://HOST:PORT")]
    Address(String),
    /// Plain HTTP, to another machine.
    #[error("{0} is not https: plain http is for a server on this machine")]
    Plain(String),
    /// No certificates in it.
    #[error("the certificate authority is not PEM")]
    Authority,
    /// A header or the TLS set-up.
    #[error("the client cannot be set up")]
    Client,
}

/// The connection to one server and namespace.
pub(crate) struct Transport {
    http: reqwest::Client,
    base: String,
    namespace: Option<HeaderValue>,
}

/// What a server said to one call.
pub(crate) enum Answer {
    /// Done, and the body, in the server's own form; empty where the server has nothing to say (204).
    Good(Secret<Vec<u8>>),
    /// Anything else.
    Bad(Said),
}

/// A refusal or a failure of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) status: u16,
    /// Of its errors, those that are known.
    pub(crate) known: Vec<&'static str>,
    /// Whether the server itself said so, and not something that stands between.
    pub(crate) own: bool,
}

/// Every answer of the API but an empty one: a form that no proxy or gateway gives by itself.
/// <https://developer.hashicorp.com/vault/api-docs#http-status-codes>
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    request_id: String,
}

/// Every error of the API.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// What an answer to a revocation holds: nothing.
#[derive(Deserialize)]
struct Nothing {
    data: Option<IgnoredAny>,
    auth: Option<IgnoredAny>,
}

impl Transport {
    pub(crate) fn new(
        address: &str,
        namespace: &str,
        authority: &str,
    ) -> Result<Self, ConnectError> {
        let base = address.trim_end_matches('/');
        let no = || ConnectError::Address(address.chars().take(200).collect());
        let url = reqwest::Url::parse(base).map_err(|_| no())?;
        let host = url.host_str().ok_or_else(no)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(no());
        }
        let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match url.scheme() {
            "https" => {}
            "http" if local => {}
            "http" => return Err(ConnectError::Plain(base.to_owned())),
            _ => return Err(no()),
        }
        let mut http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .https_only(url.scheme() == "https")
            .timeout(CALL_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT);
        if !authority.is_empty() {
            let roots = reqwest::Certificate::from_pem_bundle(authority.as_bytes());
            let roots = roots.map_err(|_| ConnectError::Authority)?;
            if roots.is_empty() {
                return Err(ConnectError::Authority);
            }
            http = http.tls_certs_only(roots);
        } else if url.scheme() == "http" {
            // Nothing is looked for on this machine that no connection needs.
            http = http.tls_certs_only(Vec::new());
        }
        let namespace = match namespace.trim_matches('/') {
            "" => None,
            named => Some(HeaderValue::from_str(named).map_err(|_| ConnectError::Client)?),
        };
        Ok(Self {
            http: http.build().map_err(|_| ConnectError::Client)?,
            base: base.to_owned(),
            namespace,
        })
    }

    /// By the `Date` of an answer that takes no token, whatever else it says.
    pub(crate) async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        let asked = self.http.get(format!("{}/v1/sys/health", self.base)).send();
        let answer = asked.await;
        let answer = answer.map_err(|_| ambiguous("ask for the time", "not reached"))?;
        let date = answer.headers().get(http::header::DATE);
        let date = date.and_then(|date| date.to_str().ok());
        Ok(date.and_then(Timestamp::from_http_date))
    }

    /// One call with this token, whatever comes of it.
    pub(crate) async fn call<E: Endpoint>(
        &self,
        operation: &'static str,
        token: Option<&Secret<String>>,
        endpoint: E,
    ) -> Result<Answer, ProviderError> {
        let token = token.map(|token| HeaderValue::from_str(token.expose()));
        let mut token = token
            .transpose()
            .map_err(|_| refused(operation, "the token is no header"))?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let headers = Headers {
            token,
            namespace: self.namespace.clone(),
        };
        let answer = endpoint.with_middleware(&headers).exec(self).await;
        // It may have been carried out all the same.
        let answer = answer.map_err(|_| ambiguous(operation, "not reached, or no whole answer"))?;
        let (head, body) = answer.response.into_parts();
        let body = Secret::new(body);
        let json = is_json(&head.headers);
        let status = head.status.as_u16();
        if head.status.is_success() {
            let form = json.then(|| serde_json::from_slice::<Form>(body.expose()).ok());
            let own = form
                .flatten()
                .is_some_and(|form| !form.request_id.is_empty());
            let empty = status == 204 && body.expose().is_empty();
            if own || empty {
                return Ok(Answer::Good(body));
            }
        }
        let errors = json.then(|| serde_json::from_slice::<Errors>(body.expose()).ok());
        let errors = errors.flatten().filter(|_| !head.status.is_success());
        let said = errors.as_ref().map_or(&[][..], |it| &it.errors);
        let known = KNOWN
            .into_iter()
            .filter(|known| said.iter().any(|text| text.contains(known)));
        Ok(Answer::Bad(Said {
            status,
            known: known.collect(),
            own: errors.is_some(),
        }))
    }
}

fn is_json(headers: &http::HeaderMap) -> bool {
    let content = headers.get(http::header::CONTENT_TYPE);
    let content = content.and_then(|it| it.to_str().ok()).unwrap_or_default();
    let media = content.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json")
}

impl Answer {
    /// What was asked for.
    pub(crate) fn read<T: DeserializeOwned>(
        self,
        operation: &'static str,
    ) -> Result<T, ProviderError> {
        match self {
            Self::Good(body) => serde_json::from_slice(body.expose())
                .map_err(|_| ambiguous(operation, "half an answer")),
            Self::Bad(said) => Err(said.error(operation)),
        }
    }

    /// That something was done, of which there is nothing to tell.
    pub(crate) fn done(self, operation: &'static str) -> Result<(), ProviderError> {
        if matches!(&self, Self::Good(body) if body.expose().is_empty()) {
            return Ok(());
        }
        let told: Nothing = self.read(operation)?;
        if told.data.is_none() && told.auth.is_none() {
            return Ok(());
        }
        Err(ambiguous(operation, "the answer to something else"))
    }

    /// The same, or nothing where there is none.
    pub(crate) fn found<T: DeserializeOwned>(
        self,
        operation: &'static str,
    ) -> Result<Option<T>, ProviderError> {
        match self {
            Self::Bad(Said {
                status: 404,
                own: true,
                ..
            }) => Ok(None),
            Self::Good(_) | Self::Bad(_) => self.read(operation).map(Some),
        }
    }
}

impl Said {
    pub(crate) fn says(&self, what: &str) -> bool {
        self.known.contains(&what)
    }

    /// A refusal only where the server is sure that nothing was done.
    pub(crate) fn error(&self, operation: &'static str) -> ProviderError {
        let code = match self.known.first() {
            Some(known) => format!("{} {known}", self.status),
            None => self.status.to_string(),
        };
        match self.status {
            429 => ProviderError::Throttled {
                provider: PROVIDER,
                operation,
            },
            // 412: this node has not seen yet what another wrote. 472, 473: it is no node that serves.
            412 | 472 | 473 => ambiguous(operation, &code),
            _ if !self.own => {
                let code = format!("{code}: not the server's own answer");
                ambiguous(operation, &code)
            }
            400..=499 => refused(operation, &code),
            _ => ambiguous(operation, &code),
        }
    }
}

pub(crate) fn refused(operation: &'static str, code: &str) -> ProviderError {
    ProviderError::Refused {
        provider: PROVIDER,
        operation,
        code: code.to_owned(),
    }
}

pub(crate) fn ambiguous(operation: &'static str, code: &str) -> ProviderError {
    ProviderError::Ambiguous {
        provider: PROVIDER,
        operation,
        code: code.to_owned(),
    }
}

/// For one lease alone: the server is well.
pub(crate) fn pending(operation: &'static str, code: &str) -> ProviderError {
    ProviderError::Pending {
        provider: PROVIDER,
        operation,
        code: code.to_owned(),
    }
}

#[async_trait]
impl Client for Transport {
    fn base(&self) -> &str {
        &self.base
    }

    /// Every answer is one: that a token is gone is nothing that rustify should log as an error.
    async fn execute(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, ClientError> {
        self.send(request).await
    }

    async fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<http::Response<Vec<u8>>, ClientError> {
        let failed = |what: &'static str| ClientError::ResponseError {
            source: std::io::Error::other(what).into(),
        };
        let request = reqwest::Request::try_from(request).map_err(|_| failed("no request"))?;
        let mut answer = self
            .http
            .execute(request)
            .await
            .map_err(|_| failed("not reached"))?;
        let body = read(&mut answer).await.map_err(failed)?;
        let mut response = http::Response::builder().status(answer.status());
        if let Some(content) = answer.headers().get(http::header::CONTENT_TYPE) {
            response = response.header(http::header::CONTENT_TYPE, content.clone());
        }
        response.body(body).map_err(|_| failed("no answer"))
    }
}

/// What every request carries.
struct Headers {
    token: Option<HeaderValue>,
    namespace: Option<HeaderValue>,
}

impl MiddleWare for Headers {
    fn request<E: Endpoint>(
        &self,
        _: &E,
        request: &mut http::Request<Vec<u8>>,
    ) -> Result<(), ClientError> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("", |path| path.as_str());
        let mut parts = request.uri().clone().into_parts();
        // The paths of endpoints begin after the version of the API.
        let path = format!("/v1/{}", path.trim_start_matches('/'));
        parts.path_and_query = path.parse().ok();
        if let Ok(uri) = http::Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        let headers = request.headers_mut();
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        if let Some(token) = &self.token {
            headers.insert("x-vault-token", token.clone());
        }
        if let Some(namespace) = &self.namespace {
            headers.insert("x-vault-namespace", namespace.clone());
        }
        Ok(())
    }

    fn response<E: Endpoint>(
        &self,
        _: &E,
        _: &mut http::Response<Vec<u8>>,
    ) -> Result<(), ClientError> {
        Ok(())
    }
}

/// A call that vaultrs has no endpoint for.
pub(crate) struct Call {
    pub(crate) method: RequestMethod,
    pub(crate) path: String,
    pub(crate) body: Option<serde_json::Value>,
}

impl Endpoint for Call {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.body.as_ref().map(|body| body.to_string().into_bytes()))
    }
}

async fn read(answer: &mut reqwest::Response) -> Result<Vec<u8>, &'static str> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| "cut off")? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err("too large");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn t44_an_answer_of_vault_has_so_many_bytes() {
        for (bytes, is_read) in [(MAX_ANSWER_BYTES, true), (MAX_ANSWER_BYTES + 1, false)] {
            let mut answer = reqwest::Response::from(http::Response::new(vec![b'x'; bytes]));
            assert_eq!(read(&mut answer).await.is_ok(), is_read, "{bytes}");
        }
    }

    #[tokio::test]
    async fn a_call_of_vault_that_is_not_answered_is_given_up() {
        // Another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let transport = Transport::new(&address, "", "").unwrap();
        let asking = tokio::spawn(async move { transport.time().await });
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        connection.read_exact(&mut request).await.unwrap();
        // From here on nothing moves but the clock.
        tokio::time::pause();
        let patience = CALL_TIMEOUT + Duration::from_millis(1);
        let given_up = tokio::time::timeout(patience, asking).await;
        assert!(given_up.unwrap().unwrap().is_err());
    }
}
