//! Deliveries: which secrets were handed over, and the end of the leases whose secret was not.

use std::collections::BTreeSet;
use std::sync::Arc;

use lanyard_core::command::Command;
use lanyard_core::lease::StopCause;
use lanyard_vocabulary::id::LeaseId;
use parking_lot::Mutex;

use crate::context::Context;
use crate::gate::SharedGate;

/// The results of D that are not journaled yet.
#[derive(Debug, Default)]
struct Results {
    delivered: Vec<LeaseId>,
    undelivered: Vec<LeaseId>,
}

/// The gate of D, and the results of D until housekeeping journals them.
pub struct Deliveries {
    pub(crate) context: Arc<Context>,
    pub(crate) gate: SharedGate,
    results: Mutex<Results>,
}

impl Deliveries {
    pub(crate) fn new(context: Arc<Context>, gate: SharedGate) -> Self {
        Self {
            context,
            gate,
            results: Mutex::default(),
        }
    }

    /// Notes whether the secret of a lease was handed over.
    pub(crate) fn note(&self, lease: LeaseId, is_delivered: bool) {
        let mut results = self.results.lock();
        if is_delivered {
            results.delivered.push(lease);
        } else {
            results.undelivered.push(lease);
        }
        drop(results);
        self.context.housekeeping.notify_one();
    }

    /// Records which secrets were handed over, and ends the leases of the others.
    pub async fn settle(&self) {
        let Results {
            delivered,
            undelivered,
        } = std::mem::take(&mut *self.results.lock());
        let context = &self.context;
        if !delivered.is_empty() {
            let leases = delivered.clone();
            if let Err(error) = context.commit(Command::Delivered { leases }).await {
                // Told again once the ledger takes it: a start that does not know of it ends leases
                // that are in use.
                tracing::debug!(%error, "a hand-over could not be journaled");
                self.results.lock().delivered.extend(delivered);
            }
        }
        let targets: BTreeSet<_> = context.peek(|state| {
            let leases = undelivered.iter();
            let leases = leases.filter_map(|id| state.leases().get(*id));
            leases.map(|lease| lease.entry.target.clone()).collect()
        });
        context.stop_all(undelivered, StopCause::Undelivered).await;
        targets
            .iter()
            .for_each(|target| context.targets.wake(target));
    }
}
