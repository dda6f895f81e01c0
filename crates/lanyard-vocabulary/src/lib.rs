//! The words that every part of Lanyard shares: ids, names, roles, people, scopes, time, digests
//! and secrets.
//!
//! A word here is a value with its text form and its comparison, and nothing else: no file is read,
//! no clock is asked, no charter is known. A verifier of access tokens needs this crate and none of
//! the broker's.

pub mod agent;
pub mod caller;
pub mod count;
pub mod digest;
pub mod id;
pub mod identity;
pub mod lineage;
pub mod name;
pub mod operator;
pub mod person;
pub mod revision;
pub mod role;
pub mod scope;
pub mod secret;
pub mod seq;
pub mod text;
pub mod time;
pub mod typed_name;
