//! The local agent: one for a user. It holds the identity, keeps what was issued to the user's tasks for as long as that is good,
//! and hands it to the tools of this machine over a socket that nobody else reaches; see `proto/lanyard/agent/v1`.
//!
//! [`run`] is the agent, [`Connection`] its client.

mod clock;
mod connection;
mod endpoint;
mod forward;
mod hardening;
mod names;
mod place;
mod serve;
mod service;
mod shared;
mod tasks;
mod tokens;

pub use connection::{Connection, ConnectionError, Proxied};
pub use hardening::{harden, hide};
pub use place::Place;
pub use serve::{AgentError, Options, run};
pub use tasks::FRESH_AT_LEAST;
