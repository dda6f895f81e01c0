//! The wall clock, for the time of issue in signed tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::context_error::ContextError;

/// Returns Unix time in seconds.
#[expect(clippy::disallowed_methods, reason = "a token names its time of issue")]
pub(crate) fn now() -> Result<u64, ContextError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|_| ContextError::System)
}
