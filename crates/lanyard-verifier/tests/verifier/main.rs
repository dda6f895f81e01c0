//! The verifier against a broker that can be made to lie, and a clock that is set by hand.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its footing gives way"
)]

mod binding;
mod doors;
mod fake;
mod fetching;
mod keys;
mod status;
mod tokens;
