//! Verified identities of agents and operators.
//!
//! A bearer token is a JWT of a configured issuer. [`jws`] parses the token strictly, [`jwks`]
//! verifies the signature with a key of that issuer, and [`verifier`] compares the claims with the
//! configuration. Nothing in the token chooses how the token is checked. [`replay_cache`] remembers
//! used tokens, together with the key of [`dpop`] that presented them. No error contains any part
//! of a token.

pub mod aws;
pub mod break_glass;
pub mod dpop;
pub mod jwks;
pub mod jws;
mod numeric_date;
mod rejected;
pub mod replay_cache;
pub mod security_event;
pub mod session;
pub mod spiffe;
pub mod ticket;
mod unique;
pub mod verifier;

use std::time::Duration;

pub use rejected::RejectedToken;
pub use ticket::{Ticket, Tickets};
pub use verifier::{Accepted, Issuer, IssuerKind, Keys, Verified, Verifier};

/// Tolerated difference between two clocks (T13).
pub const CLOCK_SKEW: Duration = Duration::from_secs(30);
