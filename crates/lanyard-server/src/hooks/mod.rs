//! Webhooks, in and out, in the form of the Standard Webhooks specification 1.0; and what is told of kills to others
//! that speak of sessions.

mod about;
mod outgoing;
mod retries;
pub(crate) mod security_events;
mod signature;

pub(crate) use outgoing::{Form, Webhook, follow};
pub(crate) use signature::{Secret, Signed};

/// The headers of a signed message.
pub(crate) const ID: &str = "webhook-id";
pub(crate) const TIMESTAMP: &str = "webhook-timestamp";
pub(crate) const SIGNATURE: &str = "webhook-signature";
