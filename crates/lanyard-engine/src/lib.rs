//! Drives effects: mint, release, expire, revoke, recover.
//!
//! The order of a mint is the product's first promise, and it can be read in [`mint`]: A the intent is
//! durable, B the provider is called, C the answer is durable, D the secret goes through the [`gate`].
//! A kill ([`kill`]) and C are serialised by the ledger's one writer; a kill and D by the gate.

mod acceptance;
pub mod actions;
pub mod activity;
mod agents;
pub mod charters;
mod clear;
pub mod clock;
pub mod condition;
pub mod denials;
pub mod drill;
pub mod emergency;
pub mod engine;
pub mod expiry;
pub mod gate;
mod inspect;
mod issue;
pub mod kill;
mod lane;
pub mod mint;
pub mod pass;
pub mod pause;
pub mod plans;
pub mod reach;
pub mod rearm;
pub mod records;
pub mod recovery;
mod refused;
pub mod report;
pub mod restore;
pub mod revoke;
pub mod run;
pub mod skew;
pub mod strays;
mod sync;
mod target_clock;
mod targets;
pub mod tasks;

pub use engine::{Engine, Parts};
