//! Events to other systems: webhooks in the form of the Standard Webhooks specification 1.0, and
//! kill orders as security events (OpenID CAEP).

mod about;
mod event_sources;
mod outgoing;
mod retries;
pub(crate) mod security_events;

pub(crate) use event_sources::EventSources;
pub(crate) use outgoing::{Form, Webhook, first_undelivered, follow, positions};
