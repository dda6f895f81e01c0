//! Subject tokens, which the broker exchanges for a session (RFC 8693).

use crate::secret::Token;

/// The token to exchange for a session, and its type.
pub(crate) struct Subject {
    pub(crate) token: Token,
    pub(crate) kind: &'static str,
}

impl Subject {
    /// The ID token of a person.
    pub(crate) const ID_TOKEN: &'static str = "urn:ietf:params:oauth:token-type:id_token";
    /// The signed request of [`crate::identity::AwsIdentity`].
    pub(crate) const AWS: &'static str = "urn:lanyard:params:oauth:token-type:aws-caller-identity";
    /// A JWT of any other kind.
    pub(crate) const JWT: &'static str = "urn:ietf:params:oauth:token-type:jwt";
}
