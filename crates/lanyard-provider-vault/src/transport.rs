//! HTTP for single calls, with vaultrs' endpoints and a client of its own. vaultrs' client follows
//! redirects, reads unbounded answers, and logs the server's error texts, which can contain
//! secrets.

use std::time::Duration;

use async_trait::async_trait;
use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use reqwest::header::HeaderValue;
use rustify::client::Client;
use rustify::endpoint::{Endpoint, MiddleWare};
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::PROVIDER;

/// Time limit of one call.
///
/// # Limit
/// - for: a call of Vault or OpenBao
/// - unit: time
/// - beyond: the call fails; a mint is then ambiguous, and a revocation is repeated
/// - test: `a_call_of_vault_that_is_not_answered_is_given_up`
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// Time limit for connecting.
///
/// # No limit
/// Connecting counts towards `CALL_TIMEOUT`, which is the bound.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read; the accessors of half a million tokens fit.
///
/// # Limit
/// - for: an answer of Vault
/// - unit: bytes
/// - beyond: the answer counts as lost
/// - test: `t44_an_answer_of_vault_has_a_size_limit`
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Error texts of the server that are shown. All others are dropped, because they can echo the
/// request (T50).
/// <https://developer.hashicorp.com/vault/api-docs#error-response>
const KNOWN_PHRASES: [&str; 20] = [
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

/// The reason why no connection to the server is possible.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is not the URL of a server.
    #[error("`{0}` is not the address of a server: write https://HOST:PORT")]
    Address(String),
    /// The address uses plain HTTP to another machine.
    #[error("{0} is not https: plain http is allowed only for a server on this machine")]
    Plain(String),
    /// The certificate authority holds no PEM certificate.
    #[error("the certificate authority is not PEM")]
    Authority,
    /// A header value or the TLS configuration is invalid.
    #[error("the client cannot be set up")]
    Client,
}

/// The HTTP client of one server and namespace.
pub(crate) struct Transport {
    http: reqwest::Client,
    base: String,
    namespace: Option<HeaderValue>,
}

/// The answer to one call.
pub(crate) enum Answer {
    /// A success and its body, in the server's own form; the body is empty for status 204.
    Good(Secret<Vec<u8>>),
    /// A refusal, a failure, or an answer that does not come from the server.
    Bad(Failure),
}

/// The parts of a refusal that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    /// The known phrases among the answer's errors.
    pub(crate) known: Vec<&'static str>,
    /// The server itself answered, and not a proxy or gateway.
    pub(crate) own: bool,
}

/// The form of every successful answer with a body. A proxy or gateway does not produce it.
/// <https://developer.hashicorp.com/vault/api-docs#http-status-codes>
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    request_id: String,
}

/// The form of every error of the API.
#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

/// The form of the answer to a revocation, whose parts must be empty.
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
            // Without roots: plain HTTP needs none, and loading the system's delays the start.
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

    /// Reads the `Date` header of an answer that needs no token, whatever its status.
    pub(crate) async fn time(&self) -> Result<Option<Timestamp>, ProviderError> {
        let asked = self.http.get(format!("{}/v1/sys/health", self.base)).send();
        let answer = asked.await;
        let answer = answer.map_err(|_| ambiguous("ask for the time", "not reached"))?;
        let date = answer.headers().get(http::header::DATE);
        let date = date.and_then(|date| date.to_str().ok());
        Ok(date.and_then(Timestamp::from_http_date))
    }

    /// Makes one call with `token` and returns whatever the server answers.
    pub(crate) async fn call<E: Endpoint>(
        &self,
        operation: &'static str,
        token: Option<&Secret<String>>,
        endpoint: E,
    ) -> Result<Answer, ProviderError> {
        let token = token.map(|token| HeaderValue::from_str(token.expose()));
        let mut token = token
            .transpose()
            .map_err(|_| refused(operation, "the token cannot be a header value"))?;
        if let Some(token) = &mut token {
            token.set_sensitive(true);
        }
        let headers = Headers {
            token,
            namespace: self.namespace.clone(),
        };
        let answer = endpoint.with_middleware(&headers).exec(self).await;
        // Ambiguous, never a refusal: the server may have carried out the call.
        let answer =
            answer.map_err(|_| ambiguous(operation, "not reached, or an incomplete answer"))?;
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
        let known = KNOWN_PHRASES
            .into_iter()
            .filter(|known| said.iter().any(|text| text.contains(known)));
        Ok(Answer::Bad(Failure {
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
    /// Parses the body of a success; turns any other answer into its error.
    pub(crate) fn read<T: DeserializeOwned>(
        self,
        operation: &'static str,
    ) -> Result<T, ProviderError> {
        match self {
            Self::Good(body) => serde_json::from_slice(body.expose())
                .map_err(|_| ambiguous(operation, "incomplete answer")),
            Self::Bad(said) => Err(said.error(operation)),
        }
    }

    /// Checks a success that must have no data; an answer with data belongs to another call.
    pub(crate) fn done(self, operation: &'static str) -> Result<(), ProviderError> {
        if matches!(&self, Self::Good(body) if body.expose().is_empty()) {
            return Ok(());
        }
        let told: Nothing = self.read(operation)?;
        if told.data.is_none() && told.auth.is_none() {
            return Ok(());
        }
        Err(ambiguous(operation, "an answer to another call"))
    }

    /// Parses the body of a success; `None` when the server says that the subject does not exist.
    pub(crate) fn found<T: DeserializeOwned>(
        self,
        operation: &'static str,
    ) -> Result<Option<T>, ProviderError> {
        match self {
            Self::Bad(Failure {
                status: 404,
                own: true,
                ..
            }) => Ok(None),
            Self::Good(_) | Self::Bad(_) => self.read(operation).map(Some),
        }
    }
}

impl Failure {
    pub(crate) fn says(&self, what: &str) -> bool {
        self.known.contains(&what)
    }

    /// Returns the error that this answer means: a refusal only if the server is certain that
    /// nothing was done.
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
            // 412: this node has not seen another node's write yet. 472, 473: the node serves no
            // requests.
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

/// Makes an error that concerns one lease only, while the server is up.
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

    /// Returns every answer as a success, so that rustify does not log a missing token as an error.
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

/// The headers of every request.
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
        // Endpoints' paths begin after the API's version.
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

/// A call for which vaultrs has no endpoint.
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
    async fn t44_an_answer_of_vault_has_a_size_limit() {
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
        // From here on only the paused clock moves.
        tokio::time::pause();
        let patience = CALL_TIMEOUT + Duration::from_millis(1);
        let given_up = tokio::time::timeout(patience, asking).await;
        assert!(given_up.unwrap().unwrap().is_err());
    }
}
