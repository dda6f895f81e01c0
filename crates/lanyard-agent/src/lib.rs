//! The local agent, one per user. It holds the identity, caches the credentials of the user's tasks
//! while they are valid, and hands them to tools of this machine over a socket that only this user
//! can reach; see `proto/lanyard/agent/v1`.
//!
//! [`run`] runs the local agent, [`Connection`] is its client.

mod clock;
mod connection;
mod endpoint;
mod forward;
mod hardening;
mod names;
mod serve;
mod service;
mod shared;
mod socket;
mod tasks;
mod tokens;

pub use connection::{Connection, ConnectionError, Proxied};
pub use hardening::{harden, hide};
pub use serve::{AgentError, Options, run};
pub use socket::AgentSocket;
pub use tasks::MIN_FRESH_TIME;
