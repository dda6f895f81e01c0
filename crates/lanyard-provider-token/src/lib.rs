//! Lanyard's own access tokens: JWTs in the profile of RFC 9068, signed with Ed25519 (RFC 8037).
//!
//! The provider keeps no record of what it signed. A token's truth is its lease, which the ledger
//! holds: [`introspection`] answers from that (RFC 7662), at once and with `active: false` whenever
//! the lease is not known to be live, and so does its [`status`] list, some seconds later. Whoever verifies
//! a token from the JWKS alone accepts it until `exp`, whatever was killed since; the mechanism line of the
//! provider's capabilities says so.

pub mod introspection;
pub mod status;

mod claims;
mod key;
mod key_file;
mod keyring;
mod provider;
mod verify;

pub use claims::Claims;
pub use key::{Jwk, Jwks};
pub use key_file::KeyFileError;
pub use keyring::{Keyring, KeyringError, MAX_TOKEN_LIFE, PUBLISHED_BEFORE_USE};
pub use provider::TokenProvider;
pub use verify::VerifyError;
