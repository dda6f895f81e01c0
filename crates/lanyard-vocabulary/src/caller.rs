//! Callers: an identity with its evidence and the person behind it.

use crate::identity::{Evidence, Identity};
use crate::person::Sponsor;

/// A caller's identity with its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The identity that the caller proved.
    pub identity: Identity,
    /// The evidence for that identity.
    pub evidence: Evidence,
    /// The person on whose behalf the caller says it acts.
    pub sponsor: Sponsor,
}

impl Caller {
    /// Makes a caller of whom only the name is known, and nothing is proved.
    #[must_use]
    pub fn unproved(identity: &Identity) -> Self {
        Self {
            identity: identity.clone(),
            evidence: Evidence::default(),
            sponsor: Sponsor::Nobody,
        }
    }
}
