//! Pauses by people, and what breakers that tripped come to.

use std::sync::Arc;

use lanyard_core::command::Command;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::ledger::CommitError;
use lanyard_core::pause::{Demand, Pause, Reach};
use lanyard_core::trip::Trip;
use lanyard_vocabulary::id::{KillId, PauseId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::RoleFilter;
use lanyard_vocabulary::time::Timestamp;

use crate::clock::NoRandomness;
use crate::context::Context;
use crate::kill::Kills;

/// A pause as a person asks for it.
#[derive(Debug, Clone)]
pub struct PauseRequest {
    /// The requests that it covers.
    pub reach: Reach,
    /// The demand that it makes.
    pub demand: Demand,
    /// The reason, for people.
    pub reason: String,
    /// The time at which it ends by itself.
    pub until: Option<Timestamp>,
}

/// Pauses and resumes at the word of people.
pub struct Pauses {
    pub(crate) context: Arc<Context>,
}

impl Pauses {
    /// Pauses. Nothing of the kind is issued once this returns; nothing is revoked.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn pause(&self, asked: PauseRequest, by: Actor) -> Result<Pause, CommitError> {
        let unavailable = |error: NoRandomness| CommitError::Unavailable(error.to_string());
        let pause = Pause {
            id: PauseId::from_bits(self.context.draw().map_err(unavailable)?),
            reach: Reach {
                as_typed: by.types_names(),
                ..asked.reach
            },
            demand: asked.demand,
            reason: asked.reason,
            by,
            at: self.context.now(),
            until: asked.until,
            evidence: Vec::new(),
        };
        self.context
            .commit(Command::Pause(Box::new(pause.clone())))
            .await?;
        Ok(pause)
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn resume(
        &self,
        pause: PauseId,
        by: &Identity,
        reason: String,
    ) -> Result<(), CommitError> {
        let by = by.clone();
        self.context
            .commit(Command::Resume { pause, by, reason })
            .await
            .map(drop)
    }
}

impl Kills {
    /// Records what the breakers that tripped come to. Until then the ledger itself holds up what
    /// they are about.
    pub async fn answer_trips(&self) {
        let tripped = self.context.peek(|state| state.tripped().to_vec());
        for trip in tripped {
            tracing::warn!(charter = %trip.charter, reason = trip.reason(), "a breaker tripped");
            if let Err(error) = self.answer(&trip).await {
                tracing::error!(%error, "could not record the consequence of a breaker; retrying");
                return;
            }
        }
    }

    async fn answer(&self, trip: &Trip) -> Result<(), CommitError> {
        // Tried again, it is the same order: a journal that takes nothing for a while does not
        // multiply it.
        let bits = trip.bits();
        let by = Actor::Breaker {
            charter: trip.charter.clone(),
            line: trip.rule.at.line,
            path: trip.rule.path.clone(),
            record: trip.record(),
        };
        if let Some(scope) = trip.scope() {
            let fenced = self
                .engage(KillOrder {
                    id: KillId::from_bits(bits),
                    scope,
                    roles: RoleFilter::Both,
                    reason: trip.reason(),
                    by,
                    at: self.context.now(),
                    evidence: trip.evidence.clone(),
                    key: None,
                    identities: std::collections::BTreeSet::new(),
                    as_typed: false,
                    reaches_nothing: false,
                })
                .await;
            let lost = "the kill order of a breaker is not durable".to_owned();
            return fenced.seq.map(drop).ok_or(CommitError::Unavailable(lost));
        }
        let Some(demand) = trip.demand() else {
            let alert = Command::Alert(Box::new(trip.clone()));
            return self.context.commit(alert).await.map(drop);
        };
        let pause = Pause {
            id: PauseId::from_bits(bits),
            reach: trip.reach(),
            demand,
            reason: trip.reason(),
            by,
            at: self.context.now(),
            until: trip
                .rule
                .breaker
                .lasts
                .map(|lasts| self.context.now() + lasts),
            evidence: trip.evidence.clone(),
        };
        self.context
            .commit(Command::Pause(Box::new(pause)))
            .await
            .map(drop)
    }
}
