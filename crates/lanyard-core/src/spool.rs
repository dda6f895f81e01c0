//! The port to the place beside the journal that keeps kill orders.

use async_trait::async_trait;

use crate::kill::KillOrder;

/// The order is not stored. It is in effect in this process alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotStored(pub String);

/// Keeps kill orders that the journal does not take. The next start takes them from here before it
/// issues anything.
#[async_trait]
pub trait KillSpool: Send + Sync {
    /// Stores an order, which is durable on return. Storing an order again changes nothing.
    ///
    /// # Errors
    /// When the order is not durable in time.
    async fn store(&self, order: &KillOrder) -> Result<(), NotStored>;
}
