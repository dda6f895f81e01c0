//! The rights of a `token` grant.

use std::collections::BTreeSet;

/// The contents of a Lanyard access token (RFC 9068).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGrant {
    /// The only audience (`aud`).
    pub audience: String,
    /// The scope tokens (`scope`, RFC 6749 section 3.3).
    pub scopes: BTreeSet<String>,
}
