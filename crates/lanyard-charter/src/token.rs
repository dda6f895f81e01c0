//! The rights of a `token` grant.

use std::collections::BTreeSet;

/// What a Lanyard access token (RFC 9068) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGrant {
    /// `aud`: exactly one.
    pub audience: String,
    /// `scope`: the scope tokens, RFC 6749 section 3.3.
    pub scopes: BTreeSet<String>,
}
