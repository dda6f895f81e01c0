//! Step-up authentication (RFC 9470): the greatest age and the accepted `acr` values of a login.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_vocabulary::operator::Login;
use lanyard_vocabulary::time::Timestamp;

/// The requirement of an action on the caller's login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// The greatest age of the login; any age if not set.
    pub(crate) within: Option<Duration>,
    /// The accepted `acr` values. If empty, every login is accepted, also one without `acr`.
    pub(crate) acr: BTreeSet<String>,
}

impl Freshness {
    /// Returns true if this login is recent and strong enough.
    pub(crate) fn is_met_by(&self, login: &Login, now: Timestamp) -> bool {
        let recent = |within| login.at.is_some_and(|at| now.since(at) <= within);
        let strong = login.acr.as_ref().is_some_and(|acr| self.acr.contains(acr));
        self.within.is_none_or(recent) && (self.acr.is_empty() || strong)
    }
}

/// The login requirements of the sensitive actions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FreshLogin {
    /// Proposing and confirming a re-arm.
    pub(crate) rearm: Freshness,
    /// Approving a plan of high risk.
    pub(crate) high_risk: Freshness,
}
