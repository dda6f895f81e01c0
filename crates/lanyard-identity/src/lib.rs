//! Who is asking: verified identities of agents and operators.
//!
//! A bearer token is a JWT of a configured issuer. It is taken apart strictly ([`jws`]), checked against a key of
//! that issuer ([`jwks`]), and its claims are held against the configuration ([`verifier`]). Nothing in the token
//! chooses how it is checked. What was used is remembered ([`memory`]), by the key that showed it ([`dpop`]) where one did.
//! No error holds any part of a token.

pub mod aws;
pub mod break_glass;
pub mod dpop;
pub mod jwks;
pub mod jws;
pub mod memory;
mod numeric_date;
mod rejected;
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

/// How far clocks may differ (T13).
pub const SKEW: Duration = Duration::from_secs(30);
