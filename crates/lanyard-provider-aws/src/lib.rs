//! The policies that bound and revoke AWS STS sessions.
//!
//! A lease is a session of one of a target's two roles. It is bounded by its session policy, which also ends
//! it on time, and revoked by an inline policy on the role that denies everything to the sessions that it names
//! ([`policy`]). The calls to AWS are not here yet, and nothing depends on this crate.

pub mod policy;

/// The name in errors and reports.
const PROVIDER: &str = "aws";
