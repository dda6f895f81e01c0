//! The login of a person: at an OpenID Provider, in a browser on this machine or on another device.
//! The ID token is exchanged for a session with the broker, which is stored. Later calls are no
//! part of this module.

mod browser;
mod device;
mod id_token;
mod loopback;
mod provider;
pub(crate) mod renewal;

use serde::Deserialize;

use crate::clock::now;
use crate::context::Context;
use crate::context_error::ContextError;
use crate::error::ClientError;
use crate::http::{HttpError, Https};
use crate::identity::LoginIdentity;
use crate::secret_files;
use crate::subject::Subject;

pub use device::Prompt;
use id_token::IdToken;
use provider::{Granted, Provider};

/// Seconds by which a fresh login may seem to predate the request, for clocks that differ.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// A login that failed.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The context cannot be used to log in.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The broker refuses the provider's ID token, or cannot be reached.
    #[error(transparent)]
    Broker(#[from] ClientError),
    /// The provider or the broker did not answer usably.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The provider refused; the text is the provider's.
    #[error("the identity provider refuses: {0}")]
    Refused(String),
    /// The discovery document names another issuer.
    #[error("the configuration that `{asked}` publishes names another issuer, `{found}`")]
    OtherProvider {
        /// The issuer in the context.
        asked: String,
        /// The issuer that the configuration names.
        found: String,
    },
    /// The provider lacks an endpoint that this flow needs.
    #[error("`{issuer}` offers no {what}")]
    Missing {
        /// The provider's issuer URL.
        issuer: String,
        /// The endpoint or the value that is missing.
        what: &'static str,
    },
    /// Another provider answered (mix-up attack, RFC 9207).
    #[error(
        "another identity provider answered than the one that was asked: start the login again"
    )]
    OtherIssuer,
    /// The ID token belongs to another login; holds the claim that differs.
    #[error("the ID token is not for this login: its `{0}` differs")]
    OtherLogin(&'static str),
    /// The provider sent no readable ID token.
    #[error("the identity provider sent no readable ID token")]
    NoIdToken,
    /// A fresh login was required, and the provider reports an earlier one.
    #[error("the identity provider asked for no new login: it reports an earlier one")]
    NotFresh,
    /// The login has another authentication class than required.
    #[error("the identity provider logged you in with `{found}`, not with `{wanted}`")]
    OtherClass {
        /// The `acr` of the login.
        found: String,
        /// The required `acr` values.
        wanted: String,
    },
    /// The login was not completed within this number of minutes.
    #[error("nobody logged in within {0} minutes: run the command again")]
    TimedOut(u64),
    /// No loopback port can be opened.
    #[error("cannot listen on a port of this machine: {0}")]
    NoPort(std::io::Error),
}

impl From<LoginError> for ClientError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Context(error) => Self::Context(error),
            LoginError::Broker(error) => error,
            LoginError::Http(error) => Self::Unavailable(error.to_string()),
            LoginError::Refused(_)
            | LoginError::OtherProvider { .. }
            | LoginError::Missing { .. }
            | LoginError::OtherIssuer
            | LoginError::OtherLogin(_)
            | LoginError::NoIdToken
            | LoginError::NotFresh
            | LoginError::OtherClass { .. }
            | LoginError::TimedOut(_)
            | LoginError::NoPort(_) => Self::NotLoggedIn(error.to_string()),
        }
    }
}

/// A way to log in that the broker offers.
#[derive(Debug, Clone, Deserialize)]
pub struct Offer {
    /// The provider's issuer URL.
    pub issuer: String,
    /// The OAuth client id of the command line.
    pub client_id: String,
    /// OAuth scopes to request.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The API that the token is for.
    pub audience: Option<String>,
}

/// The part of the broker's metadata (RFC 8414) that login needs.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    lanyard_login: Vec<Offer>,
}

/// Asks a broker at which providers people log in.
///
/// # Errors
/// When the broker does not answer, or credentials would travel in the clear.
pub async fn offers(endpoint: &str, authority: Option<&[u8]>) -> Result<Vec<Offer>, LoginError> {
    if !crate::endpoint::travels_safely(endpoint) {
        return Err(ContextError::Clear(endpoint.to_owned()).into());
    }
    let endpoint = endpoint.trim_end_matches('/');
    let url = format!("{endpoint}/.well-known/oauth-authorization-server");
    let metadata: Metadata = Https::broker(authority)?.get(&url).await?.json()?;
    Ok(metadata.lanyard_login)
}

/// The required age of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// An existing login at the provider is enough.
    #[default]
    Any,
    /// The provider must ask the person again.
    Now,
}

/// Requirements on a login.
#[derive(Debug, Default)]
pub struct Wish {
    /// The required age of the login.
    pub freshness: Freshness,
    /// Acceptable `acr` values, separated by spaces.
    pub acr_values: Option<String>,
}

/// The person who has logged in.
#[derive(Debug)]
pub struct Person {
    /// The provider's issuer URL.
    pub issuer: String,
    /// The provider's `sub` of the person.
    pub subject: String,
}

/// A login in progress, with the provider's configuration fetched.
pub struct Login<'a> {
    context: &'a Context,
    client: &'a LoginIdentity,
    provider: Provider,
    wish: Wish,
    began: u64,
}

impl<'a> Login<'a> {
    /// Fetches the configuration of the context's provider.
    ///
    /// # Errors
    /// When the context belongs to no person, or the provider does not answer.
    pub async fn begin(context: &'a Context, wish: Wish) -> Result<Self, LoginError> {
        let client = context.login()?;
        Ok(Self {
            context,
            client,
            provider: Provider::discover(client, context.authority.as_deref()).await?,
            wish,
            began: now()?,
        })
    }

    /// Builds the parameters that both flows share.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let scopes = &self.client.scopes;
        let openid = (!scopes.iter().any(|scope| scope == "openid")).then_some("openid");
        let scopes: Vec<&str> = openid
            .into_iter()
            .chain(scopes.iter().map(String::as_str))
            .collect();
        let mut prompts = Vec::new();
        let mut parameters = vec![
            ("client_id", self.client.client_id.clone()),
            ("scope", scopes.join(" ")),
        ];
        if self.wish.freshness == Freshness::Now {
            prompts.push("login");
            // `max_age` makes the provider include `auth_time`, which shows that the login is fresh
            // (OpenID Connect Core, section 3.1.2.1).
            parameters.push(("max_age", "0".to_owned()));
        }
        if scopes.contains(&"offline_access") {
            // Providers ignore `offline_access` without consent (section 11).
            prompts.push("consent");
        }
        if !prompts.is_empty() {
            parameters.push(("prompt", prompts.join(" ")));
        }
        parameters.extend(self.wish.acr_values.clone().map(|it| ("acr_values", it)));
        parameters.extend(self.client.audience.clone().map(|it| ("audience", it)));
        parameters
    }

    /// Checks the ID token against the request and exchanges the token for a session.
    async fn finish(self, granted: Granted, nonce: Option<&str>) -> Result<Person, LoginError> {
        let token = granted.id_token.ok_or(LoginError::NoIdToken)?;
        let claims = IdToken::read(&token)?;
        claims.is_from(self.client)?;
        claims.answers(nonce)?;
        if self.wish.freshness == Freshness::Now {
            claims.is_of_a_login_since(self.began.saturating_sub(CLOCK_SKEW_SECONDS))?;
        }
        if let Some(wanted) = &self.wish.acr_values {
            claims.is_of_class(wanted)?;
        }
        let subject = Subject {
            token,
            kind: Subject::ID_TOKEN,
        };
        let context = self.context;
        context
            .begin_session(&subject, granted.refresh_token)
            .await?;
        Ok(Person {
            issuer: self.client.issuer.clone(),
            subject: claims.sub,
        })
    }
}

/// Failures of a logout, which forgets the tokens on this machine in any case.
#[derive(Debug, Default)]
pub struct LoggedOut {
    /// The reason why the session may live on at the broker until it expires.
    pub broker: Option<ClientError>,
    /// The reason why the refresh token may live on at the provider.
    pub provider: Option<LoginError>,
}

/// Ends the session at the broker and the login at the provider. The local key and tokens are
/// deleted even if both refuse.
///
/// # Errors
/// When the context belongs to no person, or a local file cannot be deleted.
pub async fn log_out(context: &Context) -> Result<LoggedOut, LoginError> {
    let client = context.login()?;
    let mut cache = context.cache.lock().await;
    let _lock = context.state_dir()?.lock().await?;
    let stored = context.tokens()?.read()?;
    let mut out = LoggedOut::default();
    if let Some(session) = &stored.session {
        let key = context.key(&mut cache)?;
        out.broker = match context.revoke(session, &key).await {
            // A session that the broker does not accept has ended already.
            Ok(()) | Err(ClientError::NotLoggedIn(_)) => None,
            Err(error) => Some(error),
        };
    }
    if let Some(refresh) = &stored.refresh {
        out.provider = match Provider::discover(client, context.authority.as_deref()).await {
            Ok(provider) => provider.revoke(client, refresh).await.err(),
            Err(error) => Some(error),
        };
    }
    *cache = crate::context::Cache::default();
    context.forget()?;
    Ok(out)
}

impl Context {
    /// Deletes the stored key and tokens of this context.
    ///
    /// # Errors
    /// When one of them cannot be deleted.
    pub fn forget(&self) -> Result<(), ContextError> {
        self.tokens()?.delete()?;
        let path = self.state_dir()?.file("key")?;
        secret_files::delete(&path).map_err(|source| ContextError::Storage { path, source })
    }
}
