//! What a charter allows, and the states a lease goes through.
//!
//! Everything here is a value or a pure function of values: no IO, no clock, no randomness. Time
//! and ids come in as arguments, so the same inputs give the same decision on every machine and on
//! every replay of the journal.

pub mod action;
pub mod approval;
pub mod checkpoint;
pub mod command;
pub mod condition;
pub mod decide;
pub mod drill;
pub mod emergency;
pub mod enrolment;
pub mod judge;
pub mod kill;
pub mod lease;
pub mod ledger;
pub mod pause;
pub mod plan;
pub mod provider;
pub mod question;
pub mod references;
pub mod signing_key;
pub mod spool;
pub mod state;
pub mod target;
pub mod task;
pub mod trip;
