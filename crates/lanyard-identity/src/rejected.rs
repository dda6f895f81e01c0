//! Why somebody is not believed.

/// Why a token, or what came with it, is not accepted. Callers are told nothing of this but that it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectedToken {
    /// Not a compact JWS.
    #[error("the token is not a compact JWS: three parts of base64url with dots between them")]
    Form,
    /// Longer than is read.
    #[error(
        "the token has {bytes} bytes, and at most {limit} are read: have its issuer put fewer groups and claims into it"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// A header that cannot be read, or has a parameter twice or of a wrong type (T3).
    #[error("the token's header is not an object of JSON whose `alg`, `kid` and `typ` are texts")]
    Header,
    /// A parameter that would have the token checked by other keys or rules than the configuration's (T4, T5).
    #[error("the token's header has the parameter `{0}`, which is not accepted here")]
    Parameter(&'static str),
    /// An algorithm that is not used here (T1, T2).
    #[error(
        "the token is signed by {0}, and RS256, ES256 or ESP256, and EdDSA or Ed25519 are accepted"
    )]
    Algorithm(&'static str),
    /// A token of another kind (RFC 8725, section 3.11).
    #[error("the token's `typ` is not the one of what is shown here")]
    Type,
    /// No issuer of that name (T9).
    #[error("the token's issuer is not configured")]
    Issuer,
    /// Not signed by a key of the issuer (T1, T2, T3).
    #[error("the token's signature does not verify")]
    Signature,
    /// The issuer's keys were not fetched for too long (T11).
    #[error("the keys of the token's issuer are too old")]
    StaleKeys,
    /// The claims are not of the expected shape.
    #[error("the token's claims are not of the expected shape")]
    Claims,
    /// A claim stands twice, at any depth (T5).
    #[error("a claim of the token stands there twice, so that nobody knows which one counts")]
    Twice,
    /// A claim that is needed, and not there.
    #[error("the claim `{0}` is missing")]
    Missing(&'static str),
    /// A claim that is needed, of a type that says nothing.
    #[error("the claim `{name}` is {is}, and has to be {wanted}")]
    ClaimType {
        /// Which claim.
        name: &'static str,
        /// Its type.
        is: &'static str,
        /// The type that is read.
        wanted: &'static str,
    },
    /// A claim that is needed, of a length that is not taken.
    #[error("the claim `{name}` is empty, or has more than {limit} bytes")]
    ClaimLength {
        /// Which claim.
        name: &'static str,
        /// The longest that is taken.
        limit: usize,
    },
    /// A claim that the configuration names is longer than is taken over; the log says which one.
    #[error("a claim that the configuration names has more than {limit} bytes")]
    LongClaim {
        /// The longest that is taken over.
        limit: usize,
    },
    /// Not for this broker, or not for it alone (T8).
    #[error("the token's audience is not this broker alone")]
    Audience,
    /// Too old, too new, or too long (T13).
    #[error("the token's times are not acceptable")]
    Times,
    /// It was used before, or another key holds it (T12).
    #[error("the token was used before, or is held by another key")]
    Replayed,
    /// The proof of possession is missing, is for another request, or is of another key.
    #[error("the key that belongs to the token was not shown")]
    Possession,
    /// The client certificate is no identity here.
    #[error("the client certificate is not accepted: {0}")]
    Certificate(&'static str),
    /// Whoever has to be asked about it says no.
    #[error("its own platform does not stand for it: {0}")]
    Disowned(&'static str),
    /// Whoever has to be asked about it does not answer.
    #[error("its own platform does not answer: {0}")]
    Unanswered(&'static str),
    /// Too many tokens are remembered.
    #[error("too many tokens were used lately")]
    Busy,
    /// What was used cannot be written down.
    #[error("used tokens cannot be written down")]
    Forgetful,
}
