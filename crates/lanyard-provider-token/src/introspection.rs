//! The answer of the introspection endpoint (RFC 7662), as a pure function: the caller verifies the
//! token and looks up its lease in the state that a kill has already fenced.

use lanyard_core::lease::Stage;
use lanyard_core::state::State;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::identity::Confirmation;
use lanyard_vocabulary::time::Timestamp;
use serde::Serialize;

use crate::claims::Claims;

/// A lease's condition, as the ledger's state has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseView {
    /// The lease is issued, and nothing has begun to end it.
    pub live: bool,
    /// The lease is live, or its token is on its way to the agent. A status list shows this value
    /// and not `live`, because a verifier caches the list for a while.
    pub valid: bool,
    /// The time at which the broker ends the lease.
    pub expires: Timestamp,
}

impl LeaseView {
    /// The view of lease `id`; `None` for an unknown lease. Once a kill order is admitted, nothing
    /// in its scope is live, even before the sweep reaches the lease.
    #[must_use]
    pub fn of(state: &State, id: LeaseId) -> Option<Self> {
        let lease = state.leases().get(id)?;
        // Ask the kill orders and not the stage: an order holds from its admission on, and the
        // stage changes only when the sweep reaches the lease.
        let killed = state.kills().killer(&lease.facets(), lease.intent);
        let (live, valid) = match lease.stage {
            // An intent is not live: no agent has been handed its token yet.
            Stage::Intent => (false, true),
            Stage::Issued { .. } => (true, true),
            Stage::Stopping { .. } => (false, false),
        };
        Some(Self {
            live: live && killed.is_none(),
            valid: valid && killed.is_none(),
            expires: lease.expires,
        })
    }
}

/// The body of the answer. An inactive answer gives no reason (RFC 7662 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Body")]
pub enum Answer {
    /// The token is foreign, expired or revoked, or its lease is not known to be live.
    Inactive,
    /// The token is live now; the answer repeats its claims.
    Active(Box<Claims>),
}

#[derive(Serialize)]
struct Body {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    #[serde(flatten)]
    claims: Option<Box<Claims>>,
}

impl From<Answer> for Body {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Inactive => Self {
                active: false,
                token_type: None,
                claims: None,
            },
            Answer::Active(claims) => Self {
                active: true,
                token_type: Some(match claims.cnf {
                    Some(Confirmation::Key(_)) => "DPoP",
                    Some(Confirmation::Certificate(_)) | None => "Bearer",
                }),
                claims: Some(claims),
            },
        }
    }
}

/// The answer for a verified token and the lease that its `jti` names. An unknown lease is
/// inactive.
#[must_use]
pub fn answer(claims: Claims, lease: Option<LeaseView>, now: Timestamp) -> Answer {
    let ends = Timestamp::from_secs(claims.exp);
    match lease {
        Some(lease) if lease.live && now < lease.expires && now < ends => {
            Answer::Active(Box::new(claims))
        }
        Some(_) | None => Answer::Inactive,
    }
}
