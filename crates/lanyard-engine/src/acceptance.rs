//! Acceptance: one or two operators lift a reason to issue nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lanyard_core::command::Command;
use lanyard_core::condition::{Acceptance, Kind, People};
use lanyard_vocabulary::person::Person;

use crate::condition::{AcceptError, Accepted, First, is_of_the_clock};
use crate::context::Context;
use crate::revocation_queue::RevocationQueue;

/// Lifts reasons to issue nothing.
pub struct Acceptances {
    pub(crate) context: Arc<Context>,
}

impl Acceptances {
    /// Lifts the present reasons of a kind on an operator's decision, or on that of two operators
    /// if a protection is given up.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub async fn accept(
        &self,
        kind: Kind,
        by: &Person,
        reason: String,
    ) -> Result<Accepted, AcceptError> {
        self.accept_seen((kind, &[]), by, reason).await
    }

    /// Lifts the reasons with these texts as [`Acceptances::accept`] does. A reason that is raised
    /// meanwhile stays.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub async fn accept_seen(
        &self,
        (kind, seen): (Kind, &[String]),
        by: &Person,
        reason: String,
    ) -> Result<Accepted, AcceptError> {
        let people = kind.accepted_by().ok_or(AcceptError::CauseOnly(kind))?;
        let meant = self.context.conditions.standing(kind, seen);
        if meant.is_empty() {
            return Err(AcceptError::NotRaised(kind));
        }
        let mut said = Acceptance {
            kind,
            of: meant.iter().map(ToString::to_string).collect(),
            by: by.clone(),
            reason,
            second: None,
        };
        if people == People::Two {
            match self.context.conditions.first(&said, self.context.now())? {
                First::Is(until) => {
                    tracing::warn!(kind = kind.as_str(), %by, "a reason to issue nothing is to be lifted: a second person has to say so");
                    return Ok(Accepted::SecondPersonBy(until));
                }
                First::Was(first) => {
                    let second = Some((said.by, said.reason));
                    said = Acceptance { second, ..*first };
                }
            }
        }
        let seq = self.context.commit(Command::Accept(Box::new(said))).await?;
        self.context.conditions.used(kind);
        meant
            .iter()
            .for_each(|reason| self.context.conditions.lower(reason));
        if is_of_the_clock(kind) {
            self.context.clock.accept();
            // What was asked for before has an end by another clock than what is asked for from now
            // on.
            self.context.timed_from.store(seq.0, Ordering::SeqCst);
            self.context
                .targets
                .lanes
                .values()
                .for_each(RevocationQueue::clock_was_set);
            self.context.note_clock().await;
            self.context.wake_all();
            self.context.conditions.tell();
        }
        Ok(Accepted::Lifted)
    }
}
