//! The wall clock of this machine.

use std::time::{Duration, SystemTime};

/// Returns the time after `span` by this machine's clock, with which tools compare expiries.
#[expect(
    clippy::disallowed_methods,
    reason = "tools compare expiries with this clock; no decision depends on it"
)]
pub(crate) fn after(span: Duration) -> prost_types::Timestamp {
    SystemTime::now()
        .checked_add(span)
        .unwrap_or(SystemTime::UNIX_EPOCH)
        .into()
}
