//! Mints and revokes AWS STS sessions.
//!
//! A lease is a session of one of the target's two roles. Its session policy bounds it and ends it
//! on time; an inline policy on the role revokes it by denying everything to the sessions that the
//! policy names ([`policy`]). Two principals share the work: one assumes the roles, the other edits
//! that one inline policy.

pub mod api;
mod errors;
mod inspect;
mod provider;
mod sdk;

pub use lanyard_aws_policy as policy;
use lanyard_aws_policy::PROVIDER;
pub use provider::{AwsProvider, AwsTarget, Roles};
pub use sdk::{Access, Sdk};
