//! Drives effects: mint, release, expire, revoke, recover.
//!
//! The order of a mint is the product's first promise, and it can be read in [`mint`]: A the intent
//! is durable, B the provider is called, C the answer is durable, D the secret goes through the
//! [`gate`]. A kill ([`kill`]) and C are serialised by the ledger's one writer; a kill and D by the
//! gate.

pub mod acceptance;
pub mod actions;
pub mod activity;
mod agents;
pub mod approvals;
pub mod broker_clock;
pub mod charters;
pub mod clock;
pub mod condition;
pub mod context;
mod decisions;
pub mod deliveries;
pub mod denials;
pub mod drill;
pub mod emergency;
pub mod engine;
pub mod expiry;
pub mod gate;
pub mod inspect;
mod issue;
pub mod kill;
pub mod mint;
mod opens;
pub mod pass;
pub mod pause;
pub mod plans;
mod prepare;
pub mod reach;
pub mod rearm;
pub mod records;
pub mod recovery;
pub mod report;
pub mod requests;
pub mod restore;
mod revocation_queue;
pub mod revoke;
pub mod run;
pub mod skew;
pub mod strays;
mod sync;
mod target_clock;
mod targets;
pub mod tasks;

pub use engine::{Engine, Parts};
