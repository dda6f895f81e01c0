//! Random bits of the system: ids, secrets of a login, and jitter.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom as _;

use crate::context_error::ContextError;

/// 128 random bits as text: two callers never have the same id.
pub(crate) fn fresh_id() -> Result<String, ContextError> {
    random::<16>()
}

/// Anything from 0 to 1: what keeps many from doing the same thing at the same time.
pub(crate) fn share() -> f64 {
    let mut bytes = [0; 2];
    match ring::rand::SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_ne_bytes(bytes)) / f64::from(u16::MAX),
        // Without randomness there is no jitter, and nothing else is lost.
        Err(_) => 0.5,
    }
}

/// So many random bytes, in base64url.
pub(crate) fn random<const N: usize>() -> Result<String, ContextError> {
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ContextError::System)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
