//! Charters as Kubernetes objects.
//!
//! An object holds the same document as a charter's file and goes through the same parser. Pure
//! functions decide which part of an object is the charter ([`Object`]), what charters in a
//! namespace may name ([`NamespaceRule`]), who owns a name ([`owners`]), and whether an object that
//! a list lacks was deleted ([`KnownObjects`]). [`follow`] reads the API server, and
//! [`StatusWriter`] writes statuses to it. The kill switch waits for neither.

mod absence;
mod admission;
mod api;
mod bounds;
mod finding;
mod follow;
mod names;
mod object;
mod policies;
mod status;
mod write;

pub use absence::{Gap, KnownObjects, Times};
pub use admission::{MAX_REVIEW_BYTES, Malformed, Review, reviewed};
pub use api::{Api, Unread};
pub use bounds::{AgentBound, NamespaceRule};
pub use finding::{Finding, found, of_charter};
pub use follow::{Source, follow};
pub use names::{Holder, owners};
pub use object::{Content, Object, Origin, canonical};
pub use policies::{ConfigMaps, Missing, policy_keys};
pub use status::{Reason, Verdict};
pub use write::StatusWriter;
