//! Each RPC and each command, against a daemon in this process.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

mod approvals;
mod charters;
mod commands;
mod credentials;
mod every_one;
mod identities;
mod journal;
mod kills;
mod pauses;
mod plans;
mod signing_keys;
mod status_lists;
mod stories;
mod tasks;

use lanyard_in_process::Refused;
use tonic::Code;

/// A caller of another role than the call takes.
fn is_role_denied(refused: &Refused) {
    assert_eq!(refused.code, Code::PermissionDenied, "{refused:?}");
    assert_eq!(refused.reason, "ROLE_DENIED", "{refused:?}");
}

/// Waits for what another thread does; a test that waits for nothing is stopped by whoever runs it.
fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}
