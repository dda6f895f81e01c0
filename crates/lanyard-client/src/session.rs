//! Sessions with the broker: asked for by token exchange (RFC 8693), kept between commands, renewed before they end.

use std::sync::Arc;

use serde::Deserialize;

use crate::clock::now;
use crate::context::{Context, Held};
use crate::context_error::ContextError;
use crate::error::ClientError;
use crate::http::{Answer, Https, Refusal, seconds};
use crate::identity::Identity;
use crate::login::renewal;
use crate::proof::{Aim, ProofKey};
use crate::secret::Token;
use crate::subject::Subject;
use crate::tokens::{Kept, Session, Store, Tokens};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const SESSION: &str = "urn:lanyard:params:oauth:token-type:session";
/// The longest session that is believed, in seconds: a day.
///
/// # Limit
/// - for: a session that a broker gives
/// - unit: seconds
/// - beyond: the session is renewed as if it ended then
/// - test: `a_session_is_believed_for_a_day_at_most`
const MAX_SESSION_SECONDS: u64 = 24 * 3600;

/// RFC 8693 section 2.2.1.
#[derive(Deserialize)]
struct Exchanged {
    access_token: Token,
    token_type: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
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
    /// The key of this context.
    pub(crate) fn key(&self, held: &mut Held) -> Result<Arc<ProofKey>, ContextError> {
        if let Some(key) = &held.key {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(ProofKey::of(&self.state()?.file("key")?)?);
        held.key = Some(Arc::clone(&key));
        Ok(key)
    }

    /// A session that is good for a while yet: the one at hand, or another.
    pub(crate) async fn session(&self) -> Result<(Token, Arc<ProofKey>), ClientError> {
        let mut held = self.held.lock().await;
        let key = self.key(&mut held)?;
        let at_hand = held.session.as_ref();
        if let Some(session) = at_hand.filter(|it| now().is_ok_and(|now| it.is_fresh(now))) {
            return Ok((session.token.clone(), key));
        }
        // A refresh token is good once: two processes must not both use it.
        let _lock = self.state()?.lock().await?;
        let tokens = self.tokens()?;
        let kept = tokens.read()?;
        let now = now()?;
        let session = match kept.session.clone().filter(|kept| kept.is_fresh(now)) {
            Some(session) => session,
            None => self.renew(&tokens, kept, &key).await?,
        };
        let token = session.token.clone();
        held.session = Some(session);
        Ok((token, key))
    }

    /// Has the next call begin another session.
    pub(crate) async fn drop_session(&self) -> Result<(), ContextError> {
        let mut held = self.held.lock().await;
        held.session = None;
        let _lock = self.state()?.lock().await?;
        let tokens = self.tokens()?;
        let mut kept = tokens.read()?;
        kept.session = None;
        tokens.write(&kept)
    }

    async fn renew(
        &self,
        tokens: &Tokens<'_>,
        mut kept: Kept,
        key: &ProofKey,
    ) -> Result<Session, ClientError> {
        let subject = match &self.identity {
            Identity::Login { .. } => {
                let renewed = renewal::renew(self, kept.refresh.as_ref()).await?;
                kept.refresh = renewed.refresh;
                // It replaces one that is used up, and is kept whatever the broker says.
                tokens.write(&kept)?;
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
                token: Token::new(self.token()?),
                kind: Subject::JWT,
            },
        };
        let session = self.exchange(&subject, key).await?;
        kept.session = Some(session.clone());
        tokens.write(&kept)?;
        Ok(session)
    }

    /// Takes what a login gave, and keeps the session that the broker gives for it.
    pub(crate) async fn begin_session(
        &self,
        subject: &Subject,
        refresh: Option<Token>,
    ) -> Result<(), ClientError> {
        let mut held = self.held.lock().await;
        let key = self.key(&mut held)?;
        let _lock = self.state()?.lock().await?;
        let session = self.exchange(subject, &key).await?;
        let kept = Kept {
            session: Some(session.clone()),
            refresh,
        };
        self.tokens()?.write(&kept)?;
        held.session = Some(session);
        Ok(())
    }

    /// Forgets a session that the broker no longer takes; whether there was one to forget, and another can be had.
    pub(crate) async fn forget_session(&self) -> Result<bool, ClientError> {
        if !self.has_sessions() {
            return Ok(false);
        }
        self.held.lock().await.session = None;
        let _lock = self.state()?.lock().await?;
        let tokens = self.tokens()?;
        let mut kept = tokens.read()?;
        kept.session = None;
        tokens.write(&kept)?;
        Ok(true)
    }

    /// Whether calls show a session.
    pub(crate) const fn has_sessions(&self) -> bool {
        matches!(
            self.identity,
            Identity::Login { .. } | Identity::Enrolled { .. } | Identity::Aws { .. }
        )
    }

    /// The tokens that are kept of this context.
    pub(crate) fn tokens(&self) -> Result<Tokens<'_>, ContextError> {
        let store = self.login().map_or(Store::File, |login| login.store);
        Ok(Tokens::of(self.state()?, store))
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
        // Whoever is known and has no role is not helped by another login.
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
