//! The inline policy that denies a role's revoked sessions, as a pure function of the leases that
//! have to be dead and of what the role denies already.
//!
//! Each statement names the hour in which its leases are over. Entries that an earlier state of the
//! ledger wrote therefore stay until that hour, even where the ledger no longer knows them (rule
//! 11). A cut denies every session issued before a moment, in constant size, and replaces a list
//! that does not fit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanyard_charter::policy::{Document, OneOrMany, Statement};
use lanyard_core::lease::LeaseRef;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::Timestamp;

/// Time after its intent in which a session may still be issued: one minute for the mint itself,
/// and the five minutes for which AWS accepts a signed request.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>
const LATEST_ISSUE_AFTER_INTENT: Duration = Duration::from_secs(60 + 300);
/// Difference that is allowed between the clocks of the broker and of AWS.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// The longest session that AWS gives a role; after that time every session that a cut denies has
/// expired.
const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);
const HOUR_SECS: u64 = 60 * 60;

/// Size of a listed lease in characters: its id, two quotes and a comma.
const ENTRY_CHARS: usize = 31;
/// Upper bound, in characters, of a statement without its leases.
const STATEMENT_CHARS: usize = 150;
/// Upper bound, in characters, of a document that holds only a cut.
const FRAME_CHARS: usize = 200;

/// The reason why a lease is denied by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A kill order: the lease keeps its slot, or a cut denies it.
    Killed,
    /// A release, an expiry or a failed mint: the lease gets a slot only where one is free (rule
    /// 12).
    Ended,
}

impl Cause {
    const fn label(self) -> &'static str {
        match self {
            Self::Killed => "LanyardKilled",
            Self::Ended => "LanyardEnded",
        }
    }
}

const CUT_LABEL: &str = "LanyardCut";

/// The sessions that one Lanyard instance denies on one role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DenyPolicy {
    cut: Option<Timestamp>,
    denied: BTreeMap<LeaseId, Denied>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Denied {
    cause: Cause,
    until: Timestamp,
}

impl DenyPolicy {
    /// The moment before which every issued session is denied, if there is a cut.
    #[must_use]
    pub const fn cut(&self) -> Option<Timestamp> {
        self.cut
    }

    /// Checks whether the policy lists `lease`.
    #[must_use]
    pub fn names(&self, lease: LeaseId) -> bool {
        self.denied.contains_key(&lease)
    }

    /// True when nothing is denied: the policy has to be deleted then, because IAM refuses one
    /// without statements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cut.is_none() && self.denied.is_empty()
    }

    /// Renders the policy as an IAM document, in a stable order.
    #[must_use]
    pub fn document(&self) -> Document {
        let mut lists: BTreeMap<(Cause, Timestamp), BTreeSet<LeaseId>> = BTreeMap::new();
        for (lease, denied) in &self.denied {
            lists
                .entry((denied.cause, denied.until))
                .or_default()
                .insert(*lease);
        }
        let cut = self.cut.map(|cut| {
            let before = OneOrMany::one(cut.to_string());
            Statement::deny_all_when("DateLessThan", "aws:TokenIssueTime", before)
                .named(format!("{CUT_LABEL}{}", cut.as_secs()))
        });
        let lists = lists.iter().map(|((cause, until), leases)| {
            let ids = leases.iter().map(ToString::to_string).collect();
            Statement::deny_all_when("StringEquals", "aws:SourceIdentity", OneOrMany::Many(ids))
                .named(format!("{}{}", cause.label(), until.as_secs()))
        });
        Document::new(cut.into_iter().chain(lists).collect())
    }

    /// Reads a document that [`DenyPolicy::document`] made; `None` for any other.
    #[must_use]
    pub fn parse(document: &Document) -> Option<Self> {
        let mut policy = Self::default();
        for statement in &document.statement {
            policy.read_statement(statement)?;
        }
        // Rendered again and compared, so that a document with anything beside our statements (an
        // edit by hand) is not taken for ours.
        (policy.document() == *document).then_some(policy)
    }

    fn read_statement(&mut self, statement: &Statement) -> Option<()> {
        let sid = statement.sid.as_deref()?;
        let at = |label: &str| {
            let secs = sid.strip_prefix(label)?.parse().ok()?;
            Some(Timestamp::from_secs(secs))
        };
        if let Some(cut) = at(CUT_LABEL) {
            self.cut = Some(cut);
            return Some(());
        }
        let (cause, until) = [Cause::Killed, Cause::Ended]
            .into_iter()
            .find_map(|cause| Some((cause, at(cause.label())?)))?;
        let listed = statement.condition.values().next()?.values().next()?;
        for id in listed.as_slice() {
            self.denied
                .insert(id.parse().ok()?, Denied { cause, until });
        }
        Some(())
    }
}

/// The input of [`compose`]: the leases that have to be dead on one role.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Leases whose revocation is not acknowledged yet.
    pub due: &'a [LeaseRef],
    /// Leases that were revoked before and have to stay denied.
    pub standing: &'a [LeaseRef],
    /// Every session asked for before this moment has to die.
    pub cut: Option<Timestamp>,
    /// The policy that the role has now.
    pub present: &'a DenyPolicy,
    /// The current time by AWS's clock.
    pub now: Timestamp,
    /// The largest document, in characters.
    pub budget: usize,
}

/// The output of [`compose`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// The policy to write to the role.
    pub policy: DenyPolicy,
    /// Leases that ended without a kill and found no slot: nothing but the expiry in their session
    /// policy denies them.
    pub unlisted: BTreeSet<LeaseId>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    lease: LeaseId,
    denied: Denied,
    /// The latest moment at which the session could have been issued.
    issued_by: Timestamp,
    priority: Priority,
}

/// The priority of a lease when slots are short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    /// The lease must be listed, or a cut must cover it.
    Required,
    /// The lease is listed only while the document has room.
    Optional,
}

/// Computes the policy that a role needs. A cut never moves back, and is dropped only when every
/// session that it denies has expired.
#[must_use]
pub fn compose(demand: &Demand<'_>) -> Composed {
    let mut cut = standing_cut(demand);
    let mut candidates = candidates(demand);
    candidates.retain(|one| !covered(cut, one));
    // The newest leases get the slots: a cut that covers only the older ones reaches fewer sessions
    // of others.
    candidates.sort_by_key(|one| (one.priority, std::cmp::Reverse(one.issued_by), one.lease));
    let killed = candidates
        .iter()
        .any(|one| one.denied.cause == Cause::Killed);
    let mut budget = Budget::new(demand.budget);
    let mut policy = DenyPolicy::default();
    let mut unlisted = BTreeSet::new();
    for one in &candidates {
        if covered(cut, one) {
            continue;
        }
        if budget.admits(one.denied, one.priority) {
            policy.denied.insert(one.lease, one.denied);
        } else if one.priority == Priority::Required && killed {
            cut = cut.max(Some(after(one.issued_by)));
        } else {
            unlisted.insert(one.lease);
        }
    }
    policy.cut = cut;
    Composed { policy, unlisted }
}

/// The cut that a kill order demands, or the one that the role has.
fn standing_cut(demand: &Demand<'_>) -> Option<Timestamp> {
    let present = demand
        .present
        .cut
        .filter(|cut| demand.now <= *cut + SESSION_LIFE);
    let Some(order) = demand.cut else {
        return present;
    };
    // A cut that was made for this order stays where it is: moving it later would kill sessions
    // issued since.
    present
        .filter(|cut| *cut >= after(order + CLOCK_SKEW))
        .or(Some(after(order.max(demand.now) + CLOCK_SKEW)))
}

/// The first whole second after `at`, since policy times have no fractions.
fn after(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.as_secs() + 1)
}

fn covered(cut: Option<Timestamp>, one: &Candidate) -> bool {
    cut.is_some_and(|cut| one.issued_by < cut)
}

/// Every lease that may need a slot: those of the ledger, and those that the role lists and the
/// ledger no longer knows.
fn candidates(demand: &Demand<'_>) -> Vec<Candidate> {
    let ours = demand.due.iter().chain(demand.standing);
    let known: BTreeSet<LeaseId> = ours.clone().map(|lease| lease.id).collect();
    let due: BTreeSet<LeaseId> = demand.due.iter().map(|lease| lease.id).collect();
    let foreign = demand
        .present
        .denied
        .iter()
        .filter(|(lease, denied)| !known.contains(lease) && demand.now <= denied.until)
        .map(|(lease, denied)| Candidate {
            lease: *lease,
            denied: *denied,
            issued_by: demand.now + LATEST_ISSUE_AFTER_INTENT,
            priority: match denied.cause {
                Cause::Killed => Priority::Required,
                Cause::Ended => Priority::Optional,
            },
        });
    ours.filter(|lease| due.contains(&lease.id) || demand.now <= hour_after(lease.worst_expiry))
        .map(|lease| candidate(lease, demand.present))
        .chain(foreign)
        .collect()
}

fn candidate(lease: &LeaseRef, present: &DenyPolicy) -> Candidate {
    let cause = if lease.kill.is_some() {
        Cause::Killed
    } else {
        Cause::Ended
    };
    // An acknowledged revocation is never taken back for want of a slot.
    let priority = if cause == Cause::Killed || present.names(lease.id) {
        Priority::Required
    } else {
        Priority::Optional
    };
    let until = hour_after(lease.worst_expiry);
    Candidate {
        lease: lease.id,
        denied: Denied { cause, until },
        issued_by: lease.asked + LATEST_ISSUE_AFTER_INTENT,
        priority,
    }
}

/// The full hour after a lease is over by both clocks. Leases of one hour share a statement.
fn hour_after(worst_expiry: Timestamp) -> Timestamp {
    let secs = (worst_expiry + CLOCK_SKEW).as_secs();
    Timestamp::from_secs(secs.saturating_add(HOUR_SECS) / HOUR_SECS * HOUR_SECS)
}

/// The remaining characters of the document. Every size is an upper bound, so the document never
/// exceeds its budget.
struct Budget {
    left: usize,
    /// The part of `left` that leases without a kill may use: half of the whole, so that a kill
    /// always finds room (rule 12).
    spare: usize,
    lists: BTreeSet<(Cause, Timestamp)>,
}

impl Budget {
    fn new(budget: usize) -> Self {
        let left = budget.saturating_sub(FRAME_CHARS);
        Self {
            left,
            spare: left / 2,
            lists: BTreeSet::new(),
        }
    }

    fn admits(&mut self, denied: Denied, priority: Priority) -> bool {
        let list = (denied.cause, denied.until);
        let opening = if self.lists.contains(&list) {
            0
        } else {
            STATEMENT_CHARS
        };
        let size = opening + ENTRY_CHARS;
        let Some(left) = self.left.checked_sub(size) else {
            return false;
        };
        if denied.cause == Cause::Ended {
            match (self.spare.checked_sub(size), priority) {
                (Some(spare), _) => self.spare = spare,
                // An acknowledged entry keeps its slot, even beyond the spare half.
                (None, Priority::Required) => self.spare = 0,
                (None, Priority::Optional) => return false,
            }
        }
        self.left = left;
        self.lists.insert(list);
        true
    }
}
