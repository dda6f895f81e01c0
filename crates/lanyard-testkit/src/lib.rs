//! Fakes, a manual clock and sample worlds. For tests only.
//!
//! | module | what it gives a test |
//! |---|---|
//! | [`clock`] | a clock that moves when it is told to |
//! | [`conformance`] | what every provider does |
//! | [`fake`] | a provider that fails when it is told to |
//! | [`ledger`] | a ledger in memory whose process can die |
//! | [`machine`] | a machine whose clocks a test sets |
//! | [`judge`] | a judge of plans that cannot read them |
//! | [`ids`] | ids that are the same in every run |
//! | [`pages`] | the blocks of code of the documentation |
//! | [`world`] | a charter, a task and a request for each kind of target |
#![expect(
    clippy::expect_used,
    reason = "this crate is linked into tests only, where a broken assumption has to stop the test"
)]

pub mod clock;
pub mod conformance;
pub mod fake;
pub mod ids;
pub mod judge;
pub mod ledger;
pub mod machine;
pub mod pages;
pub mod world;
