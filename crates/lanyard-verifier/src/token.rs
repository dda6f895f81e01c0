//! The claims of a broker's token (RFC 9068), after its signature was checked. Unknown claims are
//! ignored, because a newer broker may send more than this version knows.

use std::time::Duration;

use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{LeaseId, TaskId};
use lanyard_vocabulary::identity::Confirmation;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;
use serde::Deserialize;

use crate::accepted::Accepted;
use crate::refusal::Refusal;

/// Difference that is allowed between the clocks of the broker and of the verifier (T13).
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(5);
/// Header `typ` of an access token (RFC 9068 section 2.1).
pub(crate) const ACCESS_TOKEN_TYPE: &str = "at+jwt";

/// The claims of an access token.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    /// A single audience: a token with a list of audiences is not the broker's and does not parse
    /// (T8).
    aud: String,
    client_id: String,
    iat: u64,
    nbf: Option<u64>,
    exp: u64,
    jti: LeaseId,
    scope: String,
    task: TaskId,
    charter: Name,
    revision: Revision,
    grant: Name,
    role: Role,
    environment: Name,
    plan: Option<String>,
    status: Option<Status>,
    pub(crate) cnf: Option<Confirmation>,
    act: Option<Box<Act>>,
}

#[derive(Debug, Deserialize)]
struct Status {
    status_list: Place,
}

/// The token's place on a status list.
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    pub(crate) idx: u64,
    pub(crate) uri: String,
}

#[derive(Debug, Deserialize)]
struct Act {
    sub: String,
    act: Option<Box<Self>>,
}

impl Claims {
    /// Checks issuer, audience and times.
    pub(crate) fn check(
        &self,
        issuer: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let from = self.nbf.unwrap_or(self.iat).max(self.iat);
        if self.iss != issuer {
            Err(Refusal::Issuer)
        } else if self.aud != audience {
            Err(Refusal::Audience)
        } else if Timestamp::from_secs(from) > now + CLOCK_SKEW {
            Err(Refusal::NotYet)
        } else if now >= Timestamp::from_secs(self.exp) + CLOCK_SKEW {
            Err(Refusal::Expired)
        } else {
            Ok(())
        }
    }

    /// The token's place on a status list; a token without one is refused.
    pub(crate) fn place(&self) -> Result<&Place, Refusal> {
        let status = self.status.as_ref().ok_or(Refusal::NoStatus)?;
        Ok(&status.status_list)
    }

    pub(crate) fn accepted(self) -> Accepted {
        let mut acting = Vec::new();
        let mut act = self.act;
        while let Some(actor) = act {
            acting.push(AgentName(actor.sub));
            act = actor.act;
        }
        let scopes = self.scope.split(' ').filter(|scope| !scope.is_empty());
        Accepted {
            subject: self.sub,
            agent: AgentName(self.client_id),
            acting,
            task: self.task,
            lease: self.jti,
            charter: self.charter,
            revision: self.revision,
            grant: self.grant,
            role: self.role,
            environment: self.environment,
            plan: self.plan,
            scopes: scopes.map(str::to_owned).collect(),
            expires: Timestamp::from_secs(self.exp),
            key: self.cnf,
        }
    }
}
