//! Mints and revokes AWS STS sessions.
//!
//! A lease is a session of one of a target's two roles. It is bounded by its session policy, which also ends
//! it on time, and revoked by an inline policy on the role that denies everything to the sessions that it names
//! ([`policy`]). Two principals do it: one assumes the roles, the other edits that one policy on them.

pub mod api;
mod errors;
mod inspect;
mod provider;
mod sdk;

pub use lanyard_aws_policy as policy;
use lanyard_aws_policy::PROVIDER;
pub use provider::{AwsProvider, AwsTarget, Roles};
pub use sdk::{Access, Sdk};
