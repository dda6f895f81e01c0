//! The two policies that Lanyard writes, as pure functions: the session policy of one lease, and the
//! deny policy of a role. Nothing here calls AWS or reads a clock.

/// What the provider is called.
pub const PROVIDER: &str = "aws";

mod deny;
mod document;
mod session;

pub use deny::{Cause, Composed, Demand, DenyPolicy, compose};
pub use document::{Condition, Document, Effect, OneOrMany, Statement};
pub use session::{SESSION_POLICY_LIMIT, session_policy};
