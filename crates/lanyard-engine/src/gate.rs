//! The release gate: the last test before a secret is handed to the transport.
//!
//! Releases share the gate, a kill takes it alone. A kill raises its fence here on receipt, which
//! waits for the releases under way; from then on nothing that it reaches gets through, whether or
//! not the order could be made durable.

use std::sync::Arc;

use lanyard_core::kill::KillOrder;
use lanyard_core::lease::{Lease, Stage};
use lanyard_core::ledger::{Ledger, look};
use lanyard_vocabulary::id::KillId;

use crate::sync::RwLock;

/// Orders that are fenced in this process and not durable yet.
///
/// # Limit
/// - for: a process
/// - unit: orders
/// - beyond: the process releases no further credential until it is restarted; kills and
///   revocations go on
/// - test: `s43_the_gate_holds_so_many_orders_and_shuts_beyond_them`
pub const MAX_RAISED_ORDERS: usize = 4096;

/// Orders that are in effect in this process before, or without, being durable.
#[derive(Debug, Default)]
pub struct Gate {
    raised: RwLock<Raised>,
}

#[derive(Debug, Default)]
struct Raised {
    orders: Vec<KillOrder>,
    /// An order found no room: nothing is released any more by this process.
    overflowed: bool,
}

/// The gate is closed to this release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// A kill order stops it.
    #[error("stopped by kill order {0}")]
    Killed(KillId),
    /// The lease is being stopped, or is gone.
    #[error("the lease has ended")]
    Ended,
    /// The gate had no room for a kill order.
    #[error("the kill state is not known")]
    Unknown,
    /// The broker stopped issuing after the mint began.
    #[error("the broker issues nothing now")]
    NotIssuing,
}

impl Gate {
    /// Raises the fence of an order; returns when no release is under way.
    pub fn raise(&self, order: &KillOrder) {
        let mut raised = self.raised.write();
        // An order that is not durable is given again by whatever tries to make it so.
        raised.orders.retain(|before| before.id != order.id);
        if raised.orders.len() >= MAX_RAISED_ORDERS {
            raised.overflowed = true;
            return;
        }
        raised.orders.push(order.clone());
    }

    /// The order is in the ledger, which every release looks at: the fence here is not needed any
    /// more.
    pub fn lower(&self, id: KillId) {
        self.raised.write().orders.retain(|order| order.id != id);
    }

    /// D: tests, and hands over within the same guard. `hand_over` must not block.
    ///
    /// # Errors
    /// Nothing was handed over.
    pub fn release<R>(
        &self,
        ledger: &(impl Ledger + ?Sized),
        lease: lanyard_vocabulary::id::LeaseId,
        hand_over: impl FnOnce() -> R,
    ) -> Result<R, Closed> {
        let raised = self.raised.read();
        if raised.overflowed {
            return Err(Closed::Unknown);
        }
        look(ledger, |state| {
            let lease = state.leases().get(lease).ok_or(Closed::Ended)?;
            releasable(lease)?;
            let facets = lease.facets();
            if let Some(order) = raised.orders.iter().find(|order| order.reaches(&facets)) {
                return Err(Closed::Killed(order.id));
            }
            match state.kills().killer(&facets, lease.intent) {
                Some(engaged) => Err(Closed::Killed(engaged.order.id)),
                None => Ok(()),
            }
        })?;
        let handed = hand_over();
        drop(raised);
        Ok(handed)
    }
}

fn releasable(lease: &Lease) -> Result<(), Closed> {
    match lease.stage {
        Stage::Issued { .. } => Ok(()),
        Stage::Stopping { cause, .. } => Err(cause.kill().map_or(Closed::Ended, Closed::Killed)),
        Stage::Intent => Err(Closed::Ended),
    }
}

/// The gate is shared by everything that releases or kills.
pub type SharedGate = Arc<Gate>;

#[cfg(all(test, not(feature = "model")))]
mod tests {
    use lanyard_core::kill::Actor;
    use lanyard_vocabulary::id::TaskId;
    use lanyard_vocabulary::scope::{RoleFilter, Scope};
    use lanyard_vocabulary::time::Timestamp;

    use super::*;

    fn order(bits: u128) -> KillOrder {
        KillOrder {
            id: KillId::from_bits(bits),
            scope: Scope::Task(TaskId::from_bits(bits)),
            roles: RoleFilter::Both,
            reason: "drill".to_owned(),
            by: Actor::Local,
            at: Timestamp::EPOCH,
            evidence: Vec::new(),
            key: None,
            identities: Default::default(),
            as_typed: false,
            reaches_nothing: false,
        }
    }

    #[test]
    fn s43_the_gate_holds_so_many_orders_and_shuts_beyond_them() {
        let gate = Gate::default();
        for bits in 0..MAX_RAISED_ORDERS as u128 {
            // Given again, an order takes no further room.
            gate.raise(&order(bits));
            gate.raise(&order(bits));
        }
        assert_eq!(gate.raised.read().orders.len(), MAX_RAISED_ORDERS);
        assert!(!gate.raised.read().overflowed);
        gate.raise(&order(u128::MAX));
        assert_eq!(gate.raised.read().orders.len(), MAX_RAISED_ORDERS);
        assert!(gate.raised.read().overflowed);
        // That stays, since nobody knows any more which order it was.
        gate.lower(KillId::from_bits(u128::MAX));
        gate.lower(KillId::from_bits(0));
        assert!(gate.raised.read().overflowed);
    }
}
