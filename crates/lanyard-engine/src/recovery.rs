//! Recovery after a crash: mints and hand-overs that were under way are found at the start, before
//! anything is issued, and ended (T54).

use lanyard_core::lease::{Stage, StopCause};

use crate::engine::Engine;

/// The leases found under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Intents without an answer, whose credential may exist.
    pub unconfirmed: usize,
    /// Issued leases whose secret is not known to have been handed over.
    pub undelivered: usize,
}

impl Engine {
    /// Ends every lease whose mint or hand-over was under way when the previous process ended.
    pub async fn recover(&self) -> Left {
        let (mut unconfirmed, mut undelivered) = (Vec::new(), Vec::new());
        self.context.pass(|_, lease| match lease.stage {
            Stage::Intent => unconfirmed.push(lease.id),
            Stage::Issued { delivered: false } => undelivered.push(lease.id),
            Stage::Issued { delivered: true } | Stage::Stopping { .. } => {}
        });
        let left = Left {
            unconfirmed: unconfirmed.len(),
            undelivered: undelivered.len(),
        };
        self.context
            .stop_all(unconfirmed, StopCause::Unconfirmed)
            .await;
        self.context
            .stop_all(undelivered, StopCause::Undelivered)
            .await;
        self.kills.sweep_orders().await;
        self.context.wake_all();
        left
    }
}
