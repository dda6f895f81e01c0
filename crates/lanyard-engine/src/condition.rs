//! The conditions of a broker, in one place. Components raise their reasons here, or report them
//! when asked, as ledger and clock do. Status, readiness endpoints, metrics and log show nothing
//! else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::condition::{Acceptance, Condition, Kind, Reason};
use lanyard_core::ledger::{CommitError, Ledger};
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use crate::clock::Clock;

/// The time for which the first of two people waits for the second.
///
/// # Limit
/// - for: an acceptance that takes two people
/// - unit: of time
/// - beyond: the first person has to say so again
/// - test: `a_second_person_lifts_only_what_the_first_one_saw_and_in_time`
pub const SECOND_PERSON_WAIT: Duration = Duration::from_secs(3600);

/// The reasons that keep the broker from issuing.
pub struct Conditions {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    raised: Mutex<BTreeSet<Reason>>,
    /// The reasons that the log has told, by kind.
    told: Mutex<BTreeMap<Kind, Reason>>,
    /// The decisions that wait for a second person, by kind.
    waiting: Mutex<BTreeMap<Kind, (Acceptance, Timestamp)>>,
}

/// The broker issues nothing. The text names kinds of reasons without details, because agents read
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotIssuing {
    /// The condition of the broker.
    pub condition: Condition,
    /// The kinds of reasons behind it.
    pub kinds: BTreeSet<Kind>,
}

impl fmt::Display for NotIssuing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.as_str()).collect();
        write!(
            f,
            "the broker is {} ({}): nothing is issued; its operators see why with `lanyard status`",
            self.condition,
            kinds.join(", ")
        )
    }
}

impl std::error::Error for NotIssuing {}

/// The effect of an operator's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// The reasons of the kind are lifted.
    Lifted,
    /// A second person has to decide the same before this time.
    SecondPersonBy(Timestamp),
}

/// The reason why an operator's decision lifts nothing.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// No reason of the kind stands.
    #[error("no reason `{0}` stands: `lanyard condition list` names those that do")]
    NotRaised(Kind),
    /// Only the end of the cause lifts the kind.
    #[error("`{0}` cannot be accepted; {remedy}", remedy = .0.remedy())]
    CauseOnly(Kind),
    /// The person decided before, or may be the person who did.
    #[error(
        "`{0}` takes a second person: you said so already, or whoever did may be you by an account of another issuer"
    )]
    SamePerson(Kind),
    /// The decision cannot be journaled.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Conditions {
    pub(crate) fn new(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> Self {
        Self {
            ledger,
            clock,
            raised: Mutex::default(),
            told: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Stops issuing for this reason until it is lowered.
    pub fn raise(&self, reason: Reason) {
        self.raised.lock().insert(reason);
        self.tell();
    }

    /// Removes a reason from the condition.
    pub fn lower(&self, reason: &Reason) {
        if self.raised.lock().remove(reason) {
            self.tell();
        }
    }

    /// Replaces all reasons of a kind, for components that check again and again.
    pub fn replace(&self, kind: Kind, reasons: impl IntoIterator<Item = Reason>) {
        let mut raised = self.raised.lock();
        raised.retain(|reason| reason.kind() != kind);
        raised.extend(reasons.into_iter().filter(|reason| reason.kind() == kind));
        drop(raised);
        self.tell();
    }

    /// Every reason that stands.
    #[must_use]
    pub fn reasons(&self) -> Vec<Reason> {
        let mut reasons: Vec<_> = self.raised.lock().iter().cloned().collect();
        reasons.extend(self.clock.faults());
        reasons.extend(self.ledger.faults());
        reasons
    }

    /// The condition that follows from the reasons.
    #[must_use]
    pub fn condition(&self) -> Condition {
        Condition::of(&self.reasons())
    }

    /// True if a reason other than the daemon's own end stands. While the daemon ends, the
    /// condition alone does not show it.
    pub(crate) fn is_revoke_only(&self) -> bool {
        let reasons = self.reasons();
        let mut conditions = reasons.iter().map(|reason| reason.kind().condition());
        conditions.any(|condition| condition == Condition::RevokeOnly)
    }

    /// Checks that something may be issued now.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), NotIssuing> {
        let mut reasons = self.reasons();
        reasons.retain(|reason| reason.kind().condition() != Condition::Issuing);
        match Condition::of(&reasons) {
            Condition::Issuing => Ok(()),
            condition @ (Condition::RevokeOnly | Condition::Stopped) => Err(NotIssuing {
                condition,
                kinds: reasons.iter().map(Reason::kind).collect(),
            }),
        }
    }

    /// Logs what changed since the last call. Called every half second, the log still has one line
    /// for a clock whose jump grows.
    pub(crate) fn tell(&self) {
        let now: BTreeMap<Kind, Reason> = self
            .reasons()
            .into_iter()
            .map(|reason| (reason.kind(), reason))
            .collect();
        let mut told = self.told.lock();
        let came = now.keys().any(|kind| !told.contains_key(kind));
        let went = told.keys().any(|kind| !now.contains_key(kind));
        if !came && !went {
            return;
        }
        let all: Vec<_> = now.values().cloned().collect();
        let condition = Condition::of(&all);
        for (kind, reason) in &now {
            if !told.contains_key(kind) {
                let remedy = kind.remedy();
                if kind.condition() == Condition::Issuing {
                    tracing::error!(%condition, kind = kind.as_str(), %reason, remedy, "operators are needed");
                } else {
                    tracing::error!(%condition, kind = kind.as_str(), %reason, remedy, "the broker issues nothing");
                }
            }
        }
        for kind in told.keys().filter(|kind| !now.contains_key(kind)) {
            tracing::warn!(%condition, kind = kind.as_str(), "a reason is gone");
        }
        *told = now;
    }

    /// The reasons of a kind that stand; only those seen, if any are given.
    pub(crate) fn standing(&self, kind: Kind, seen: &[String]) -> Vec<Reason> {
        let mut reasons = self.reasons();
        // What is told of a clock goes on with it, and there is one clock: what is seen of it is
        // that it is wrong.
        let is_any = seen.is_empty() || is_of_the_clock(kind);
        reasons.retain(|reason| {
            reason.kind() == kind && (is_any || seen.contains(&reason.to_string()))
        });
        reasons
    }

    /// Removes the decision that waited for a second person.
    pub(crate) fn used(&self, kind: Kind) {
        self.waiting.lock().remove(&kind);
    }

    /// The first person's decision, if another person decides the same in time.
    pub(crate) fn first(&self, said: &Acceptance, now: Timestamp) -> Result<First, AcceptError> {
        let mut waiting = self.waiting.lock();
        waiting.retain(|_, (_, until)| now <= *until);
        match waiting.get(&said.kind) {
            // Two accounts that may be one person's are not two people (S33).
            Some((first, _)) if first.by.may_be(&said.by) => {
                Err(AcceptError::SamePerson(said.kind))
            }
            // What the first person saw is what the second one lifts.
            Some((first, _)) if first.of == said.of => Ok(First::Was(Box::new(first.clone()))),
            Some(_) | None => {
                let until = now + SECOND_PERSON_WAIT;
                waiting.insert(said.kind, (said.clone(), until));
                Ok(First::Is(until))
            }
        }
    }
}

/// The first of two people.
pub(crate) enum First {
    /// Another person decided before.
    Was(Box<Acceptance>),
    /// The person is the first, and waits for a second until this time.
    Is(Timestamp),
}

pub(crate) const fn is_of_the_clock(kind: Kind) -> bool {
    matches!(kind, Kind::ClockJumped | Kind::JournalAhead)
}
