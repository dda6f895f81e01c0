//! The provider on a stand-in of GitHub that is as strict as GitHub's documentation.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

mod between;
mod conformance;
mod inspect;
mod limits;
mod mint;
mod proposals;
mod revoke;
mod sealing;
mod target;
