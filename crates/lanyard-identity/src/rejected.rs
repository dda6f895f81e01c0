//! The reasons for refusing an identity.

/// A token, proof or certificate that is not accepted. The log has the reason; most callers only
/// learn that they are not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectedToken {
    /// The token is not a compact JWS.
    #[error("the token is not a compact JWS: three parts of base64url with dots between them")]
    Form,
    /// The token is longer than the limit.
    #[error(
        "the token has {bytes} bytes, and at most {limit} are read: have its issuer put fewer groups and claims into it"
    )]
    TooLong {
        /// Length of the token.
        bytes: usize,
        /// Longest token that is read.
        limit: usize,
    },
    /// The header is unreadable, repeats a parameter, or has a parameter of a wrong type (T3).
    #[error("the token's header is not an object of JSON whose `alg`, `kid` and `typ` are texts")]
    Header,
    /// A header parameter would change the keys or rules by which the token is checked (T4, T5).
    #[error("the token's header has the parameter `{0}`, which is not accepted here")]
    Parameter(&'static str),
    /// The algorithm is not supported (T1, T2).
    #[error(
        "the token is signed by {0}, and RS256, ES256 or ESP256, and EdDSA or Ed25519 are accepted"
    )]
    Algorithm(&'static str),
    /// The token has another `typ` than expected (RFC 8725, section 3.11).
    #[error("the token's `typ` is not the one of what is shown here")]
    Type,
    /// No issuer of that name is configured (T9).
    #[error("the token's issuer is not configured")]
    Issuer,
    /// No key of the issuer verifies the signature (T1, T2, T3).
    #[error("the token's signature does not verify")]
    Signature,
    /// The issuer's keys were last fetched too long ago (T11).
    #[error("the keys of the token's issuer are too old")]
    StaleKeys,
    /// The payload is not an object of claims.
    #[error("the token's claims are not of the expected shape")]
    Claims,
    /// A claim occurs twice, at any depth (T5).
    #[error("a claim of the token stands there twice, so that nobody knows which one counts")]
    Twice,
    /// A required claim is missing.
    #[error("the claim `{0}` is missing")]
    Missing(&'static str),
    /// A required claim has an unusable type.
    #[error("the claim `{name}` is {is}, and has to be {wanted}")]
    ClaimType {
        /// Name of the claim.
        name: &'static str,
        /// Type of the value.
        is: &'static str,
        /// Types that are accepted.
        wanted: &'static str,
    },
    /// A required claim is empty or too long.
    #[error("the claim `{name}` is empty, or has more than {limit} bytes")]
    ClaimLength {
        /// Name of the claim.
        name: &'static str,
        /// Longest value that is accepted.
        limit: usize,
    },
    /// A configured claim is too long to be copied; the log names the claim.
    #[error("a claim that the configuration names has more than {limit} bytes")]
    LongClaim {
        /// Longest value that is copied.
        limit: usize,
    },
    /// The audience is another one, or not this broker alone (T8).
    #[error("the token's audience is not this broker alone")]
    Audience,
    /// The token is too old, not valid yet, or valid for too long (T13).
    #[error("the token's times are not acceptable")]
    Times,
    /// The token was used before, or is bound to another key (T12).
    #[error("the token was used before, or is held by another key")]
    Replayed,
    /// The proof of possession is missing, or belongs to another request or key.
    #[error("the key that belongs to the token was not shown")]
    Possession,
    /// The client certificate identifies no workload.
    #[error("the client certificate is not accepted: {0}")]
    Certificate(&'static str),
    /// The platform that would vouch for the caller denies it.
    #[error("its own platform does not stand for it: {0}")]
    Disowned(&'static str),
    /// The platform that would vouch for the caller does not answer.
    #[error("its own platform does not answer: {0}")]
    Unanswered(&'static str),
    /// The replay cache has no room for this identity.
    #[error("too many tokens were used lately")]
    ReplayCacheFull,
    /// The replay cache cannot be written.
    #[error("used tokens cannot be written down")]
    ReplayCacheFailed,
}
