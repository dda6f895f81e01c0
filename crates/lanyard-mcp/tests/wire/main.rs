//! The server as its clients meet it, line by line, with a local agent on a socket.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where its footing gives way"
)]

mod client;
mod ending;
mod eras;
mod fake;
mod fake_broker;
mod pending;
mod sdk;
mod secrets;
mod tools;
