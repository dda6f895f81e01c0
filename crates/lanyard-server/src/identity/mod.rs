//! Who is asking. One way in for gRPC and HTTP: what a request shows becomes a verified caller, or a refusal that says
//! nothing of why.
//!
//! In this order: its form, its signature, whether its identity has called too often, whether it was used before, what its
//! own platform says, and then that it is used from now on.

mod aws;
mod cluster;
pub(crate) mod config;
pub(crate) mod enrolled;
pub(crate) mod exchange;
mod names;
pub(crate) mod people;
mod presented;
mod quotas;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::identity::{
    Caller, Confirmation, Identity, Login, Method, Operator, OperatorRole,
};
use lanyard_core::kill::Actor;
use lanyard_core::ledger::look;
use lanyard_core::scope::Scope;
use lanyard_core::time::Timestamp;
use lanyard_identity::aws::CallerIdentityRequest;
use lanyard_identity::break_glass::{BREAK_GLASS_TYPE, BreakGlass};
use lanyard_identity::replay_cache::{Owner, ReplayCache, Use};
use lanyard_identity::session::SESSION_TYPE;
use lanyard_identity::spiffe::{Bundle, TrustDomains, thumbprint};
use lanyard_identity::ticket::TICKET_TYPE;
use lanyard_identity::verifier::{Claimed, Purpose};
use lanyard_identity::{Accepted, RejectedToken, Tickets, Verified, Verifier, dpop, jws};
use tonic::Status;

use crate::discovery::KeyWatch;
use crate::lanes::Lanes;
use crate::refusal;
use crate::wire::Broker;

pub(crate) use aws::AwsIdentities;
pub(crate) use cluster::{ClusterDoor, Place};
pub(crate) use config::IdentityConfig;
pub(crate) use enrolled::Challenges;
pub(crate) use presented::{Presented, presented};
pub(crate) use quotas::{Inspections, QuotaConfig, Quotas, TooMany};
pub(crate) use session::Lifetimes;

use presented::Scheme;

/// How long a request waits for the record of its caller's newest groups.
const RECORDED_WITHIN: Duration = Duration::from_secs(2);

/// How fresh a login has to be for something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// How long ago it may be at most.
    pub(crate) within: Option<Duration>,
    /// Which strengths (`acr`) are enough; any, where none is named.
    pub(crate) acr: BTreeSet<String>,
}

impl Freshness {
    /// Whether this login will do.
    ///
    /// # Errors
    /// Which one would (RFC 9470).
    pub(crate) fn met_by(&self, login: &Login, now: Timestamp) -> Result<(), Status> {
        let recent = |within| login.at.is_some_and(|at| now.since(at) <= within);
        let strong = login.acr.as_ref().is_some_and(|acr| self.acr.contains(acr));
        if self.within.is_none_or(recent) && (self.acr.is_empty() || strong) {
            return Ok(());
        }
        Err(refusal::reauthenticate(self))
    }
}

/// What takes a fresh login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FreshLogin {
    /// Proposing and confirming a re-arm.
    pub(crate) rearm: Freshness,
    /// Approving a plan of high risk.
    pub(crate) high_risk: Freshness,
}

/// Everything that is needed to know who asks.
pub(crate) struct Doors {
    pub(crate) verifier: Verifier,
    pub(crate) memory: Arc<ReplayCache>,
    pub(crate) domains: TrustDomains,
    /// By the issuer of their tokens.
    pub(crate) clusters: BTreeMap<String, ClusterDoor>,
    pub(crate) aws: Option<AwsIdentities>,
    pub(crate) tickets: Option<Tickets>,
    pub(crate) break_glass: BreakGlass,
    pub(crate) keys: KeyWatch,
    pub(crate) quotas: Quotas,
    /// The calls that are served at a time.
    pub(crate) turns: Lanes<Identity>,
    pub(crate) inspections: Inspections,
    pub(crate) challenges: Challenges,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) fresh: FreshLogin,
    /// `aud` of what is presented.
    pub(crate) audience: String,
    /// Under which schemes and authorities the broker is reached.
    pub(crate) origins: Vec<String>,
    /// What `lanyard login` needs to know.
    pub(crate) logins: Vec<LoginConfig>,
}

/// Where people log in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct LoginConfig {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
}

/// What is found out about a caller before it counts.
struct Found {
    who: Verified,
    /// What is to be remembered, besides the proof of possession.
    used: Option<Use>,
}

/// Why a caller is sent away.
enum Refused {
    Token(RejectedToken),
    TooMany(TooMany),
}

impl From<RejectedToken> for Refused {
    fn from(error: RejectedToken) -> Self {
        Self::Token(error)
    }
}

impl From<TooMany> for Refused {
    fn from(error: TooMany) -> Self {
        Self::TooMany(error)
    }
}

/// A key that was shown, and the proof that is to be remembered.
type Key = (Option<Confirmation>, Option<Use>);

impl Broker {
    /// The verified caller of a request.
    ///
    /// # Errors
    /// A coarse refusal; the reason is logged.
    pub(crate) async fn caller(&self, presented: &Presented) -> Result<Verified, Status> {
        self.caller_for(presented, presented.purpose()).await
    }

    async fn caller_for(
        &self,
        presented: &Presented,
        purpose: Purpose,
    ) -> Result<Verified, Status> {
        let token = presented.token().map(|(_, token)| token);
        self.whose(presented, (token, purpose)).await
    }

    /// Who it is whose token this is, when it is presented like that: in the header, or in the body of an exchange.
    ///
    /// # Errors
    /// A coarse refusal; the reason is logged.
    pub(crate) async fn whose(
        &self,
        presented: &Presented,
        (token, purpose): (Option<&str>, Purpose),
    ) -> Result<Verified, Status> {
        let judged = self
            .whose_at(presented, (token, purpose), self.engine.system_time())
            .await;
        match judged {
            // Operators see that the clock is wrong although their own tokens look expired by it; nothing changes by that.
            Err(_) if purpose == Purpose::Look && self.engine.is_clock_doubted() => {
                let now = self.engine.now();
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
    ) -> Result<Verified, Status> {
        let outcome = self.found_and_used(presented, (token, purpose), now).await;
        let who = outcome.map_err(|refused| match refused {
            Refused::Token(error) => {
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
            Refused::TooMany(too_many) => refusal::too_many(&too_many),
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

    /// A person with the groups that no newer login has lost (S37). What is newer than what was known counts from its record
    /// on, also for what that person said yes to (T22).
    async fn recognized(&self, operator: Operator) -> Operator {
        let recorded =
            tokio::time::timeout(RECORDED_WITHIN, self.engine.recognize(&operator)).await;
        match recorded {
            Ok(Ok(())) => {}
            // Reading has to go on where nothing can be written.
            Ok(Err(error)) => tracing::error!(%error, "a person's rights could not be journaled"),
            Err(_) => tracing::error!("a person's rights were not journaled in time"),
        }
        let known = look(self.ledger.as_ref(), |state| state.as_known(&operator));
        known.unwrap_or(operator)
    }

    async fn found_and_used(
        &self,
        presented: &Presented,
        (token, purpose): (Option<&str>, Purpose),
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        let (key, proof) = self.doors.shown(presented, token, now)?;
        let found = match token {
            None => self.doors.certified(presented, now)?,
            Some(token) => {
                self.found(presented.peer(), token, (&key, purpose), now)
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
                let forgettable = self.engine.forgettable();
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

    /// Whether a role, a charter in force, an open task or an enrolment knows the caller: with issuers whose tokens anybody can
    /// have, that is not so of everybody whose token verifies. An agent whose charter is broken for a while still closes its
    /// tasks and reports what it did.
    pub(crate) fn is_known(&self, who: &Verified) -> bool {
        match who {
            Verified::Operator(operator, _) => !operator.roles.is_empty(),
            Verified::Agent(caller) => {
                caller.evidence.method == Method::EnrolledKey || self.engine.knows(&caller.identity)
            }
        }
    }

    /// Whose token it is, by its kind. The token names its kind; each kind is then checked as what it says.
    async fn found(
        &self,
        peer: Option<IpAddr>,
        token: &str,
        (key, purpose): (&Option<Confirmation>, Purpose),
        now: Timestamp,
    ) -> Result<Found, Refused> {
        let key = key.as_ref();
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
        let (known, by) = known.flatten().ok_or(RejectedToken::Issuer)?;
        let sponsor = self.doors.verifier.sponsor_who_invited(by);
        let own = (self.issuer.as_str(), self.doors.audience.as_str());
        enrolled::verified((&name, &known, sponsor), (token, key), own, now)
    }

    /// Who engages a kill of this scope: an on-call engineer, or the holder of a ticket for it or of a break-glass key.
    pub(crate) async fn killer(
        &self,
        presented: &Presented,
        scope: &Scope,
    ) -> Result<Actor, Status> {
        let mut refused = refusal::unauthenticated();
        let token = presented.token().map(|(_, token)| token);
        let issued = token.and_then(jws::issued_at);
        // A proof of possession is newer than the session that it goes with.
        let issued = issued.max(presented.proof().and_then(jws::issued_at));
        let mut tried = Vec::new();
        for now in self.engine.times_for_a_kill(issued) {
            // While no clock is in doubt the three are one, and a proof is not judged, or counted as refused, three times.
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
    ) -> Result<Actor, Status> {
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

impl Doors {
    /// Which clusters cannot be asked about their agents, and why.
    pub(crate) fn problems(&self) -> Vec<String> {
        let clusters = self.clusters.iter();
        let problems = clusters.filter_map(|(issuer, door)| {
            let why = door.problem()?;
            Some(format!("the cluster of issuer `{issuer}` cannot be asked, and its agents are refused: {why}"))
        });
        let keyless = self.verifier.without_usable_keys().map(|issuer| {
            format!("the key set of issuer `{issuer}` has no key that can be used, and its tokens are refused: the log has the reasons")
        });
        problems.chain(keyless).collect()
    }

    /// The key that the caller shows that it holds.
    fn shown(
        &self,
        presented: &Presented,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Key, RejectedToken> {
        let in_header = presented.token();
        let proof = match (presented.proof(), &in_header) {
            (Some(proof), _) => proof,
            (None, Some((Scheme::Dpop, _))) => return Err(RejectedToken::Possession),
            (None, _) => {
                let leaf = presented.certificates().and_then(<[_]>::first);
                return Ok((leaf.map(thumbprint), None));
            }
        };
        let target = dpop::Target {
            method: presented.method(),
            path: presented.path(),
            origins: &self.origins,
        };
        // A proof is of the token in the header; one in the body is not what the request is protected by.
        let bound = token.filter(|_| in_header.is_some());
        let proof = dpop::check(proof, &target, bound, now).inspect_err(|_| {
            let (path, origins) = (presented.path(), self.origins.join(", "));
            tracing::info!(
                path,
                origins,
                "a proof of possession is not of this request"
            );
        })?;
        let used = Use {
            id: proof.id,
            key: None,
            until: proof.until,
        };
        Ok((Some(proof.key), Some(used)))
    }

    /// Takes in the bundle of a trust domain: for certificates and for tokens.
    pub(crate) fn take_bundle(
        &self,
        issuer: &str,
        mut bundle: Bundle,
        until: Timestamp,
    ) -> Vec<String> {
        let passed_over = std::mem::take(&mut bundle.passed_over);
        if let Some(keys) = bundle.keys.take() {
            self.verifier.renew(issuer, keys, until);
        }
        let domain = issuer.strip_prefix("spiffe://").unwrap_or_default();
        self.domains.renew(domain, bundle, until);
        passed_over
    }

    /// Who shows a client certificate and nothing else.
    fn certified(&self, presented: &Presented, now: Timestamp) -> Result<Found, Refused> {
        let chain = presented.certificates().ok_or(RejectedToken::Form)?;
        let (identity, evidence) = self.domains.verify(chain, now)?;
        self.quotas
            .admit(&identity.to_string(), presented.peer(), now)?;
        let sponsor = self.verifier.sponsor_without_claims(&identity.issuer);
        let caller = Caller {
            identity,
            evidence,
            sponsor,
        };
        Ok(Found {
            who: Verified::Agent(caller),
            used: None,
        })
    }

    /// A token of an issuer of the configuration.
    async fn by_token(
        &self,
        peer: Option<IpAddr>,
        token: &str,
        (key, purpose): (Option<&Confirmation>, Purpose),
        now: Timestamp,
    ) -> Result<Found, Refused> {
        if let Some(issuer) = self.verifier.issuer_with_unknown_key(token) {
            self.keys.renewed(issuer).await;
        }
        let Accepted { mut who, used } = self.verifier.verify(token, key, purpose, now)?;
        let identity = who.identity().clone();
        if let Verified::Operator(operator, login) = &who
            && let Some(why) = no_role(operator, login)
        {
            tracing::info!(%identity, why, "a person has no role");
        }
        if purpose != Purpose::Kill {
            self.quotas.admit(&identity.to_string(), peer, now)?;
            self.memory
                .check_unused(&used)
                .inspect_err(|_| self.quotas.refused(&identity.to_string(), peer, now))?;
        }
        // The kill switch never depends on an API server: the signature of an operator's token is enough for a kill.
        let is_kill = purpose == Purpose::Kill && matches!(who, Verified::Operator(..));
        let cluster = self.clusters.get(&identity.issuer);
        if let Some(cluster) = cluster.filter(|_| !is_kill) {
            let asked = (token, self.audience.as_str());
            let stood = cluster.stand_for(&identity.subject, asked, now).await;
            let (method, claims) = stood.inspect_err(|error| {
                // That nobody answers is not the caller's fault.
                if !matches!(error, RejectedToken::Unanswered(_)) {
                    self.quotas.refused(&identity.to_string(), peer, now);
                }
            })?;
            if let Verified::Agent(caller) = &mut who {
                caller.evidence.method = method;
                caller.evidence.claims.extend(claims);
            }
        }
        Ok(Found {
            who,
            used: Some(used),
        })
    }

    fn by_ticket(&self, token: &str, scope: &Scope, now: Timestamp) -> Result<Actor, Status> {
        let tickets = self.tickets.as_ref().ok_or_else(refusal::unauthenticated)?;
        let ticket = tickets.verify(token, now).map_err(|error| {
            tracing::warn!(%error, "a kill ticket was not accepted");
            refusal::unauthenticated()
        })?;
        if ticket.covers(scope) {
            Ok(Actor::Ticket {
                id: ticket.id,
                key: ticket.key,
            })
        } else {
            Err(refusal::other_scope(&ticket.scope, scope))
        }
    }
}

/// The operator, if the caller is one and has this role.
pub(crate) fn operator(
    verified: Verified,
    role: OperatorRole,
) -> Result<(Operator, Login), Status> {
    match verified {
        Verified::Operator(operator, login) if operator.is(role) => Ok((operator, login)),
        other @ (Verified::Operator(..) | Verified::Agent(..)) => Err(not_for(&other, &[role])),
    }
}

/// The refusal of a call whose roles the caller has none of. A call without roles is for agents.
pub(crate) fn not_for(caller: &Verified, needed: &[OperatorRole]) -> Status {
    let Verified::Operator(operator, login) = caller else {
        return refusal::for_people(needed);
    };
    if let Some(why) = no_role(operator, login) {
        return refusal::no_role(&why, needed);
    }
    let held: Vec<_> = operator.roles.iter().copied().collect();
    refusal::other_roles(&held, needed)
}

/// Why a person has no role at all; none where they have one.
pub(crate) fn no_role(operator: &Operator, login: &Login) -> Option<String> {
    if !operator.roles.is_empty() {
        return None;
    }
    // The configuration maps the groups of this login: a newer login of the account has lost them.
    let lost = || "a newer login of this account has fewer groups".to_owned();
    Some(login.no_role.clone().unwrap_or_else(lost))
}

/// The agent, if the caller is one.
pub(crate) fn agent(verified: Verified) -> Result<Caller, Status> {
    match verified {
        Verified::Agent(caller) => Ok(caller),
        other @ Verified::Operator(..) => Err(not_for(&other, &[])),
    }
}
