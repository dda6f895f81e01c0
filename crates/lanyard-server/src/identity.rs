//! Authenticators: each verifies one kind of proof of the caller's identity. None of them knows
//! tasks, charters or calls.

mod aws;
pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod discovery;
pub(crate) mod enrolled;
pub(crate) mod issuer;
mod names;
pub(crate) mod people;
mod presented;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::kill::Actor;
use lanyard_identity::break_glass::BreakGlass;
use lanyard_identity::replay_cache::{ReplayCache, Use};
use lanyard_identity::spiffe::{Bundle, TrustDomains, thumbprint};
use lanyard_identity::verifier::Purpose;
use lanyard_identity::{Accepted, RejectedToken, Tickets, Verified, Verifier, dpop};
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::identity::{Confirmation, Identity};
use lanyard_vocabulary::operator::{Login, Operator};
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::Timestamp;

use crate::freshness::FreshLogin;
use crate::lanes::Lanes;
use crate::quotas::{Inspections, Quotas, TooMany};
use crate::refusal;
use crate::refused::Refused;

pub(crate) use aws::AwsIdentities;
pub(crate) use cluster::{ClusterDoor, Place};
pub(crate) use config::IdentityConfig;
pub(crate) use enrolled::Challenges;
pub(crate) use presented::{Presented, presented};

use discovery::KeyWatch;
use presented::Scheme;

/// The lifetimes of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetimes {
    /// The lifetime of a workload's session. A workload that has ended can act through its session
    /// for up to this long.
    pub(crate) agents: Duration,
    /// The lifetime of a person's session.
    pub(crate) people: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            agents: Duration::from_secs(300),
            people: Duration::from_secs(3600),
        }
    }
}

/// Everything that authenticates callers.
pub(crate) struct Doors {
    pub(crate) verifier: Verifier,
    pub(crate) memory: Arc<ReplayCache>,
    pub(crate) domains: TrustDomains,
    /// The clusters whose API servers review tokens, by the tokens' issuer.
    pub(crate) clusters: BTreeMap<String, ClusterDoor>,
    pub(crate) aws: Option<AwsIdentities>,
    pub(crate) tickets: Option<Tickets>,
    pub(crate) break_glass: BreakGlass,
    pub(crate) keys: KeyWatch,
    pub(crate) quotas: Quotas,
    /// The turns that bound how many calls of one identity run at a time.
    pub(crate) turns: Lanes<Identity>,
    pub(crate) inspections: Inspections,
    pub(crate) challenges: Challenges,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) fresh: FreshLogin,
    /// The audience (`aud`) that tokens and proofs must name.
    pub(crate) audience: String,
    /// The schemes and authorities by which callers reach the broker.
    pub(crate) origins: Vec<String>,
    /// The identity providers that people log in at, as `lanyard login` asks for them.
    pub(crate) logins: Vec<LoginConfig>,
}

/// An identity provider that people log in at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct LoginConfig {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
}

/// The verified facts about a caller who is not accepted yet.
pub(crate) struct Found {
    pub(crate) who: Verified,
    /// The use that the replay cache has to record, besides the proof of possession.
    pub(crate) used: Option<Use>,
}

/// The reason why a caller is refused.
pub(crate) enum Unaccepted {
    Token(RejectedToken),
    TooMany(TooMany),
}

impl From<RejectedToken> for Unaccepted {
    fn from(error: RejectedToken) -> Self {
        Self::Token(error)
    }
}

impl From<TooMany> for Unaccepted {
    fn from(error: TooMany) -> Self {
        Self::TooMany(error)
    }
}

/// The key that a caller proved to hold, and the proof for the replay cache.
pub(crate) type Key = (Option<Confirmation>, Option<Use>);

impl Doors {
    /// Returns a line for each cluster or issuer of which no caller can be verified, and why.
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

    /// Returns the key that the caller proved to hold.
    pub(crate) fn shown(
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
        // A proof covers the token in the header only; a token in the body does not protect the
        // request.
        let bound = token.filter(|_| in_header.is_some());
        let proof = dpop::check(proof, &target, bound, now).inspect_err(|_| {
            let (path, origins) = (presented.path(), self.origins.join(", "));
            tracing::info!(
                path,
                origins,
                "a proof of possession is for another request"
            );
        })?;
        let used = Use {
            id: proof.id,
            key: None,
            until: proof.until,
        };
        Ok((Some(proof.key), Some(used)))
    }

    /// Replaces the bundle of a trust domain, for certificates and for tokens.
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

    /// Verifies a caller that shows only a client certificate.
    pub(crate) fn certified(
        &self,
        presented: &Presented,
        now: Timestamp,
    ) -> Result<Found, Unaccepted> {
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

    /// Verifies a token of a configured issuer.
    pub(crate) async fn by_token(
        &self,
        peer: Option<IpAddr>,
        token: &str,
        (key, purpose): (Option<&Confirmation>, Purpose),
        now: Timestamp,
    ) -> Result<Found, Unaccepted> {
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
        // The kill switch never depends on an API server: the signature of an operator's token is
        // enough for a kill.
        let is_kill = purpose == Purpose::Kill && matches!(who, Verified::Operator(..));
        let cluster = self.clusters.get(&identity.issuer);
        if let Some(cluster) = cluster.filter(|_| !is_kill) {
            let asked = (token, self.audience.as_str());
            let stood = cluster.stand_for(&identity.subject, asked, now).await;
            let (method, claims) = stood.inspect_err(|error| {
                // A cluster that does not answer is not the caller's fault.
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

    pub(crate) fn by_ticket(
        &self,
        token: &str,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<Actor, Refused> {
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

/// Returns why a person has no role; `None` if the person has one.
pub(crate) fn no_role(operator: &Operator, login: &Login) -> Option<String> {
    if !operator.roles.is_empty() {
        return None;
    }
    // The configuration gives roles to the groups of this login, and a newer login of the account
    // has lost those groups.
    let lost = || "a newer login of this account has fewer groups".to_owned();
    Some(login.no_role.clone().unwrap_or_else(lost))
}
