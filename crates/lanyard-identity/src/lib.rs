//! Who is asking: verified identities of agents and operators.
//!
//! A bearer token is a JWT of a configured issuer. It is taken apart strictly ([`jws`]), checked against a key of
//! that issuer ([`jwks`]), and its claims are held against the configuration ([`verifier`]). Nothing in the token
//! chooses how it is checked. No error holds any part of a token.

pub mod aws;
pub mod jwks;
pub mod jws;
pub mod security_event;
pub mod ticket;
pub mod verifier;

pub use ticket::{Ticket, Tickets};
pub use verifier::{Issuer, IssuerKind, Keys, RejectedToken, Verified, Verifier};
