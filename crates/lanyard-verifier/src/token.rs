//! What a token of the broker's says (RFC 9068), once its signature was checked. Claims that are not known here are left
//! alone: a broker may say more than this wrapper understands.

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

/// How far the clocks of the broker and of a wrapper may differ (T13).
pub(crate) const SKEW: Duration = Duration::from_secs(5);
/// `typ` of an access token (RFC 9068 section 2.1).
pub(crate) const TYPE: &str = "at+jwt";

#[derive(Debug, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    /// One text: a token for several audiences is not one of the broker's (T8).
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

/// A place on a status list.
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
    /// That the token is by this issuer, for this audience, at this time.
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
        } else if Timestamp::from_secs(from) > now + SKEW {
            Err(Refusal::NotYet)
        } else if now >= Timestamp::from_secs(self.exp) + SKEW {
            Err(Refusal::Expired)
        } else {
            Ok(())
        }
    }

    /// Where it says that its status is.
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
