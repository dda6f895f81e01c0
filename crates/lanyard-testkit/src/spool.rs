//! Spools for kill orders: one in memory, and one that keeps nothing.

use async_trait::async_trait;
use lanyard_core::kill::KillOrder;
use lanyard_core::spool::{KillSpool, NotStored};
use parking_lot::Mutex;

/// A spool that stores nothing, as of a process without a disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSpool;

#[async_trait]
impl KillSpool for NoSpool {
    async fn store(&self, _order: &KillOrder) -> Result<(), NotStored> {
        Err(NotStored("there is no disk".to_owned()))
    }
}

/// A spool in memory.
#[derive(Debug, Default)]
pub struct MemorySpool(Mutex<Vec<KillOrder>>);

impl MemorySpool {
    /// Returns the stored orders, in order of arrival.
    #[must_use]
    pub fn kept(&self) -> Vec<KillOrder> {
        self.0.lock().clone()
    }
}

#[async_trait]
impl KillSpool for MemorySpool {
    async fn store(&self, order: &KillOrder) -> Result<(), NotStored> {
        let mut orders = self.0.lock();
        if orders.iter().all(|kept| kept.id != order.id) {
            orders.push(order.clone());
        }
        Ok(())
    }
}
