//! Lanyard's own access tokens: JWTs in the profile of RFC 9068, signed with Ed25519 (RFC 8037).
//!
//! The provider keeps no record of its signatures. The truth about a token is its lease in the
//! ledger: [`introspection`] answers from the lease at once (RFC 7662), with `active: false` unless
//! the lease is known to be live; the [`status`] list answers from it some seconds later. A
//! verifier that uses the JWKS alone accepts a token until `exp`, whatever was killed since; the
//! provider's `mechanism` line says so.

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
pub use keyring::{
    Keyring, KeyringError, MAX_TOKEN_LIFE, PUBLISHED_BEFORE_USE, PublishedKey, Replaced,
};
pub use provider::TokenProvider;
pub use verify::VerifyError;
