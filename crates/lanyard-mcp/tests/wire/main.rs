//! The server as its clients meet it, line by line, with a local agent on a socket.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod client;
mod ending;
mod fake;
mod fake_broker;
mod pending;
mod protocol_versions;
mod sdk;
mod secrets;
mod tools;
