//! Sessions with the broker: obtained by token exchange (RFC 8693), stored between commands,
//! renewed before they expire.

use std::sync::Arc;

use serde::Deserialize;

use crate::clock::now;
use crate::context::{Cache, Context};
use crate::context_error::ContextError;
use crate::error::ClientError;
use crate::http::{Answer, Https, Refusal, seconds};
use crate::identity::Identity;
use crate::login::renewal;
use crate::proof::{Aim, ProofKey};
use crate::secret::Token;
use crate::subject::Subject;
use crate::tokens::{Session, Store, StoredTokens, Tokens};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const SESSION: &str = "urn:lanyard:params:oauth:token-type:session";
/// Longest session lifetime that the client assumes, whatever the broker says.
///
/// # Limit
/// - for: a session that a broker gives
/// - unit: seconds
/// - beyond: the session is renewed as if it ended then
/// - test: `a_session_is_believed_for_a_day_at_most`
const MAX_SESSION_SECONDS: u64 = 24 * 3600;

/// Token exchange response, RFC 8693 section 2.2.1.
#[derive(Deserialize)]
struct Exchanged {
    access_token: Token,
    token_type: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
}

/// The age of a session that a call may carry.
#[derive(Clone, Copy)]
pub(crate) enum Age {
    /// Some lifetime is left.
    Fresh,
    /// The session may have expired. The broker decides: a kill order is accepted for hours.
    Any,
}

impl Age {
    const fn accepts(self, session: &Session, now: u64) -> bool {
        match self {
            Self::Fresh => session.is_fresh(now),
            Self::Any => true,
        }
    }
}

impl Exchanged {
    fn session(self, now: u64) -> Session {
        Session::new(
            self.access_token,
            now,
            self.expires_in.unwrap_or(0).min(MAX_SESSION_SECONDS),
        )
    }
}

impl Context {
    /// Returns the proof key of this context, and generates one at the first use.
    pub(crate) fn key(&self, cache: &mut Cache) -> Result<Arc<ProofKey>, ContextError> {
        if let Some(key) = &cache.key {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(ProofKey::of(&self.state_dir()?.file("key")?)?);
        cache.key = Some(Arc::clone(&key));
        Ok(key)
    }

    /// Returns a session of this age: the cached one, the stored one, or a new one.
    pub(crate) async fn session(&self, age: Age) -> Result<(Token, Arc<ProofKey>), ClientError> {
        let mut cache = self.cache.lock().await;
        let key = self.key(&mut cache)?;
        let at_hand = cache.session.as_ref();
        if let Some(session) = at_hand.filter(|it| now().is_ok_and(|now| age.accepts(it, now))) {
            return Ok((session.token.clone(), key));
        }
        // Providers that rotate refresh tokens accept each once. Two processes that use the same
        // one would end the login.
        let _lock = self.state_dir()?.lock().await?;
        let tokens = self.tokens()?;
        let stored = tokens.read()?;
        let now = now()?;
        let session = match stored
            .session
            .clone()
            .filter(|session| age.accepts(session, now))
        {
            Some(session) => session,
            None => self.renew(&tokens, stored, &key).await?,
        };
        let token = session.token.clone();
        cache.session = Some(session);
        Ok((token, key))
    }

    /// Deletes the stored session, so that the next call begins another one.
    pub(crate) async fn drop_session(&self) -> Result<(), ContextError> {
        let mut cache = self.cache.lock().await;
        cache.session = None;
        let _lock = self.state_dir()?.lock().await?;
        let tokens = self.tokens()?;
        let mut stored = tokens.read()?;
        stored.session = None;
        tokens.write(&stored)
    }

    async fn renew(
        &self,
        tokens: &Tokens<'_>,
        mut stored: StoredTokens,
        key: &ProofKey,
    ) -> Result<Session, ClientError> {
        let subject = match &self.identity {
            Identity::Login { .. } => {
                let renewed = renewal::renew(self, stored.refresh.as_ref()).await?;
                stored.refresh = renewed.refresh;
                // The old refresh token is used up, so the new one is stored even if the broker
                // refuses the exchange.
                tokens.write(&stored)?;
                Subject {
                    token: renewed.id_token,
                    kind: Subject::ID_TOKEN,
                }
            }
            Identity::Aws { aws } => Subject {
                token: aws.evidence().await?,
                kind: Subject::AWS,
            },
            Identity::Enrolled { .. }
            | Identity::Key(_)
            | Identity::TokenFile { .. }
            | Identity::Certificate { .. } => Subject {
                token: self.token()?,
                kind: Subject::JWT,
            },
        };
        let session = self.exchange(&subject, key).await?;
        stored.session = Some(session.clone());
        tokens.write(&stored)?;
        Ok(session)
    }

    /// Exchanges a login's ID token for a session, and stores the session and the refresh token.
    pub(crate) async fn begin_session(
        &self,
        subject: &Subject,
        refresh: Option<Token>,
    ) -> Result<(), ClientError> {
        let mut cache = self.cache.lock().await;
        let key = self.key(&mut cache)?;
        let _lock = self.state_dir()?.lock().await?;
        let session = self.exchange(subject, &key).await?;
        let stored = StoredTokens {
            session: Some(session.clone()),
            refresh,
        };
        self.tokens()?.write(&stored)?;
        cache.session = Some(session);
        Ok(())
    }

    /// Deletes a session that the broker no longer accepts. Returns true if a retry can succeed
    /// with a new session.
    pub(crate) async fn forget_session(&self) -> Result<bool, ClientError> {
        if !self.has_sessions() {
            return Ok(false);
        }
        self.cache.lock().await.session = None;
        let _lock = self.state_dir()?.lock().await?;
        let tokens = self.tokens()?;
        let mut stored = tokens.read()?;
        stored.session = None;
        tokens.write(&stored)?;
        Ok(true)
    }

    /// True if calls carry a session.
    pub(crate) const fn has_sessions(&self) -> bool {
        matches!(
            self.identity,
            Identity::Login { .. } | Identity::Enrolled { .. } | Identity::Aws { .. }
        )
    }

    /// Opens the token store of this context.
    pub(crate) fn tokens(&self) -> Result<Tokens<'_>, ContextError> {
        let store = self.login().map_or(Store::File, |login| login.store);
        Ok(Tokens::of(self.state_dir()?, store))
    }

    async fn exchange(&self, subject: &Subject, key: &ProofKey) -> Result<Session, ClientError> {
        let url = format!("{}/oauth2/token", self.endpoint);
        let form = [
            ("grant_type", EXCHANGE),
            ("subject_token", subject.token.expose()),
            ("subject_token_type", subject.kind),
            ("requested_token_type", SESSION),
        ];
        let aim = Aim {
            method: "POST",
            url: &url,
        };
        let proof = key.prove(&aim, None)?;
        let https = Https::broker(self.authority.as_deref())?;
        let answer = https.post(&url, &form, &[("dpop", &proof)]).await?;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        let exchanged: Exchanged = answer.json()?;
        // A bearer session could be used by whoever steals it.
        if !exchanged.token_type.eq_ignore_ascii_case("DPoP") {
            let line = "the broker gave a session that is bound to no key";
            return Err(ClientError::refused(line));
        }
        Ok(exchanged.session(now()?))
    }

    /// Ends a session at the broker (RFC 7009).
    pub(crate) async fn revoke(
        &self,
        session: &Session,
        key: &ProofKey,
    ) -> Result<(), ClientError> {
        let url = format!("{}/oauth2/revoke", self.endpoint);
        let aim = Aim {
            method: "POST",
            url: &url,
        };
        let proof = key.prove(&aim, Some(&session.token))?;
        let shown = Token::new(format!("DPoP {}", session.token.expose()));
        let headers = [("authorization", shown.expose()), ("dpop", &proof)];
        let form = [("token", session.token.expose())];
        let https = Https::broker(self.authority.as_deref())?;
        let answer = https.post(&url, &form, &headers).await?;
        if answer.is_success() {
            Ok(())
        } else {
            Err(refused(&answer))
        }
    }
}

fn refused(answer: &Answer) -> ClientError {
    match (answer.json::<Refusal>(), answer.is_outage()) {
        (Ok(refusal), true) => ClientError::Unavailable(refusal.line()),
        // Another login does not give a role to a person whom the broker knows.
        (Ok(refusal), false) if refusal.reason.as_deref() == Some("ROLE_DENIED") => {
            ClientError::denied(refusal.line(), "ROLE_DENIED")
        }
        (Ok(refusal), false) => ClientError::NotLoggedIn(refusal.line()),
        (Err(error), _) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u18_a_kill_shows_a_session_that_has_expired_and_no_other_call_does() {
        let expired = Session::new(Token::new("t".to_owned()), 1_000, 60);
        assert!(Age::Any.accepts(&expired, 10_000));
        assert!(!Age::Fresh.accepts(&expired, 10_000));
        assert!(Age::Fresh.accepts(&expired, 1_010));
    }

    #[test]
    fn a_session_is_believed_for_a_day_at_most() {
        let fresh = |said: u64, after: u64| {
            let exchanged = Exchanged {
                access_token: Token::new("t".to_owned()),
                token_type: "DPoP".to_owned(),
                expires_in: Some(said),
            };
            exchanged.session(1_000).is_fresh(1_000 + after)
        };
        // A session is renewed a minute before its end.
        let renewed = MAX_SESSION_SECONDS - 60;
        assert!(fresh(u64::MAX, renewed - 1) && !fresh(u64::MAX, renewed));
    }
}
