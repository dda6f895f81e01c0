//! S47: providers that answer wrongly. A proxy between the broker and each real server hangs,
//! resets, throttles, and answers 200, 404 and 500 with HTML, `{}` and other objects of the API: to
//! everything, and to each call that revocations make. In every round every token is tried at the
//! server itself and held against the report of the kill: none is called dead, or presumed so,
//! while it works, and once the way is clear all of them die.
//!
//! `cargo xtask test` starts the servers; without them, this says that it does not run.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

mod aws;
mod kubernetes;
mod play;
mod time;
mod vault;
