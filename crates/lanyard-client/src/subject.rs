//! Subject tokens: what the broker takes in exchange for a session (RFC 8693).

use crate::secret::Token;

/// What is exchanged for a session.
pub(crate) struct Subject {
    pub(crate) token: Token,
    pub(crate) kind: &'static str,
}

impl Subject {
    /// The ID token of a person.
    pub(crate) const ID_TOKEN: &'static str = "urn:ietf:params:oauth:token-type:id_token";
    /// What [`crate::identity::AwsIdentity`] gives.
    pub(crate) const AWS: &'static str = "urn:lanyard:params:oauth:token-type:aws-caller-identity";
    /// Any other JWT.
    pub(crate) const JWT: &'static str = "urn:ietf:params:oauth:token-type:jwt";
}
