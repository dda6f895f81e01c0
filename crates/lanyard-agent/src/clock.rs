//! The wall clock of this machine.

use std::time::{Duration, SystemTime};

/// By this machine's clock, which is what tools compare with.
#[expect(
    clippy::disallowed_methods,
    reason = "tools are told by this clock; nothing is decided by it"
)]
pub(crate) fn after(span: Duration) -> prost_types::Timestamp {
    SystemTime::now()
        .checked_add(span)
        .unwrap_or(SystemTime::UNIX_EPOCH)
        .into()
}
