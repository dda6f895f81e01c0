//! A client of Lanyard: for agents that ask for credentials, and for programs that operate a
//! broker.
//!
//! ```no_run
//! # async fn agent() -> Result<(), lanyard_client::ClientError> {
//! use lanyard_client::v1::credential::Kind;
//! use lanyard_client::{Client, v1};
//!
//! let client = Client::connect("contexts/agent.json".as_ref()).await?;
//! let asked = v1::OpenTaskRequest {
//!     charter: "ticket-router".into(),
//!     environment: "production".into(),
//!     reason: "ticket 12".into(),
//!     ..Default::default()
//! };
//! let task = client.begin(asked).await?;
//! let held = task.credential("read-tickets", None).await?;
//! if let Some(Kind::Token(token)) = &held.credential.kind {
//!     println!("{} characters, good for {:?}", token.jwt.len(), held.lifetime());
//! }
//! task.close().await?;
//! # Ok(()) }
//! ```
//!
//! - A **context** is a file with the broker's address and the caller's identity; docs/contexts.md
//!   lists its fields. [`Client::connect`] reads it, and every call proves the identity anew.
//! - [`Task::credential`] returns a credential that is valid now. Call it for each use and store
//!   nothing: the task makes one request for any number of callers, renews in time, and drops what
//!   was revoked.
//! - [`Task::stops`] reports a kill within a moment. Select on it beside the work.
//! - [`ClientError`] prints as one complete line for people. Programs match on its variants, and
//!   read the codes, the limit and the time to wait from [`ClientError::said`].
//!
//! `examples/agent.rs` is a whole agent. The other calls of the broker are methods of [`Client`],
//! with the messages of [`v1`].
//!
//! A program installs one provider of cryptography before the first call:
//! `rustls::crypto::ring::default_provider().install_default()`. The feature `aws` adds callers
//! that prove their AWS role.

mod auth_metadata;
#[cfg(feature = "aws")]
pub mod aws;
mod calls;
mod clock;
mod context;
mod context_error;
mod contexts;
mod digest;
mod endpoint;
pub mod enrolment;
mod error;
mod forward;
mod http;
mod identity;
pub mod login;
mod monotonic;
mod probe;
mod proof;
mod proxy;
mod public_file;
mod random;
mod secret;
mod secret_files;
mod session;
mod signer;
mod state_dir;
mod subject;
mod task;
pub mod ticket;
mod tokens;
mod watches;

pub use calls::Client;
pub use context::Context;
pub use context_error::ContextError;
pub use contexts::{Broker, Contexts};
pub use error::{BrokerRefusal, ClientError};
pub use http::HttpError;
pub use identity::LoginIdentity;
pub use lanyard_proto::v1;
pub use probe::Probe;
pub use proxy::{Proxies, Proxy, ProxyError};
pub use secret::Token;
pub use secret_files::folder as private_folder;
pub use state_dir::folder as state_folder;
pub use task::{Held, Stop, Stops, Task};
pub use tokens::Store;
pub use watches::TaskWatch;

/// The protobuf timestamp of the API.
pub type Time = prost_types::Timestamp;
/// The protobuf duration of the API.
pub type Span = prost_types::Duration;
