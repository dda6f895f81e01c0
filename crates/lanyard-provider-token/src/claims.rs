//! The claims of a token: those of RFC 9068 section 2.2 and Lanyard's own. This module signs
//! nothing.

use lanyard_charter::TokenGrant;
use lanyard_core::provider::MintRequest;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::identity::Confirmation;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;
use serde::{Deserialize, Serialize};

use crate::status::Status;

/// A token's payload. Parsing refuses a payload with any other field, which Lanyard did not sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The configured issuer, byte for byte.
    pub iss: String,
    /// The subject on whose behalf the token acts: the agent itself, or the agent that delegated
    /// the first task of the lineage.
    pub sub: String,
    /// The grant's audience; exactly one.
    pub aud: String,
    /// The agent's name: an agent is its own client (RFC 9068 section 2.2).
    pub client_id: String,
    /// Time of issue, in seconds since the epoch.
    pub iat: u64,
    /// Time of expiry, in seconds since the epoch.
    pub exp: u64,
    /// Id of the token's lease.
    pub jti: LeaseId,
    /// Scope tokens in order, separated by one space (RFC 6749 section 3.3).
    pub scope: String,
    /// The task that the lease belongs to.
    pub task: TaskId,
    /// Name of the charter that the lease rests on.
    pub charter: Name,
    /// Revision of that charter, at which the decision was made.
    pub revision: Revision,
    /// Name of the charter's grant.
    pub grant: Name,
    /// The lease's role, `plan` or `apply`.
    pub role: Role,
    /// The environment that the task runs in.
    pub environment: Name,
    /// SHA-256 of the approved plan, in hex; only on an apply that a plan was approved for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The token's place on a status list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The key that a presenter of the token has to prove possession of (RFC 7800).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// The chain of actors, where the token acts for another subject (RFC 8693 section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Act>>,
}

/// An actor chain: the current actor outermost, earlier ones nested inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// The name of the acting agent.
    pub sub: String,
    /// The actor before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Self>>,
}

impl Act {
    /// The actor chain of `agent` and the agents above it, nearest first. The last of them is the
    /// subject and therefore no actor.
    fn of(agent: &AgentName, lineage: &[AgentName]) -> Option<Box<Self>> {
        let (_, between) = lineage.split_last()?;
        let chain = std::iter::once(agent).chain(between);
        chain.rev().fold(None, |act, agent| {
            let sub = agent.0.clone();
            Some(Box::new(Self { sub, act }))
        })
    }
}

impl Claims {
    /// Builds the claims of one lease.
    pub(crate) fn of(
        issuer: &str,
        grant: &TokenGrant,
        request: &MintRequest,
        status: Option<Status>,
    ) -> Self {
        let scopes: Vec<&str> = grant.scopes.iter().map(String::as_str).collect();
        Self {
            iss: issuer.to_owned(),
            sub: request.lineage.last().unwrap_or(&request.agent).0.clone(),
            aud: grant.audience.clone(),
            client_id: request.agent.0.clone(),
            iat: request.now.as_secs(),
            exp: request.expires.as_secs(),
            jti: request.lease,
            scope: scopes.join(" "),
            task: request.task,
            charter: request.charter.clone(),
            revision: request.revision.clone(),
            grant: request.grant.clone(),
            role: request.role,
            environment: request.environment.clone(),
            plan: request.plan_digest.clone(),
            status,
            cnf: request.key.clone(),
            act: Act::of(&request.agent, &request.lineage),
        }
    }
}
