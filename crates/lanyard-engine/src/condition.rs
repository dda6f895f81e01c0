//! The one place that knows whether the broker issues. Whoever finds a reason not to raises it here, or says it when
//! asked: the ledger and the clock are asked each time. The status, the readiness endpoints, the metrics and the log tell
//! what stands here and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::condition::{Acceptance, Condition, Kind, Reason};
use lanyard_core::ledger::{CommitError, Ledger};
use lanyard_core::time::Timestamp;
use parking_lot::Mutex;

use crate::clock::Clock;

/// How long the first of two people waits for the second.
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
    /// By kind, what the log has.
    told: Mutex<BTreeMap<Kind, Reason>>,
    /// By kind, who waits for a second person.
    waiting: Mutex<BTreeMap<Kind, (Acceptance, Timestamp)>>,
}

/// Nothing is issued. The text names kinds of reasons and no detail: agents read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotIssuing {
    /// The condition instead.
    pub condition: Condition,
    /// Why.
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

/// What became of an operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// The reasons of this kind are lifted.
    Lifted,
    /// A second person has to say the same before this time.
    SecondPersonBy(Timestamp),
}

/// Why an operator's word does not lift a reason.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// There is nothing to lift.
    #[error("no reason `{0}` stands: `lanyard condition list` names those that do")]
    NotRaised(Kind),
    /// Only its cause lifts it.
    #[error("`{0}` cannot be accepted; {remedy}", remedy = .0.remedy())]
    CauseOnly(Kind),
    /// The same person twice.
    #[error(
        "`{0}` takes a second person: you said so already, or whoever did may be you by an account of another issuer"
    )]
    SamePerson(Kind),
    /// The word cannot be journaled.
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

    /// The reason does not stand any more.
    pub fn lower(&self, reason: &Reason) {
        if self.raised.lock().remove(reason) {
            self.tell();
        }
    }

    /// Exactly these reasons of this kind stand: for whoever looks again and again.
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

    /// What the broker does now.
    #[must_use]
    pub fn condition(&self) -> Condition {
        Condition::of(&self.reasons())
    }

    /// Whether a reason other than the daemon's own end stands. While the daemon ends, the condition does not tell.
    pub(crate) fn is_revoke_only(&self) -> bool {
        let reasons = self.reasons();
        let mut conditions = reasons.iter().map(|reason| reason.kind().condition());
        conditions.any(|condition| condition == Condition::RevokeOnly)
    }

    /// Whether something may be issued now.
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

    /// Writes to the log what changed since it was last told. A log that is told every half second still has one line of
    /// a clock whose jump grows.
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

    /// The reasons of a kind that stand, of those that were seen where any are named.
    pub(crate) fn standing(&self, kind: Kind, seen: &[String]) -> Vec<Reason> {
        let mut reasons = self.reasons();
        // What is told of a clock goes on with it, and there is one clock: what is seen of it is that it is wrong.
        let is_any = seen.is_empty() || is_of_the_clock(kind);
        reasons.retain(|reason| {
            reason.kind() == kind && (is_any || seen.contains(&reason.to_string()))
        });
        reasons
    }

    /// The word of a person who waits for a second one is used up.
    pub(crate) fn used(&self, kind: Kind) {
        self.waiting.lock().remove(&kind);
    }

    /// The words of the first person, where another one says the same in time.
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

/// Who said so first.
pub(crate) enum First {
    /// Another person, before.
    Was(Box<Acceptance>),
    /// This one, who waits for a second until then.
    Is(Timestamp),
}

pub(crate) const fn is_of_the_clock(kind: Kind) -> bool {
    matches!(kind, Kind::ClockJumped | Kind::JournalAhead)
}
