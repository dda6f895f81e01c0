//! For wrappers of tools: an HTTP service in front of a tool that admits callers with a token of
//! Lanyard for that tool.
//!
//! A token names its tool, its scopes, its task and charter, and the status list on which the
//! broker publishes its revocation. [`Verifier`] checks all of that for each request without a call
//! to the broker each time: keys and status lists are cached for as long as the broker allows.
//! **What cannot be checked is refused**: a status list older than [`MAX_LIST_AGE`] admits nobody,
//! so that a kill ends a token here whether or not the broker can be reached.
//!
//! ```
//! use axum::routing::get;
//! use axum::{Extension, Router};
//! use lanyard_verifier::{Accepted, Broker, Demands, Verifier, require_scopes};
//!
//! async fn tickets(Extension(caller): Extension<Accepted>) -> String {
//!     format!("tickets for {} under {}\n", caller.agent, caller.task)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = Broker::named("https://lanyard.acme.example:7070")?;
//! let demands = Demands::audience("tickets").reached_at("https://tickets.acme.example");
//! let verifier = Verifier::new(broker, demands)?;
//! let app: Router = Router::new()
//!     .route("/tickets", get(tickets).layer(require_scopes(["tickets.read"])))
//!     .layer(verifier.layer());
//! # drop(app);
//! # Ok(())
//! # }
//! ```
//!
//! A token that is bound to a key is accepted with that key alone: with a proof of possession
//! (DPoP, RFC 9449), which this process accepts once, or on a connection with the client
//! certificate, which the server puts into the request's extensions as a [`ClientCertificate`].
//! [`Demands::bound`] refuses tokens that are not bound.
//!
//! Refusals are 401 with `WWW-Authenticate`, 403 for a missing scope, and 503 when the check itself
//! is not possible.

mod accepted;
mod broker;
mod cached;
mod clock;
mod fetch;
mod keys;
mod layer;
mod list;
mod lists;
mod proofs;
mod refusal;
mod scopes;
mod sources;
mod token;
mod verifier;

pub use accepted::{Accepted, ClientCertificate};
pub use broker::{AddressError, Broker};
pub use clock::{Clock, SystemClock};
pub use fetch::{Fetch, FetchError, Https};
pub use lanyard_identity::RejectedToken;
pub use lanyard_vocabulary::agent::AgentName;
pub use lanyard_vocabulary::id::{LeaseId, TaskId};
pub use lanyard_vocabulary::identity::Confirmation;
pub use lanyard_vocabulary::name::Name;
pub use lanyard_vocabulary::revision::Revision;
pub use lanyard_vocabulary::role::Role;
pub use lanyard_vocabulary::time::Timestamp;
pub use layer::{Verified, VerifierLayer};
pub use refusal::Refusal;
pub use scopes::{RequireScopes, Scoped, require_scopes};
pub use verifier::{Demands, MAX_LIST_AGE, Verifier};
