//! Random bits of the system, for ids, the secrets of a login, and jitter.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SecureRandom as _;

use crate::context_error::ContextError;

/// Returns 128 random bits in base64url, so ids never collide.
pub(crate) fn fresh_id() -> Result<String, ContextError> {
    random::<16>()
}

/// Returns a random number between 0 and 1, as jitter against a thundering herd.
pub(crate) fn share() -> f64 {
    let mut bytes = [0; 2];
    match ring::rand::SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_ne_bytes(bytes)) / f64::from(u16::MAX),
        // Without randomness only the jitter is lost, so the caller goes on.
        Err(_) => 0.5,
    }
}

/// Returns `N` random bytes in base64url.
pub(crate) fn random<const N: usize>() -> Result<String, ContextError> {
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ContextError::System)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
