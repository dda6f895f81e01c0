//! The answer of the introspection endpoint (RFC 7662). Pure: the caller verifies the token and looks
//! the lease up, in the state that a kill has already fenced.

use lanyard_core::id::LeaseId;
use lanyard_core::identity::Confirmation;
use lanyard_core::lease::Stage;
use lanyard_core::state::State;
use lanyard_core::time::Timestamp;
use serde::Serialize;

use crate::claims::Claims;

/// What the ledger says of a token's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseView {
    /// Issued, and nothing has begun to end it.
    pub live: bool,
    /// As that, or still on its way to whoever asked: what a status list shows, since a verifier keeps it for a while.
    pub valid: bool,
    /// When the broker ends it.
    pub expires: Timestamp,
}

impl LeaseView {
    /// What the state says of a lease. From the admission of a kill order on nothing in its reach is live, whether or
    /// not anything has come round to ending it.
    #[must_use]
    pub fn of(state: &State, id: LeaseId) -> Option<Self> {
        let lease = state.leases().get(id)?;
        let killed = state.kills().killer(&lease.facets(), lease.intent);
        let (live, valid) = match lease.stage {
            // An intent is not live here: nobody has been handed its token yet.
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

/// The body of the answer. An inactive one says nothing more than that (RFC 7662 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "Body")]
pub enum Answer {
    /// Not ours, expired, revoked, or not known to be live.
    Inactive,
    /// Live at this moment, with what the token says.
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

/// What to answer about a verified token whose lease is this one, if the ledger knows it.
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
