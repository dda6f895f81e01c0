//! Webhooks, in and out, in the form of the Standard Webhooks specification 1.0.

mod outgoing;
mod signature;

pub(crate) use outgoing::{Webhook, follow};
pub(crate) use signature::{Reported, Secret, Signed};

/// The headers of a signed message.
pub(crate) const ID: &str = "webhook-id";
pub(crate) const TIMESTAMP: &str = "webhook-timestamp";
pub(crate) const SIGNATURE: &str = "webhook-signature";
