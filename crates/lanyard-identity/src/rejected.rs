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
        "the token has {bytes} bytes, the limit is {limit}: have its issuer put fewer groups and claims into it"
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
        "the token is signed with {0}: only RS256, ES256 (ESP256) and EdDSA (Ed25519) are accepted"
    )]
    Algorithm(&'static str),
    /// The token has another `typ` than expected (RFC 8725, section 3.11).
    #[error("the token's `typ` is not the one that is expected here")]
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
    #[error("the token's payload is not an object of claims")]
    Claims,
    /// A claim occurs twice, at any depth (T5).
    #[error("the token has a claim twice: which value counts is ambiguous")]
    Twice,
    /// A required claim is missing.
    #[error("the claim `{0}` is missing")]
    Missing(&'static str),
    /// A required claim has an unusable type.
    #[error("the claim `{name}` is {is}, and must be {wanted}")]
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
    #[error("a claim that the configuration asks for has more than {limit} bytes")]
    LongClaim {
        /// Longest value that is copied.
        limit: usize,
    },
    /// The audience is another one, or names further receivers besides this broker (T8).
    #[error("the token's audience must be this broker, and nothing else")]
    Audience,
    /// The token is too old, not valid yet, or valid for too long (T13).
    #[error(
        "by this broker's clock the token has expired, is not valid yet, is too old, or is valid for too long"
    )]
    Times,
    /// The token was used before, or is bound to another key (T12).
    #[error("the token was used before, or is bound to another key")]
    Replayed,
    /// The proof of possession is missing, or belongs to another request or key.
    #[error("the caller did not prove to hold the token's key")]
    Possession,
    /// The client certificate identifies no workload.
    #[error("the client certificate is not accepted: {0}")]
    Certificate(&'static str),
    /// The caller's platform, which has to confirm the caller, denies it.
    #[error("the caller's platform denies the identity: {0}")]
    Disowned(&'static str),
    /// The caller's platform, which has to confirm the caller, does not answer.
    #[error("the caller's platform does not answer: {0}")]
    Unanswered(&'static str),
    /// The replay cache has no room for this identity.
    #[error("this identity used too many tokens in the last minutes")]
    ReplayCacheFull,
    /// The replay cache cannot be written.
    #[error("the record of used tokens cannot be written")]
    ReplayCacheFailed,
}
