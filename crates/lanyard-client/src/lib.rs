//! The client: a context says where the broker is and who asks; every call proves that afresh.
//!
//! [`Client`] has a method for each call. [`Task`] is what an agent works with: [`Client::begin`] opens one, [`Task::credential`] gives a
//! credential that is good now, and [`Task::stops`] tells of a kill. [`ClientError`] is a line for people and a class for programs.
//!
//! ```no_run
//! # async fn demo() -> Result<(), lanyard_client::ClientError> {
//! use lanyard_client::{Client, v1};
//! let mut client = Client::connect("contexts/agent.json".as_ref()).await?;
//! let task = v1::OpenTaskRequest { charter: "ticket-router".into(), ..Default::default() };
//! client.open_task(task).await?;
//! # Ok(()) }
//! ```

#[cfg(feature = "aws")]
pub mod aws;
mod calls;
mod context;
mod contexts;
pub mod enrolment;
mod error;
mod forward;
mod glance;
mod http;
mod identity;
pub mod login;
mod moment;
mod private;
mod proof;
mod proxy;
mod secret;
mod session;
mod show;
mod signer;
mod state;
mod task;
pub mod ticket;
mod tokens;
mod watches;

pub use calls::Client;
pub use context::{Context, ContextError};
pub use contexts::Contexts;
pub use error::{ClientError, Said};
pub use glance::Glance;
pub use http::HttpError;
pub use identity::LoginIdentity;
pub use lanyard_proto::v1;
pub use private::folder as private_folder;
pub use proxy::{Proxies, Proxy, ProxyError};
pub use state::folder as state_folder;
pub use task::{Held, Stop, Stops, Task};
pub use tokens::Store;
pub use watches::TaskWatch;

/// A point in time on the wire.
pub type Time = prost_types::Timestamp;
/// A span of time on the wire.
pub type Span = prost_types::Duration;
