//! Acceptance: one or two operators lift a reason to issue nothing.

use std::sync::atomic::Ordering;

use lanyard_core::command::Command;
use lanyard_core::condition::{Acceptance, Kind, People};
use lanyard_core::person::Person;

use crate::condition::{AcceptError, Accepted, First, is_of_the_clock};
use crate::engine::Engine;
use crate::lane::Lane;

impl Engine {
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

    /// Lifts the reasons with these texts as [`Engine::accept`] does. A reason that is raised
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
        let meant = self.conditions.standing(kind, seen);
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
            match self.conditions.first(&said, self.now())? {
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
        let seq = self.commit(Command::Accept(Box::new(said))).await?;
        self.conditions.used(kind);
        meant
            .iter()
            .for_each(|reason| self.conditions.lower(reason));
        if is_of_the_clock(kind) {
            self.parts.clock.accept();
            // What was asked for before has an end by another clock than what is asked for from now on.
            self.timed_from.store(seq.0, Ordering::SeqCst);
            self.lanes.values().for_each(Lane::clock_was_set);
            self.note_clock().await;
            self.wake_all();
            self.conditions.tell();
        }
        Ok(Accepted::Lifted)
    }
}
