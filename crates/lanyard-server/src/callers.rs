//! Who is asking. One way in for gRPC and HTTP: what a request shows becomes a verified caller, or
//! a refusal that says nothing of why.
//!
//! In this order: its form, its signature, whether its identity has called too often, whether it
//! was used before, what its own platform says, and then that it is used from now on.

mod session;

use std::net::IpAddr;
use std::time::Duration;

use lanyard_core::kill::Actor;
use lanyard_core::ledger::look;
use lanyard_identity::aws::CallerIdentityRequest;
use lanyard_identity::break_glass::BREAK_GLASS_TYPE;
use lanyard_identity::replay_cache::Owner;
use lanyard_identity::session::SESSION_TYPE;
use lanyard_identity::ticket::TICKET_TYPE;
use lanyard_identity::verifier::{Claimed, Purpose};
use lanyard_identity::{RejectedToken, Verified, jws};
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::identity::{Confirmation, Method};
use lanyard_vocabulary::operator::{Login, Operator, OperatorRole};
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::Timestamp;

use crate::broker::Broker;
use crate::identity::{Found, Presented, Unaccepted, enrolled, no_role};
use crate::refusal;
use crate::refused::Refused;

pub(crate) use session::Begun;

/// The time for which a request waits for the record of its caller's newest groups.
const RECORDED_WITHIN: Duration = Duration::from_secs(2);

impl Broker {
    /// The verified caller of a request.
    ///
    /// # Errors
    /// A coarse refusal; the reason is logged.
    pub(crate) async fn caller(&self, presented: &Presented) -> Result<Verified, Refused> {
        self.caller_for(presented, presented.purpose()).await
    }

    async fn caller_for(
        &self,
        presented: &Presented,
        purpose: Purpose,
    ) -> Result<Verified, Refused> {
        let token = presented.token().map(|(_, token)| token);
        self.whose(presented, (token, purpose)).await
    }

    /// Verifies whose token this is, when it is presented like that: in the header, or in the body
    /// of an exchange.
    ///
    /// # Errors
    /// A coarse refusal; the reason is logged.
    pub(crate) async fn whose(
        &self,
        presented: &Presented,
        (token, purpose): (Option<&str>, Purpose),
    ) -> Result<Verified, Refused> {
        let judged = self
            .whose_at(presented, (token, purpose), self.engine.clock().system())
            .await;
        match judged {
            // Operators see that the clock is wrong although their own tokens look expired by it;
            // nothing changes by that.
            Err(_) if purpose == Purpose::Look && self.engine.clock().is_doubted() => {
                let now = self.engine.clock().now();
                self.whose_at(presented, (token, purpose), now).await
            }
            judged => judged,
        }
    }

    async fn whose_at(
        &self,
        presented: &Presented,
        (token, purpose): (Option<&str>, Purpose),
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        let outcome = self.found_and_used(presented, (token, purpose), now).await;
        let who = outcome.map_err(|refused| match refused {
            Unaccepted::Token(error) => {
                tracing::info!(%error, "an identity was not accepted");
                if matches!(
                    error,
                    RejectedToken::ReplayCacheFailed | RejectedToken::ReplayCacheFull
                ) {
                    refusal::not_now()
                } else if matches!(error, RejectedToken::Unanswered(_)) {
                    refusal::unanswered()
                } else if matches!(error, RejectedToken::TooLong { .. }) {
                    refusal::long_token(&error)
                } else {
                    refusal::unauthenticated()
                }
            }
            Unaccepted::TooMany(too_many) => refusal::too_many(&too_many),
        })?;
        match who {
            Verified::Operator(operator, login) if purpose != Purpose::Kill => {
                let operator = self.recognized(operator).await;
                Ok(Verified::Operator(operator, login))
            }
            // An engineer on call who lost that role a moment ago still stops things.
            Verified::Operator(..) | Verified::Agent(_) => Ok(who),
        }
    }

    /// A person with the groups that no newer login has lost (S37). What is newer than what was
    /// known counts from its record on, also for what that person said yes to (T22).
    async fn recognized(&self, operator: Operator) -> Operator {
        let recorded = tokio::time::timeout(
            RECORDED_WITHIN,
            self.engine.approvals().recognize(&operator),
        )
        .await;
        match recorded {
            Ok(Ok(())) => {}
            // Reading has to go on where nothing can be written.
            Ok(Err(error)) => tracing::error!(%error, "a person's rights could not be journaled"),
            Err(_) => tracing::error!("a person's rights were not journaled in time"),
        }
        look(self.ledger.as_ref(), |state| state.as_known(&operator))
    }

    async fn found_and_used(
        &self,
        presented: &Presented,
        (token, purpose): (Option<&str>, Purpose),
        now: Timestamp,
    ) -> Result<Verified, Unaccepted> {
        let (key, proof) = self.doors.shown(presented, token, now)?;
        let found = match token {
            None => self.doors.certified(presented, now)?,
            Some(token) => {
                self.found(presented.peer(), token, (key.as_ref(), purpose), now)
                    .await?
            }
        };
        if purpose != Purpose::Kill {
            let turns = &self.doors.turns;
            presented.wait(turns, found.who.identity()).await;
        }
        let name = found.who.identity().to_string();
        let is_known = self.is_known(&found.who);
        let owner = Owner {
            issuer: &found.who.identity().issuer,
            name: &name,
            is_known,
        };
        let uses = found.used.into_iter().chain(proof);
        if purpose != Purpose::Kill {
            for used in uses {
                let forgettable = self.engine.clock().forgettable();
                let remembered = self.doors.memory.remember(&used, owner, forgettable);
                let remembered = remembered.inspect_err(|_| {
                    self.doors.quotas.refused(&name, presented.peer(), now);
                })?;
                if purpose == Purpose::Change {
                    let durable = tokio::time::timeout(RECORDED_WITHIN, remembered.durable());
                    // A disk that hangs is one that does not take it.
                    let durable = durable
                        .await
                        .unwrap_or(Err(RejectedToken::ReplayCacheFailed));
                    // Within this process it is used up all the same.
                    durable.or_else(|error| match presented.is_acceptance() {
                        true => Ok(()),
                        false => Err(error),
                    })?;
                }
            }
        }
        // For a kill a token is good that was used or has ended: whether that may be is seen later.
        if purpose != Purpose::Kill {
            if is_known {
                presented.vouch();
            } else {
                presented.disown();
            }
        }
        Ok(found.who)
    }

    /// Tells if a role, a charter in force, an open task or an enrolment knows the caller: with
    /// issuers whose tokens anybody can have, that is not so of everybody whose token verifies. An
    /// agent whose charter is broken for a while still closes its tasks and reports what it did.
    pub(crate) fn is_known(&self, who: &Verified) -> bool {
        match who {
            Verified::Operator(operator, _) => !operator.roles.is_empty(),
            Verified::Agent(caller) => {
                caller.evidence.method == Method::EnrolledKey
                    || self.engine.context().knows(&caller.identity)
            }
        }
    }

    /// Verifies whose token it is, by its kind. The token names its kind; each kind is then checked
    /// as what it says.
    async fn found(
        &self,
        peer: Option<IpAddr>,
        token: &str,
        (key, purpose): (Option<&Confirmation>, Purpose),
        now: Timestamp,
    ) -> Result<Found, Unaccepted> {
        if CallerIdentityRequest::is_one(token) {
            return self.doors.by_aws(peer, (token, key), now).await;
        }
        if jws::type_of(token).as_deref() == Some(SESSION_TYPE) {
            return self.by_session(peer, token, (key, purpose), now);
        }
        let claimed = Claimed::of(token)?;
        if claimed.issuer == self.issuer {
            let found = self.by_enrolled_key(&claimed, (token, key), now)?;
            self.doors
                .quotas
                .admit(&found.who.identity().to_string(), peer, now)?;
            return Ok(found);
        }
        self.doors.by_token(peer, token, (key, purpose), now).await
    }

    fn by_enrolled_key(
        &self,
        claimed: &Claimed,
        (token, key): (&str, Option<&Confirmation>),
        now: Timestamp,
    ) -> Result<Found, RejectedToken> {
        let name = enrolled::named(claimed)?;
        let known = look(self.ledger.as_ref(), |state| {
            let known = state.enrolment().agent(&name)?;
            Some((known.key.clone(), known.by.clone()))
        });
        let (known, by) = known.ok_or(RejectedToken::Issuer)?;
        let sponsor = self.doors.verifier.sponsor_who_invited(by);
        let own = (self.issuer.as_str(), self.doors.audience.as_str());
        enrolled::verified((&name, &known, sponsor), (token, key), own, now)
    }

    /// Verifies who engages a kill of this scope: an on-call engineer, or the holder of a ticket
    /// for it or of a break-glass key.
    pub(crate) async fn killer(
        &self,
        presented: &Presented,
        scope: &Scope,
    ) -> Result<Actor, Refused> {
        let mut refused = refusal::unauthenticated();
        let token = presented.token().map(|(_, token)| token);
        let issued = token.and_then(jws::issued_at);
        // A proof of possession is newer than the session that it goes with.
        let issued = issued.max(presented.proof().and_then(jws::issued_at));
        let mut tried = Vec::new();
        for now in self.engine.clock().times_for_a_kill(issued) {
            // While no clock is in doubt the three are one, and a proof is not judged, or counted
            // as refused, three times.
            if tried.contains(&now) {
                continue;
            }
            tried.push(now);
            match self.killer_at(presented, scope, now).await {
                Ok(actor) => {
                    presented.vouch();
                    return Ok(actor);
                }
                Err(status) => refused = status,
            }
        }
        Err(refused)
    }

    async fn killer_at(
        &self,
        presented: &Presented,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<Actor, Refused> {
        let token = presented.token().map(|(_, token)| token);
        match token.and_then(jws::type_of).as_deref() {
            Some(TICKET_TYPE) => self.doors.by_ticket(token.unwrap_or_default(), scope, now),
            Some(BREAK_GLASS_TYPE) => {
                let verified = self
                    .doors
                    .break_glass
                    .verify(token.unwrap_or_default(), now);
                let (name, key) = verified.map_err(|error| {
                    tracing::warn!(%error, "a break-glass key was not accepted");
                    refusal::unauthenticated()
                })?;
                Ok(Actor::BreakGlass { name, key })
            }
            Some(_) | None => {
                let verified = self
                    .whose_at(presented, (token, Purpose::Kill), now)
                    .await?;
                let (operator, _) = operator(verified, OperatorRole::OnCall)?;
                Ok(Actor::Operator(operator.identity))
            }
        }
    }
}

impl Broker {
    /// The key whose possession a request without a token proves.
    pub(crate) fn key_shown(&self, presented: &Presented) -> Result<Option<Confirmation>, Refused> {
        let now = self.engine.clock().system();
        let shown = self.doors.shown(presented, None, now);
        let (key, _) = shown.map_err(|_| refusal::unauthenticated())?;
        Ok(key)
    }

    /// True if the request proves possession of this key. The proof is added to the replay cache.
    pub(crate) async fn holds(
        &self,
        presented: &Presented,
        token: &str,
        key: &Confirmation,
    ) -> bool {
        let now = self.engine.clock().system();
        let shown = self.doors.shown(presented, Some(token), now);
        let Ok((Some(shown), proof)) = shown else {
            return false;
        };
        if shown != *key {
            return false;
        }
        let Some(proof) = proof else {
            return true;
        };
        let name = shown.to_string();
        let owner = Owner {
            issuer: "keys",
            name: &name,
            // It shows the token of a lease that is live.
            is_known: true,
        };
        let forgettable = self.engine.clock().forgettable();
        match self.doors.memory.remember(&proof, owner, forgettable) {
            Ok(remembered) => remembered.durable().await.is_ok(),
            Err(_) => false,
        }
    }
}

/// The operator, if the caller is one and has this role.
pub(crate) fn operator(
    verified: Verified,
    role: OperatorRole,
) -> Result<(Operator, Login), Refused> {
    match verified {
        Verified::Operator(operator, login) if operator.is(role) => Ok((operator, login)),
        other @ (Verified::Operator(..) | Verified::Agent(..)) => Err(not_for(&other, &[role])),
    }
}

/// The refusal of a call whose roles the caller has none of. A call without roles is for agents.
pub(crate) fn not_for(caller: &Verified, needed: &[OperatorRole]) -> Refused {
    let Verified::Operator(operator, login) = caller else {
        return refusal::for_people(needed);
    };
    if let Some(why) = no_role(operator, login) {
        return refusal::no_role(&why, needed);
    }
    let held: Vec<_> = operator.roles.iter().copied().collect();
    refusal::other_roles(&held, needed)
}

/// The agent, if the caller is one.
pub(crate) fn agent(verified: Verified) -> Result<Caller, Refused> {
    match verified {
        Verified::Agent(caller) => Ok(caller),
        other @ Verified::Operator(..) => Err(not_for(&other, &[])),
    }
}
