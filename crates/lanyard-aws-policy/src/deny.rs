//! The inline policy that holds a role's revoked sessions, as a pure function of what has to be dead and of
//! what the role already denies.
//!
//! A statement names the hour in which its leases are over, so that what an earlier state of the ledger
//! wrote stays until that hour even where the ledger no longer knows it (rule 11). A cut denies every
//! session issued before a moment, in constant size; it stands in for what the list cannot hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanyard_core::charter::policy::{Document, OneOrMany, Statement};
use lanyard_core::id::LeaseId;
use lanyard_core::lease::LeaseRef;
use lanyard_core::time::Timestamp;

/// How long after its intent a session may still be issued: a minute for the mint itself, and the five
/// for which AWS accepts a signed request.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>
const SETTLE: Duration = Duration::from_secs(60 + 300);
/// How far the clocks of broker and provider may be apart at a cut.
const SKEW: Duration = Duration::from_secs(60);
/// The longest session that a role can give: past it, a cut has nothing left to cut.
const SESSION_LIFE: Duration = Duration::from_secs(12 * 60 * 60);
const HOUR: u64 = 60 * 60;

/// The characters of a listed lease: its id, quotes and a comma.
const ENTRY_SIZE: usize = 31;
/// At least what a statement takes without its leases.
const STATEMENT_SIZE: usize = 150;
/// At least what the document takes with a cut and no other statement.
const FRAME_SIZE: usize = 200;

/// Why a lease is on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A kill order: it holds its slot, or a cut stands in for it.
    Killed,
    /// A release, an expiry, a failed mint: it takes a spare slot (rule 12).
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

/// What one instance denies on one role.
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
    /// Sessions issued before this are denied.
    #[must_use]
    pub const fn cut(&self) -> Option<Timestamp> {
        self.cut
    }

    /// Whether this lease is denied by name.
    #[must_use]
    pub fn names(&self, lease: LeaseId) -> bool {
        self.denied.contains_key(&lease)
    }

    /// Whether there is nothing to write: IAM takes no policy without a statement.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cut.is_none() && self.denied.is_empty()
    }

    /// The document, in a stable order.
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
            policy.take(statement)?;
        }
        (policy.document() == *document).then_some(policy)
    }

    fn take(&mut self, statement: &Statement) -> Option<()> {
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

/// What has to be dead on one role.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Not yet acknowledged.
    pub due: &'a [LeaseRef],
    /// To be kept dead.
    pub standing: &'a [LeaseRef],
    /// Everything asked for before this has to die.
    pub cut: Option<Timestamp>,
    /// What the role denies at present.
    pub present: &'a DenyPolicy,
    /// The provider's own time.
    pub now: Timestamp,
    /// The most characters that the document may take.
    pub budget: usize,
}

/// What to write, and what it leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// What the role has to deny.
    pub policy: DenyPolicy,
    /// Leases that nobody killed and that found no slot: they rest on their time Deny.
    pub unlisted: BTreeSet<LeaseId>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    lease: LeaseId,
    denied: Denied,
    /// The last moment at which the session could have been issued.
    issued_by: Timestamp,
    hold: Hold,
}

/// Who goes first when slots are short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    /// Listed, or covered by a cut.
    Must,
    /// Listed where there is room.
    May,
}

/// Works out what a role has to deny. The cut never moves back, and goes only when nothing that it denies
/// can live.
#[must_use]
pub fn compose(demand: &Demand<'_>) -> Composed {
    let mut cut = standing_cut(demand);
    let mut candidates = candidates(demand);
    candidates.retain(|one| !covered(cut, one));
    // The newest keep their slots: a cut then reaches as few neighbours as it can.
    candidates.sort_by_key(|one| (one.hold, std::cmp::Reverse(one.issued_by), one.lease));
    let killed = candidates
        .iter()
        .any(|one| one.denied.cause == Cause::Killed);
    let mut room = Room::new(demand.budget);
    let mut policy = DenyPolicy::default();
    let mut unlisted = BTreeSet::new();
    for one in &candidates {
        if covered(cut, one) {
            continue;
        }
        if room.admits(one.denied, one.hold) {
            policy.denied.insert(one.lease, one.denied);
        } else if one.hold == Hold::Must && killed {
            cut = cut.max(Some(after(one.issued_by)));
        } else {
            unlisted.insert(one.lease);
        }
    }
    policy.cut = cut;
    Composed { policy, unlisted }
}

/// The cut that the order asks for, or the one that stands already.
fn standing_cut(demand: &Demand<'_>) -> Option<Timestamp> {
    let present = demand
        .present
        .cut
        .filter(|cut| demand.now <= *cut + SESSION_LIFE);
    let Some(order) = demand.cut else {
        return present;
    };
    // A cut that was made for this order stays as it is: moving it on would reach sessions issued since.
    present
        .filter(|cut| *cut >= after(order + SKEW))
        .or(Some(after(order.max(demand.now) + SKEW)))
}

/// The first whole second after this.
fn after(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.as_secs() + 1)
}

fn covered(cut: Option<Timestamp>, one: &Candidate) -> bool {
    cut.is_some_and(|cut| one.issued_by < cut)
}

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
            issued_by: demand.now + SETTLE,
            hold: match denied.cause {
                Cause::Killed => Hold::Must,
                Cause::Ended => Hold::May,
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
    // What was acknowledged once is not taken back for want of a slot.
    let hold = if cause == Cause::Killed || present.names(lease.id) {
        Hold::Must
    } else {
        Hold::May
    };
    let until = hour_after(lease.worst_expiry);
    Candidate {
        lease: lease.id,
        denied: Denied { cause, until },
        issued_by: lease.asked + SETTLE,
        hold,
    }
}

/// The full hour after a lease is over, leaving the clocks their difference.
fn hour_after(worst_expiry: Timestamp) -> Timestamp {
    let secs = (worst_expiry + SKEW).as_secs();
    Timestamp::from_secs(secs.saturating_add(HOUR) / HOUR * HOUR)
}

/// What is left of the budget, counted so that the document never takes more.
struct Room {
    left: usize,
    /// Of that, what leases may take that nobody killed: half of the whole, so that a kill finds room (rule 12).
    spare: usize,
    lists: BTreeSet<(Cause, Timestamp)>,
}

impl Room {
    fn new(budget: usize) -> Self {
        let left = budget.saturating_sub(FRAME_SIZE);
        Self {
            left,
            spare: left / 2,
            lists: BTreeSet::new(),
        }
    }

    fn admits(&mut self, denied: Denied, hold: Hold) -> bool {
        let list = (denied.cause, denied.until);
        let opening = if self.lists.contains(&list) {
            0
        } else {
            STATEMENT_SIZE
        };
        let size = opening + ENTRY_SIZE;
        let Some(left) = self.left.checked_sub(size) else {
            return false;
        };
        if denied.cause == Cause::Ended {
            match (self.spare.checked_sub(size), hold) {
                (Some(spare), _) => self.spare = spare,
                // What was acknowledged once keeps its entry.
                (None, Hold::Must) => self.spare = 0,
                (None, Hold::May) => return false,
            }
        }
        self.left = left;
        self.lists.insert(list);
        true
    }
}
