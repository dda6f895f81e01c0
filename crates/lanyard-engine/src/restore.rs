//! After a restore: a journal that is older than others remember has forgotten leases, and kill
//! orders. Everything is then stopped by an order of the broker's own, which people lift when they
//! have looked (T61).

use std::time::Duration;

use lanyard_core::checkpoint::JournalCheckpoint;
use lanyard_core::condition::Reason;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::provider::Provider;
use lanyard_core::state::State;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::strays::Reconciler;

/// The time for which a witness has to answer.
const WITNESS_CALL_WAIT: Duration = Duration::from_secs(10);

impl Reconciler {
    /// Returns the journal's size and root now; `None` if they cannot be made durable.
    pub async fn checkpoint(&self) -> Option<JournalCheckpoint> {
        self.context.query(State::checkpoint).await.ok()
    }

    /// Holds the journal, as it was when this process opened it, against what a witness remembers.
    /// Kills everything where the witness saw more, and then returns true.
    pub async fn stop_on_rollback(&self, remembered: JournalCheckpoint, whose: &str) -> bool {
        if !remembered.is_ahead_of(&self.opened) {
            return false;
        }
        let reason = format!(
            "the journal is older than {whose} remembers ({} records of {}, newest order {} of {}): it was restored \
             from a copy, or lost its end",
            self.opened.records, remembered.records, self.opened.epoch, remembered.epoch
        );
        tracing::error!(reason, "everything is stopped until two people re-arm");
        let drafted =
            self.context
                .draft_kill(Scope::All, RoleFilter::Both, reason.clone(), Actor::Broker);
        let Ok(order) = drafted else {
            self.context
                .conditions
                .raise(Reason::Restored { why: reason });
            return true;
        };
        let Some(key) = self.key_of_loss(remembered) else {
            return true;
        };
        self.kills
            .engage(KillOrder {
                key: Some(key),
                identities: std::collections::BTreeSet::new(),
                as_typed: false,
                reaches_nothing: false,
                ..order
            })
            .await;
        true
    }

    /// Stops everything: the journal itself shows that it does not have all that was acknowledged,
    /// and a kill may be among what is lost. The same loss, found at another start, has its order.
    /// Returns true if the order is in the journal.
    pub async fn heed_loss(&self, loss: &str) -> bool {
        let reason =
            format!("{loss}: records that were acknowledged are lost, kills perhaps among them");
        tracing::error!(reason, "everything is stopped until two people re-arm");
        let Ok(order) =
            self.context
                .draft_kill(Scope::All, RoleFilter::Both, reason.clone(), Actor::Broker)
        else {
            self.context
                .conditions
                .raise(Reason::Restored { why: reason });
            return false;
        };
        let key = Some(format!("lost: {loss}"));
        self.kills
            .engage(KillOrder { key, ..order })
            .await
            .seq
            .is_some()
    }

    /// A name for a loss that no order answers yet. The same loss, seen by another witness or at
    /// the next start, has its order; a witness that knew of that order speaks of another loss,
    /// although its numbers be the same.
    fn key_of_loss(&self, remembered: JournalCheckpoint) -> Option<String> {
        let loss = format!("restored: {} {}", remembered.records, remembered.epoch);
        let (last, next) = self.context.peek(|state| {
            let last = state.kills().numbered(&loss).last();
            let last = last.map(|engaged| engaged.seq);
            (last, state.kills().next_key(&loss))
        });
        let answered = last.is_some_and(|order| order > remembered.epoch);
        (!answered).then_some(next)
    }

    /// Compares what a target remembers of the journal with the journal.
    ///
    /// # Errors
    /// When the target cannot say: nothing is known then, and nothing may be issued there.
    pub(crate) async fn ask_witness(
        &self,
        target: &Name,
        provider: &dyn Provider,
    ) -> Result<(), String> {
        match tokio::time::timeout(WITNESS_CALL_WAIT, provider.load_checkpoint()).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(remembered))) => {
                self.stop_on_rollback(remembered, &format!("target {target}"))
                    .await;
                Ok(())
            }
            Ok(Err(error)) => Err(format!("it does not say how far the journal was: {error}")),
            Err(_) => Err("it does not say in time how far the journal was".to_owned()),
        }
    }

    /// Has a target remember how far the journal is.
    pub(crate) async fn tell_witness(&self, target: &Name, last: &mut Option<JournalCheckpoint>) {
        let Some(provider) = self.context.targets.providers.get(target) else {
            return;
        };
        let Some(now) = self.checkpoint().await.filter(|now| Some(*now) != *last) else {
            return;
        };
        match tokio::time::timeout(WITNESS_CALL_WAIT, provider.store_checkpoint(&now)).await {
            Ok(Ok(())) => *last = Some(now),
            Ok(Err(error)) => {
                tracing::warn!(%target, %error, "the target did not store the checkpoint of the journal");
            }
            Err(_) => {
                tracing::warn!(%target, "the target did not answer in time whether it stored the checkpoint of the journal");
            }
        }
    }
}
