//! Sessions: given to whoever proved an identity and shows a key, and taken from that key alone.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_core::command::{Command, SessionBegun};
use lanyard_core::ledger::look;
use lanyard_identity::jws::MAX_TOKEN_BYTES;
use lanyard_identity::replay_cache::{Owner, Use};
use lanyard_identity::session::{SESSION_TYPE, Session, Who};
use lanyard_identity::verifier::{KILL_GRACE, Purpose};
use lanyard_identity::{CLOCK_SKEW, RejectedToken, Verified};
use lanyard_vocabulary::identity::{Confirmation, Method};
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;

use super::not_for;
use crate::broker::Broker;
use crate::identity::{Found, Presented, Unaccepted, enrolled};
use crate::refusal;
use crate::refused::{Class, Refused};

/// A session that has begun.
pub(crate) struct Begun {
    pub(crate) token: Secret<String>,
    pub(crate) lasts: Duration,
    pub(crate) key: Confirmation,
}

impl Broker {
    /// Begins a session of this caller, bound to this key.
    ///
    /// # Errors
    /// When no charter and no role names the caller, when the caller begins too many, and when the
    /// session cannot be journaled or signed.
    pub(crate) async fn begin_session(
        &self,
        who: Verified,
        key: Confirmation,
    ) -> Result<Begun, Refused> {
        let now = self.engine.clock().system();
        let lasts = match &who {
            Verified::Agent(_) => self.doors.lifetimes.agents,
            Verified::Operator(..) => self.doors.lifetimes.people,
        };
        let identity = who.identity().clone();
        if !self.is_known(&who) {
            return Err(match &who {
                Verified::Operator(..) => not_for(&who, &[]),
                Verified::Agent(_) => refusal::stranger(),
            });
        }
        // A session carries what its token says of the sponsor, and not that this could not be
        // understood.
        let who = Who::of(who).map_err(|why| refusal::invalid("the identity", why))?;
        let mut id = [0; 16];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut id)
            .map_err(|_| Refused::plain(Class::Unavailable, "the system gives no random bits"))?;
        let session = Session {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: identity.to_string(),
            iat: now.as_secs(),
            exp: (now + lasts).as_secs(),
            jti: URL_SAFE_NO_PAD.encode(id),
            cnf: key.clone(),
            who,
        };
        let (evidence, login) = match &session.who {
            Who::Agent { evidence, .. } => (Some(evidence.clone()), None),
            Who::Operator { login, .. } => (None, Some(login.clone())),
        };
        let begun = SessionBegun {
            session: session.jti.clone(),
            identity,
            evidence,
            login,
            key: key.clone(),
            until: session.ends(),
        };
        let owner = begun.identity.clone();
        let begun = Command::BeginSession(Box::new(begun));
        let metered = self.engine.requests().meter(&owner, &begun);
        metered.map_err(|error| refusal::too_many_records(&error, self.engine.clock().now()))?;
        let recorded = self.engine.context().commit(begun).await;
        recorded.map_err(refusal::commit)?;
        let payload = serde_json::to_vec(&session)
            .map_err(|_| Refused::plain(Class::Broken, "a session cannot be written"))?;
        let token = self.keyring.sign_as(SESSION_TYPE, &payload, now);
        let token =
            token.ok_or_else(|| Refused::plain(Class::Unavailable, "there is no signing key"))?;
        // A session has the groups of its person, and is shown like the token that it was begun
        // with.
        let bytes = token.expose().len();
        if bytes > MAX_TOKEN_BYTES {
            let limit = MAX_TOKEN_BYTES;
            return Err(refusal::long_token(&RejectedToken::TooLong {
                bytes,
                limit,
            }));
        }
        Ok(Begun { token, lasts, key })
    }

    fn session(&self, token: &str, now: Timestamp) -> Result<Session, RejectedToken> {
        let payload = self.keyring.verify_as(SESSION_TYPE, token, now);
        let payload = payload.map_err(|_| RejectedToken::Signature)?;
        serde_json::from_slice(&payload).map_err(|_| RejectedToken::Claims)
    }

    /// Verifies whose session it is.
    pub(super) fn by_session(
        &self,
        peer: Option<IpAddr>,
        token: &str,
        (key, purpose): (Option<&Confirmation>, Purpose),
        now: Timestamp,
    ) -> Result<Found, Unaccepted> {
        let session = self.session(token, now)?;
        if self.doors.memory.knows(session.id()) {
            return Err(RejectedToken::Replayed.into());
        }
        let name = session.sub.clone();
        let verifier = &self.doors.verifier;
        let who = session.presented(&self.issuer, (key, purpose), verifier, now)?;
        if purpose != Purpose::Kill {
            self.doors.quotas.admit(&name, peer, now)?;
        }
        if let Verified::Agent(caller) = &who
            && caller.evidence.method == Method::EnrolledKey
        {
            let holds = look(self.ledger.as_ref(), |state| {
                enrolled::still_holds(state, caller)
            });
            if !holds {
                return Err(RejectedToken::Issuer.into());
            }
        }
        Ok(Found { who, used: None })
    }

    /// Ends a session, for whoever holds its key. Nothing is said of one that is none.
    ///
    /// # Errors
    /// When the end cannot be written down.
    pub(crate) async fn end_session(
        &self,
        presented: &Presented,
        token: &str,
    ) -> Result<(), Refused> {
        let now = self.engine.clock().system();
        let Ok(session) = self.session(token, now) else {
            return Ok(());
        };
        let shown = self.whose(presented, (Some(token), Purpose::Change)).await;
        if let Err(status) = shown {
            // Of a session that is over or somebody else's nothing is said; that it could not be
            // ended is.
            let is_over = status.class == Class::Unauthenticated;
            return if is_over { Ok(()) } else { Err(status) };
        }
        let end = Use {
            id: session.id(),
            key: None,
            // For as long as it could engage a kill.
            until: session.ends() + KILL_GRACE + CLOCK_SKEW,
        };
        let (issuer, is_known) = match &session.who {
            Who::Agent { identity, .. } => (
                &identity.issuer,
                self.engine.charters().name_agent(identity),
            ),
            Who::Operator { operator, .. } => (&operator.identity.issuer, true),
        };
        let owner = Owner {
            issuer,
            name: &session.sub,
            is_known,
        };
        let forgettable = self.engine.clock().forgettable();
        let remembered = self.doors.memory.remember(&end, owner, forgettable);
        let remembered = remembered.map_err(|_| refusal::not_now())?;
        remembered.durable().await.map_err(|_| refusal::not_now())
    }
}
