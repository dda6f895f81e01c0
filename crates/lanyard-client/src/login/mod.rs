//! How a person logs in: at an OpenID Provider, in a browser here or on another device; what it says is exchanged for a
//! session with the broker, and kept. What the broker is asked afterwards is no affair of this.

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
use crate::private;
use crate::subject::Subject;

pub use device::Prompt;
use id_token::IdToken;
use provider::{Granted, Provider};

/// How much older than the request a fresh login may look, in seconds: clocks differ.
const SKEW: u64 = 60;

/// Why nobody is logged in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The context cannot be used for it.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The broker refuses what the provider says, or is not there.
    #[error(transparent)]
    Broker(#[from] ClientError),
    /// The provider or the broker cannot be reached.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The provider refuses.
    #[error("the identity provider refuses: {0}")]
    Refused(String),
    /// What it publishes about itself is about another.
    #[error("what {asked} publishes is of {found}")]
    OtherProvider {
        /// Whose configuration was asked for.
        asked: String,
        /// The issuer that the configuration names.
        found: String,
    },
    /// It does not offer what is needed.
    #[error("{issuer} offers no {what}")]
    Missing {
        /// The provider.
        issuer: String,
        /// The endpoint or the value that is missing.
        what: &'static str,
    },
    /// The answer came from another provider: RFC 9207.
    #[error("the login was answered by another provider than the one that was asked")]
    OtherIssuer,
    /// The ID token is not for this login.
    #[error("the ID token is not for this login: its {0} is another")]
    OtherLogin(&'static str),
    /// It cannot be read.
    #[error("the identity provider gave no ID token that can be read")]
    NoIdToken,
    /// A fresh login was asked for.
    #[error("the identity provider did not ask for a login: it reports one of before")]
    NotFresh,
    /// Another class of login was asked for.
    #[error("the identity provider logged you in with {found}, not with {wanted}")]
    OtherClass {
        /// The class (`acr`) of the login that was made.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// Nobody answered.
    #[error("nobody logged in within {0} minutes")]
    TimedOut(u64),
    /// No port on loopback.
    #[error("no port on this machine can be listened on: {0}")]
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

/// Where a broker says that its people log in.
#[derive(Debug, Clone, Deserialize)]
pub struct Offer {
    /// The provider.
    pub issuer: String,
    /// What it knows the command line by.
    pub client_id: String,
    /// What to ask for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The API that the token is for.
    pub audience: Option<String>,
}

/// What of a broker's metadata (RFC 8414) is of interest here.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    lanyard_login: Vec<Offer>,
}

/// Asks a broker where its people log in.
///
/// # Errors
/// When it does not answer.
pub async fn offers(endpoint: &str, authority: Option<&[u8]>) -> Result<Vec<Offer>, LoginError> {
    if !crate::endpoint::travels_safely(endpoint) {
        return Err(ContextError::Clear(endpoint.to_owned()).into());
    }
    let endpoint = endpoint.trim_end_matches('/');
    let url = format!("{endpoint}/.well-known/oauth-authorization-server");
    let metadata: Metadata = Https::broker(authority)?.get(&url).await?.json()?;
    Ok(metadata.lanyard_login)
}

/// How recent a login has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// One of before will do.
    #[default]
    Any,
    /// The provider asks again.
    Now,
}

/// What kind of login is wanted.
#[derive(Debug, Default)]
pub struct Wish {
    /// How recent it has to be.
    pub freshness: Freshness,
    /// Of which classes, separated by spaces: the provider's `acr`.
    pub acr_values: Option<String>,
}

/// Who is logged in.
#[derive(Debug)]
pub struct Person {
    /// The provider.
    pub issuer: String,
    /// What it calls the person.
    pub subject: String,
}

/// A login that has begun: the provider is known.
pub struct Login<'a> {
    context: &'a Context,
    client: &'a LoginIdentity,
    provider: Provider,
    wish: Wish,
    began: u64,
}

impl<'a> Login<'a> {
    /// Asks the provider of this context what it offers.
    ///
    /// # Errors
    /// When the context is no person's, or the provider does not answer.
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

    /// What both flows ask for, beyond their own parameters.
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
            // With it, the ID token has to say when the login was: OpenID Connect Core, section 3.1.2.1.
            parameters.push(("max_age", "0".to_owned()));
        }
        if scopes.contains(&"offline_access") {
            // Without it the scope is to be ignored: section 11.
            prompts.push("consent");
        }
        if !prompts.is_empty() {
            parameters.push(("prompt", prompts.join(" ")));
        }
        parameters.extend(self.wish.acr_values.clone().map(|it| ("acr_values", it)));
        parameters.extend(self.client.audience.clone().map(|it| ("audience", it)));
        parameters
    }

    /// Holds the ID token against what was asked for, and exchanges it for a session.
    async fn finish(self, granted: Granted, nonce: Option<&str>) -> Result<Person, LoginError> {
        let token = granted.id_token.ok_or(LoginError::NoIdToken)?;
        let claims = IdToken::read(&token)?;
        claims.is_from(self.client)?;
        claims.answers(nonce)?;
        if self.wish.freshness == Freshness::Now {
            claims.is_of_a_login_since(self.began.saturating_sub(SKEW))?;
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

/// What a logout could not reach.
#[derive(Debug, Default)]
pub struct LoggedOut {
    /// Why the session may live on at the broker until its end.
    pub broker: Option<ClientError>,
    /// Why the refresh token may live on at the provider.
    pub provider: Option<LoginError>,
}

/// Ends the session at the broker and the login at the provider, and forgets both here, whatever they answer.
///
/// # Errors
/// When the context is no person's, or what is kept here cannot be deleted.
pub async fn log_out(context: &Context) -> Result<LoggedOut, LoginError> {
    let client = context.login()?;
    let mut held = context.held.lock().await;
    let _lock = context.state()?.lock().await?;
    let kept = context.tokens()?.read()?;
    let mut out = LoggedOut::default();
    if let Some(session) = &kept.session {
        let key = context.key(&mut held)?;
        out.broker = match context.revoke(session, &key).await {
            // One that the broker does not take is over.
            Ok(()) | Err(ClientError::NotLoggedIn(_)) => None,
            Err(error) => Some(error),
        };
    }
    if let Some(refresh) = &kept.refresh {
        out.provider = match Provider::discover(client, context.authority.as_deref()).await {
            Ok(provider) => provider.revoke(client, refresh).await.err(),
            Err(error) => Some(error),
        };
    }
    *held = crate::context::Held::default();
    context.forget()?;
    Ok(out)
}

impl Context {
    /// Deletes the key and the tokens that are kept of this context.
    ///
    /// # Errors
    /// When they cannot be deleted.
    pub fn forget(&self) -> Result<(), ContextError> {
        self.tokens()?.delete()?;
        let path = self.state()?.file("key")?;
        private::delete(&path).map_err(|source| ContextError::Kept { path, source })
    }
}
