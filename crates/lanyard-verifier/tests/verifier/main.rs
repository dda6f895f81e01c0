//! The verifier against a broker that can be made to lie, and a clock that is set by hand.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod binding;
mod fake;
mod fetching;
mod keys;
mod middleware;
mod status;
mod tokens;
