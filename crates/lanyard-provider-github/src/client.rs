//! The calls to GitHub that the provider makes. No call is ever repeated.

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_core::provider::ProviderError;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::PROVIDER;
use crate::answer::{Answer, refused};
use crate::key::AppKey;

/// Time limit of one call.
const CALL_TIME: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes; one that describes 500 repositories in full fits.
///
/// # Limit
/// - for: an answer of GitHub
/// - unit: bytes
/// - beyond: the answer counts as lost
/// - test: `an_endless_answer_counts_as_lost`
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// The oldest version of the API, which GitHub Enterprise Server has as well (page «API Versions»).
const API_VERSION: &str = "2022-11-28";
const MEDIA_TYPE: &str = "application/vnd.github+json";
const USER_AGENT_NAME: &str = concat!("lanyard/", env!("CARGO_PKG_VERSION"));
/// The longest name of an owner or a repository.
///
/// # Limit
/// - for: the name of an owner or a repository
/// - unit: bytes
/// - beyond: the mint is refused before GitHub is asked
/// - test: `names_that_would_change_the_path_are_refused`
const MAX_NAME_BYTES: usize = 100;
/// The code of an error that shows that nothing was sent.
const NOT_REACHED: &str = "not reached";

/// The reason why a client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is no URL, uses plain HTTP to another machine, or has a query, a fragment or a
    /// login.
    #[error("the address of the API must be an `https://` URL (`http://` only for loopback)")]
    Address,
    /// The name cannot be that of an account.
    #[error("{0} is not the name of an account at GitHub")]
    Owner(String),
    /// The HTTP client cannot be created.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

/// A GitHub App, and the account that it is installed on.
pub struct Client {
    http: reqwest::Client,
    /// URL of the API, without a trailing slash.
    api: String,
    key: AppKey,
    owner: String,
    installation: Mutex<Option<u64>>,
    /// Before this time the client sends nothing but revocations.
    quiet_until: Mutex<Timestamp>,
}

/// An installation, as GitHub describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Installation {
    pub(crate) id: u64,
    account: Option<Account>,
    suspended_at: Option<String>,
    #[serde(default)]
    pub(crate) permissions: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Account {
    login: String,
}

/// An access token as GitHub returned it; an absent field was absent in the answer.
#[derive(Debug)]
pub(crate) struct GivenToken {
    pub(crate) token: Secret<String>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) permissions: Option<BTreeMap<String, String>>,
    pub(crate) selection: Option<String>,
    /// Owner and name of each repository.
    pub(crate) repositories: Option<Vec<(String, String)>>,
}

#[derive(Deserialize)]
struct RawGivenToken {
    token: String,
    expires_at: Option<String>,
    permissions: Option<BTreeMap<String, String>>,
    repository_selection: Option<String>,
    repositories: Option<Vec<RawRepository>>,
}

#[derive(Deserialize)]
struct RawRepository {
    name: String,
    owner: Option<Account>,
    default_branch: Option<String>,
}

/// GitHub's verdict about a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenVerdict {
    /// The token works, or worked until this call ended it.
    Valid,
    /// GitHub does not know the token (status 401).
    Unknown {
        /// The time of the answer, by GitHub's clock.
        at: Option<Timestamp>,
    },
}

/// A rule on a branch, with the fields that matter here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct BranchRule {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) ruleset_id: Option<u64>,
    #[serde(default)]
    pub(crate) parameters: RuleParameters,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct RuleParameters {
    #[serde(default)]
    pub(crate) required_approving_review_count: u64,
}

#[derive(Deserialize)]
struct Ruleset {
    current_user_can_bypass: Option<String>,
}

/// Returns true if a call that failed with this error cannot have created a token.
pub(crate) fn made_nothing(error: &ProviderError) -> bool {
    match error {
        ProviderError::Refused { .. } | ProviderError::Throttled { .. } => true,
        ProviderError::Ambiguous { code, .. } => code == NOT_REACHED,
        ProviderError::Pending { .. } | ProviderError::Excessive { .. } => false,
    }
}

/// Checks that `name` can be the name of an account or repository: it goes into a path unescaped.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let dots = name.chars().all(|c| c == '.');
    !dots && name.len() <= MAX_NAME_BYTES && name.chars().all(plain)
}

/// Percent-encodes everything but the unreserved characters (RFC 3986).
fn escaped(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn no_answer(operation: &'static str, error: &reqwest::Error) -> ProviderError {
    let code = if error.is_connect() {
        NOT_REACHED
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "the connection broke"
    };
    ProviderError::Ambiguous {
        provider: PROVIDER,
        operation,
        code: code.to_owned(),
    }
}

impl Client {
    /// A client of the app for its installation on `owner`, at the API of this address
    /// (`https://api.github.com`). Makes no call.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn new(api: &str, key: AppKey, owner: &str) -> Result<Self, ConnectError> {
        let url: Url = api.parse().map_err(|_| ConnectError::Address)?;
        let plain = url.scheme() == "http" && is_loopback(&url);
        let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !(url.scheme() == "https" || plain) || !bare {
            return Err(ConnectError::Address);
        }
        if !is_name(owner) {
            return Err(ConnectError::Owner(owner.to_owned()));
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_NAME));
        headers.insert(
            "x-github-api-version",
            HeaderValue::from_static(API_VERSION),
        );
        // reqwest takes the process's default provider and panics without one. When two clients
        // install it at once, one call fails, and both have the provider.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut http = reqwest::Client::builder()
            .https_only(!plain)
            // GitHub redirects renamed owners and repositories: the answer would be about another
            // one than the grant names.
            .redirect(Policy::none())
            .timeout(CALL_TIME)
            .default_headers(headers);
        if plain {
            http = http.no_proxy();
        }
        let http = http.build().map_err(ConnectError::Http)?;
        Ok(Self {
            http,
            api: api.trim_end_matches('/').to_owned(),
            key,
            owner: owner.to_owned(),
            installation: Mutex::new(None),
            quiet_until: Mutex::new(Timestamp::EPOCH),
        })
    }

    /// URL of the API, as the holder of a token reaches it.
    pub(crate) fn api(&self) -> &str {
        &self.api
    }

    /// Name of the account that the app is installed on.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    async fn send(
        &self,
        operation: &'static str,
        (method, path): (Method, &str),
        bearer: &Secret<String>,
        body: Option<&str>,
    ) -> Result<Answer, ProviderError> {
        let no_answer = |error: reqwest::Error| no_answer(operation, &error);
        let mut request = self.http.request(method, format!("{}{path}", self.api));
        request = request.bearer_auth(bearer.expose());
        if let Some(body) = body {
            let json = HeaderValue::from_static("application/json");
            request = request.header(CONTENT_TYPE, json).body(body.to_owned());
        }
        let mut response = request.send().await.map_err(no_answer)?;
        let mut read = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if read.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(ProviderError::Ambiguous {
                    provider: PROVIDER,
                    operation,
                    code: format!("an answer of more than {MAX_ANSWER_BYTES} bytes"),
                });
            }
            read.extend_from_slice(&chunk);
        }
        Ok(Answer::new(response.status(), response.headers(), read))
    }

    /// Refuses a call while GitHub's rate limit lasts (T46). Revocations are sent without this
    /// check.
    fn check_rate_limit(
        &self,
        operation: &'static str,
        now: Timestamp,
    ) -> Result<(), ProviderError> {
        if now >= *self.quiet_until.lock() {
            return Ok(());
        }
        Err(ProviderError::Throttled {
            provider: PROVIDER,
            operation,
        })
    }

    fn note_rate_limit(&self, answer: Answer, now: Timestamp) -> Answer {
        if let Some(until) = answer.quiet_until(now) {
            let mut quiet = self.quiet_until.lock();
            *quiet = until.max(*quiet);
        }
        answer
    }

    async fn as_app(
        &self,
        operation: &'static str,
        request: (Method, &str),
        body: Option<&str>,
        now: Timestamp,
    ) -> Result<Answer, ProviderError> {
        self.check_rate_limit(operation, now)?;
        let jwt = self.key.jwt(now);
        let jwt = jwt.ok_or_else(|| refused(operation, "the app's token cannot be signed"))?;
        let answer = self.send(operation, request, &jwt, body).await?;
        Ok(self.note_rate_limit(answer, now))
    }

    async fn with_token(
        &self,
        operation: &'static str,
        path: &str,
        token: &Secret<String>,
        now: Timestamp,
    ) -> Result<Answer, ProviderError> {
        self.check_rate_limit(operation, now)?;
        let request = (Method::GET, path);
        let answer = self.send(operation, request, token, None).await?;
        Ok(self.note_rate_limit(answer, now))
    }

    /// Reads the installation on the account, which is an organization or a user; `None` if the app
    /// is not installed.
    pub(crate) async fn find_installation(
        &self,
        now: Timestamp,
    ) -> Result<Option<Installation>, ProviderError> {
        const OPERATION: &str = "get installation";
        for of in ["orgs", "users"] {
            let path = format!("/{of}/{}/installation", self.owner);
            let answer = self
                .as_app(OPERATION, (Method::GET, &path), None, now)
                .await?;
            let failure = answer.failure(OPERATION);
            // A 404 with this known message means that the app itself does not exist. It says
            // nothing about the account.
            let code = matches!(&failure, ProviderError::Refused { code, .. } if code == "404");
            if answer.status == StatusCode::NOT_FOUND && code {
                continue;
            }
            let found: Installation = answer.read(OPERATION, StatusCode::OK)?;
            let login = found.account.as_ref().map(|account| account.login.as_str());
            if login.is_some_and(|login| !login.eq_ignore_ascii_case(&self.owner)) {
                return Err(refused(OPERATION, "it is on another account"));
            }
            return Ok(Some(found));
        }
        Ok(None)
    }

    /// Returns the id of the installation: looked up once, and again after GitHub reported it gone.
    pub(crate) async fn installation(&self, now: Timestamp) -> Result<u64, ProviderError> {
        const OPERATION: &str = "get installation";
        let cached = *self.installation.lock();
        if let Some(id) = cached {
            return Ok(id);
        }
        let found = self.find_installation(now).await?.ok_or_else(|| {
            let what = format!("the app is not installed on {}", self.owner);
            refused(OPERATION, what)
        })?;
        if found.is_suspended() {
            return Err(refused(OPERATION, found.suspension()));
        }
        *self.installation.lock() = Some(found.id);
        Ok(found.id)
    }

    /// Asks whether a repository belongs to the installation.
    pub(crate) async fn has_repository(
        &self,
        installation: u64,
        name: &str,
        now: Timestamp,
    ) -> Result<bool, ProviderError> {
        const OPERATION: &str = "get repository installation";
        let path = format!("/repos/{}/{name}/installation", self.owner);
        let request = (Method::GET, path.as_str());
        let answer = self.as_app(OPERATION, request, None, now).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        let found: Installation = answer.read(OPERATION, StatusCode::OK)?;
        Ok(found.id == installation)
    }

    /// Creates an access token with `body` as the request, unchanged.
    pub(crate) async fn create_token(
        &self,
        installation: u64,
        body: &str,
        now: Timestamp,
    ) -> Result<GivenToken, ProviderError> {
        const OPERATION: &str = "create access token";
        let path = format!("/app/installations/{installation}/access_tokens");
        let request = (Method::POST, path.as_str());
        let answer = self.as_app(OPERATION, request, Some(body), now).await?;
        if answer.status == StatusCode::NOT_FOUND {
            // The app may have been installed again under another id, so the next mint looks the id
            // up.
            *self.installation.lock() = None;
        }
        let raw: RawGivenToken = answer.read(OPERATION, StatusCode::CREATED)?;
        let expires = raw.expires_at.and_then(|text| {
            let at = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
            u64::try_from(at).ok().map(Timestamp::from_millis)
        });
        let named = |it: RawRepository| (it.owner.map_or_else(String::new, |it| it.login), it.name);
        Ok(GivenToken {
            token: Secret::new(raw.token),
            expires,
            permissions: raw.permissions,
            selection: raw.repository_selection,
            repositories: raw
                .repositories
                .map(|all| all.into_iter().map(named).collect()),
        })
    }

    /// Ends a token with the token itself. Sent even while a rate limit lasts.
    pub(crate) async fn end(&self, token: &Secret<String>) -> Result<TokenVerdict, ProviderError> {
        const OPERATION: &str = "delete access token";
        let request = (Method::DELETE, "/installation/token");
        let answer = self.send(OPERATION, request, token, None).await?;
        verdict(&answer, StatusCode::NO_CONTENT, OPERATION)
    }

    /// Uses a token for a call that needs no permission. Sent even while a rate limit lasts.
    pub(crate) async fn try_token(
        &self,
        token: &Secret<String>,
    ) -> Result<TokenVerdict, ProviderError> {
        const OPERATION: &str = "use access token";
        let request = (Method::GET, "/installation/repositories?per_page=1");
        let answer = self.send(OPERATION, request, token, None).await?;
        verdict(&answer, StatusCode::OK, OPERATION)
    }

    /// The default branch of a repository; needs `metadata: read`.
    pub(crate) async fn default_branch(
        &self,
        token: &Secret<String>,
        repository: &str,
        now: Timestamp,
    ) -> Result<String, ProviderError> {
        const OPERATION: &str = "get repository";
        let path = format!("/repos/{}/{repository}", self.owner);
        let answer = self.with_token(OPERATION, &path, token, now).await?;
        let found: RawRepository = answer.read(OPERATION, StatusCode::OK)?;
        let branch = found.default_branch.filter(|name| !name.is_empty());
        branch.ok_or_else(|| refused(OPERATION, format!("{repository} has no default branch")))
    }

    /// The first hundred rules on a branch; needs `metadata: read` (page «REST API endpoints for
    /// rules»).
    pub(crate) async fn branch_rules(
        &self,
        token: &Secret<String>,
        (repository, branch): (&str, &str),
        now: Timestamp,
    ) -> Result<Vec<BranchRule>, ProviderError> {
        const OPERATION: &str = "get rules of branch";
        let branch = escaped(branch);
        let path = format!(
            "/repos/{}/{repository}/rules/branches/{branch}?per_page=100",
            self.owner
        );
        let answer = self.with_token(OPERATION, &path, token, now).await?;
        answer.read(OPERATION, StatusCode::OK)
    }

    /// Asks whether the app may bypass a ruleset, as far as GitHub says so; needs `metadata: read`.
    pub(crate) async fn may_bypass_ruleset(
        &self,
        token: &Secret<String>,
        (repository, ruleset): (&str, u64),
        now: Timestamp,
    ) -> Result<bool, ProviderError> {
        const OPERATION: &str = "get ruleset";
        let path = format!("/repos/{}/{repository}/rulesets/{ruleset}", self.owner);
        let answer = self.with_token(OPERATION, &path, token, now).await?;
        let found: Ruleset = answer.read(OPERATION, StatusCode::OK)?;
        let may = found.current_user_can_bypass;
        Ok(may.is_some_and(|may| may != "never"))
    }
}

impl Installation {
    pub(crate) const fn is_suspended(&self) -> bool {
        self.suspended_at.is_some()
    }

    pub(crate) const fn suspension(&self) -> &'static str {
        "the installation is suspended: whoever suspended it has to lift that, an owner in the settings or the app by its API"
    }
}

fn verdict(
    answer: &Answer,
    good: StatusCode,
    operation: &'static str,
) -> Result<TokenVerdict, ProviderError> {
    match answer.status {
        _ if !answer.is_own() => Err(answer.failure(operation)),
        status if status == good => Ok(TokenVerdict::Valid),
        StatusCode::UNAUTHORIZED => Ok(TokenVerdict::Unknown { at: answer.date }),
        _ => Err(answer.failure(operation)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_change_the_path_are_refused() {
        assert!(is_name(&"n".repeat(100)) && !is_name(&"n".repeat(101)));
        for good in ["payments", "acme.github.io", "a_b-c"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a%2fb", "a?b", "a#b", "ä"] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_branch_is_one_segment_of_a_path() {
        assert_eq!(escaped("release/1.0 ü"), "release%2F1.0%20%C3%BC");
    }
}
