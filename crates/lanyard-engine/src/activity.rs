//! Counts of answers, credentials, approvals, reports and tasks since the start of the process,
//! for a monitoring system.
//!
//! Every request counts, also those that the journal holds as a number. Each number is of words of
//! the product, of kinds of providers, and of charters in force: whoever makes up names fills
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanyard_core::action::Outcome;
use lanyard_core::decide::Denial;
use lanyard_core::state::Unusual;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use parking_lot::Mutex;

/// The reason code of a yes.
pub const ALLOWED: &str = "ALLOWED";

/// Charters with numbers of their own.
///
/// # Limit
/// - for: all charters that were in force since the start
/// - unit: charters
/// - beyond: what happens under charters that come later is counted together, under no name
/// - test: `charters_beyond_those_with_numbers_of_their_own_are_counted_together`
pub const MAX_COUNTED_CHARTERS: usize = 1000;

/// Seconds that people take to answer.
const ANSWER_SECONDS: &[u64] = &[10, 30, 60, 300, 900, 1800, 3600, 14_400, 28_800, 86_400];
/// Seconds between the opening of a task and its closing.
const TASK_SECONDS: &[u64] = &[
    1, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400,
];

/// The kind of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    /// To open a task.
    #[default]
    Task,
    /// To take a plan in.
    Plan,
    /// To issue a credential.
    Credential,
}

impl Request {
    /// The word of the documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Plan => "plan",
            Self::Credential => "credential",
        }
    }
}

/// Answers of one kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    /// The charter; none where no charter of the name that was asked for is in force.
    pub charter: Option<Name>,
    /// The kind of the request.
    pub request: Request,
    /// `allowed`, `denied` or `refused`.
    pub outcome: &'static str,
    /// The code of the reason.
    pub code: &'static str,
}

/// A step in the life of an approval request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Approving {
    /// The agent asked people.
    Requested,
    /// The last yes that was needed.
    Approved,
    /// A person said no.
    Denied,
    /// The agent takes the request back.
    TakenBack,
}

impl Approving {
    /// Every step, in the order of the documentation.
    pub const ALL: [Self; 4] = [
        Self::Requested,
        Self::Approved,
        Self::Denied,
        Self::TakenBack,
    ];

    /// The word of the documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::TakenBack => "taken-back",
        }
    }
}

/// Counts of spans by upper bounds, and the sum of the spans.
#[derive(Debug, Clone)]
pub struct Spans {
    bounds: &'static [u64],
    counts: Vec<u64>,
    sum: f64,
}

impl Spans {
    fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            // One more than there are bounds, for what is longer than all of them.
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    fn add(&mut self, span: Duration) {
        let place = self
            .bounds
            .partition_point(|bound| Duration::from_secs(*bound) < span);
        if let Some(count) = self.counts.get_mut(place) {
            *count = count.saturating_add(1);
        }
        self.sum += span.as_secs_f64();
    }

    /// The sum of all, in seconds.
    #[must_use]
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// The number of spans.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Each bound in seconds, with how many are within it and beyond the bound before; the last has
    /// no bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some);
        bounds.chain([None]).zip(self.counts.iter().copied())
    }
}

/// The numbers since the start.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// The number of each answer to requests.
    pub answers: BTreeMap<Answer, u64>,
    /// Credentials that providers made, by kind and role.
    pub issued: BTreeMap<(&'static str, Role), u64>,
    /// Credentials that providers did not make although they were asked, by kind and role.
    pub failed: BTreeMap<(&'static str, Role), u64>,
    /// Reports of actions, by charter and outcome.
    pub actions: BTreeMap<(Option<Name>, Outcome), u64>,
    /// Approval requests, by step.
    pub approvals: BTreeMap<Approving, u64>,
    /// Approvals by people that deserve a second look, by pattern.
    pub unusual: BTreeMap<Unusual, u64>,
    /// Spans from a request to the deciding yes or no.
    pub waits: BTreeMap<Approving, Spans>,
    /// Spans from the opening of tasks to their closing, by charter.
    pub tasks: BTreeMap<Option<Name>, Spans>,
    charters: BTreeSet<Name>,
}

fn one_more<K: Ord>(counts: &mut BTreeMap<K, u64>, of: K) {
    let count = counts.entry(of).or_default();
    *count = count.saturating_add(1);
}

impl Numbers {
    /// The charter, where it has numbers of its own.
    fn own(&mut self, charter: Option<Name>) -> Option<Name> {
        let charter = charter?;
        let has_room = self.charters.len() < MAX_COUNTED_CHARTERS;
        if has_room {
            self.charters.insert(charter.clone());
        }
        self.charters.contains(&charter).then_some(charter)
    }

    fn answered(&mut self, answer: Answer) {
        let charter = self.own(answer.charter.clone());
        one_more(&mut self.answers, Answer { charter, ..answer });
    }

    fn allowed(&mut self, charter: Option<Name>, request: Request) {
        self.answered(Answer {
            charter,
            request,
            outcome: "allowed",
            code: ALLOWED,
        });
    }

    fn decided(&mut self, how: Approving, wait: Duration) {
        one_more(&mut self.approvals, how);
        let spans = self.waits.entry(how);
        spans
            .or_insert_with(|| Spans::new(ANSWER_SECONDS))
            .add(wait);
    }

    fn take(&mut self, noted: Noted) {
        match noted {
            Noted::Allowed(charter, request) => self.allowed(charter, request),
            Noted::Planned { charter, asks } => {
                self.allowed(charter, Request::Plan);
                if asks {
                    one_more(&mut self.approvals, Approving::Requested);
                }
            }
            Noted::Closed(tasks) => {
                for (charter, open_for) in tasks {
                    let charter = self.own(charter);
                    let spans = self.tasks.entry(charter);
                    spans
                        .or_insert_with(|| Spans::new(TASK_SECONDS))
                        .add(open_for);
                }
            }
            Noted::Approved(wait) => self.decided(Approving::Approved, wait),
            Noted::Unusual(pattern) => one_more(&mut self.unusual, pattern),
            Noted::Denied(wait) => self.decided(Approving::Denied, wait),
            Noted::TakenBack => one_more(&mut self.approvals, Approving::TakenBack),
            Noted::Reported(charter, outcome) => {
                let charter = self.own(charter);
                one_more(&mut self.actions, (charter, outcome));
            }
            Noted::Issued(kind, role) => one_more(&mut self.issued, (kind, role)),
        }
    }
}

/// The numbers of a process.
#[derive(Debug, Default)]
pub struct Activity(Mutex<Numbers>);

impl Activity {
    /// All numbers as they are now.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.0.lock().clone()
    }

    /// A no; of a charter that is in force, or of none.
    pub(crate) fn denied(&self, charter: Option<&Name>, request: Request, denial: &Denial) {
        let outcome = if denial.rule.is_refusal() {
            "refused"
        } else {
            "denied"
        };
        self.0.lock().answered(Answer {
            charter: charter.cloned(),
            request,
            outcome,
            code: denial.code().as_str(),
        });
    }

    /// A provider made no credential.
    pub(crate) fn failed(&self, kind: &'static str, role: Role) {
        one_more(&mut self.0.lock().failed, (kind, role));
    }

    pub(crate) fn take(&self, noted: Noted) {
        self.0.lock().take(noted);
    }
}

/// The count that a command adds to once it is in effect.
pub(crate) enum Noted {
    Allowed(Option<Name>, Request),
    Planned { charter: Option<Name>, asks: bool },
    Closed(Vec<(Option<Name>, Duration)>),
    Approved(Duration),
    Unusual(Unusual),
    Denied(Duration),
    TakenBack,
    Reported(Option<Name>, Outcome),
    Issued(&'static str, Role),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_counted_within_the_first_bound_that_holds_it() {
        let mut spans = Spans::new(&[1, 10]);
        for millis in [0, 1000, 1001, 10_000, 10_001, 5_000_000] {
            spans.add(Duration::from_millis(millis));
        }
        let buckets: Vec<_> = spans.buckets().collect();
        assert_eq!(buckets, [(Some(1), 2), (Some(10), 2), (None, 2)]);
        assert_eq!(spans.count(), 6);
        assert!((spans.sum() - 5022.002).abs() < 1e-9, "{}", spans.sum());
    }

    #[test]
    fn charters_beyond_those_with_numbers_of_their_own_are_counted_together() {
        let activity = Activity::default();
        for number in 0..MAX_COUNTED_CHARTERS + 50 {
            let charter = format!("c{number}").parse().ok();
            activity.take(Noted::Allowed(charter, Request::Task));
        }
        let first: Option<Name> = "c0".parse().ok();
        activity.take(Noted::Reported(first.clone(), Outcome::Failed));
        let late: Option<Name> = format!("c{MAX_COUNTED_CHARTERS}").parse().ok();
        activity.take(Noted::Reported(late, Outcome::Failed));
        let numbers = activity.numbers();
        assert_eq!(numbers.answers.len(), MAX_COUNTED_CHARTERS + 1);
        let unnamed = numbers.answers.iter().find(|(of, _)| of.charter.is_none());
        assert_eq!(unnamed.map(|(_, count)| *count), Some(50));
        let actions: Vec<_> = numbers.actions.into_keys().collect();
        assert_eq!(actions, [(None, Outcome::Failed), (first, Outcome::Failed)]);
    }
}
