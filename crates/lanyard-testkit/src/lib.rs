//! Fakes, a manual clock and sample worlds. For tests only.
//!
//! | module | what it gives a test |
//! |---|---|
//! | [`clock`] | a clock that only the test moves |
//! | [`conformance`] | the conformance suite of providers |
//! | [`fake`] | a provider in memory with injected faults |
//! | [`ledger`] | a ledger in memory whose process can die |
//! | [`machine`] | a machine whose clocks a test sets |
//! | [`judge`] | a judge of plans that cannot read them |
//! | [`ids`] | ids that are the same in every run |
//! | [`pages`] | the blocks of code of the documentation |
//! | [`schema`] | a validator of JSON Schema, and documents with one entry changed |
//! | [`story`] | records of every kind, for tests of the stored formats |
//! | [`world`] | a charter, a task and a request for each kind of target |
#![expect(
    clippy::expect_used,
    reason = "this crate is linked into tests only, where a test may panic"
)]

pub mod clock;
pub mod conformance;
pub mod fake;
pub mod ids;
pub mod judge;
pub mod ledger;
pub mod machine;
pub mod pages;
pub mod schema;
pub mod spool;
pub mod story;
pub mod world;
