//! What a token says: the claims of RFC 9068 section 2.2 and Lanyard's own. Nothing here signs.

use lanyard_core::charter::{Name, Revision, Role, TokenGrant};
use lanyard_core::id::{LeaseId, TaskId};
use lanyard_core::identity::Confirmation;
use lanyard_core::provider::MintRequest;
use lanyard_core::scope::AgentName;
use serde::{Deserialize, Serialize};

use crate::status::Status;

/// The payload of a token. A payload with any other field is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The configured issuer, byte for byte.
    pub iss: String,
    /// On whose behalf: the agent itself, or the one that its task was first delegated by.
    pub sub: String,
    /// The grant's audience; exactly one.
    pub aud: String,
    /// The agent's name: an agent is its own client (RFC 9068 section 2.2).
    pub client_id: String,
    /// Seconds since the epoch.
    pub iat: u64,
    /// Seconds since the epoch.
    pub exp: u64,
    /// The lease's id.
    pub jti: LeaseId,
    /// Scope tokens, in order, with one space between.
    pub scope: String,
    /// The task that the lease belongs to.
    pub task: TaskId,
    /// The charter's name.
    pub charter: Name,
    /// The charter's revision.
    pub revision: Revision,
    /// The grant's name.
    pub grant: Name,
    /// plan or apply.
    pub role: Role,
    /// Where the task runs.
    pub environment: Name,
    /// SHA-256 of the approved plan, in hex, for an apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Where its bit is on a status list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The key that whoever presents it has to hold (RFC 7800).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// Who acts for the subject, where that is another (RFC 8693 section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Act>>,
}

/// Who acts: the current one outside, those before it within.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// An agent's name.
    pub sub: String,
    /// Who acted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Self>>,
}

impl Act {
    /// The chain for an agent and those before it, nearest first; the last of them is the subject.
    fn of(agent: &AgentName, behind: &[AgentName]) -> Option<Box<Self>> {
        let (_, between) = behind.split_last()?;
        let chain = std::iter::once(agent).chain(between);
        chain.rev().fold(None, |act, agent| {
            let sub = agent.0.clone();
            Some(Box::new(Self { sub, act }))
        })
    }
}

impl Claims {
    /// The claims of one lease.
    pub(crate) fn of(
        issuer: &str,
        grant: &TokenGrant,
        request: &MintRequest,
        status: Option<Status>,
    ) -> Self {
        let scopes: Vec<&str> = grant.scopes.iter().map(String::as_str).collect();
        Self {
            iss: issuer.to_owned(),
            sub: request.behind.last().unwrap_or(&request.agent).0.clone(),
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
            act: Act::of(&request.agent, &request.behind),
        }
    }
}
