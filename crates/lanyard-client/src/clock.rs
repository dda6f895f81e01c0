//! The wall clock, for signed tokens: each says when it was issued.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::context_error::ContextError;

/// Returns Unix time in seconds.
#[expect(clippy::disallowed_methods, reason = "a token says when it was issued")]
pub(crate) fn now() -> Result<u64, ContextError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|_| ContextError::System)
}
