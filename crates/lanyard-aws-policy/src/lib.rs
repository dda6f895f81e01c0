//! The two IAM policies that Lanyard writes, as pure functions: the session policy of one lease,
//! and the deny policy of a role. The crate neither calls AWS nor reads a clock.

/// The provider's name in charters, errors and metrics.
pub const PROVIDER: &str = "aws";

mod deny;
mod session;

pub use deny::{Cause, Composed, Demand, DenyPolicy, compose};
pub use lanyard_charter::policy::{
    Condition, Document, Effect, OneOrMany, SESSION_POLICY_LIMIT, Statement,
};
pub use session::session_policy;
