//! Why somebody is not believed.

/// Why a token, or what came with it, is not accepted. Callers are told nothing of this but that it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectedToken {
    /// Not a compact JWS, or too long.
    #[error("the token is not a compact JWS of a bounded size")]
    Form,
    /// An algorithm, a type or a header that is not used here (T1, T3, T4, T5).
    #[error("the token's header is not accepted")]
    Header,
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
