//! The provider on a fake of GitHub that is as strict as GitHub's documentation.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
mod inspect;
mod limits;
mod mint;
mod proposals;
mod proxies;
mod revoke;
mod sealing;
mod target;
