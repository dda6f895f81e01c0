//! How far a kill got: counts that are kept as it goes, and the leases one by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::charter::Name;
use lanyard_core::id::{KillId, LeaseId};
use lanyard_core::kill::{EngagedOrder, Tally};
use lanyard_core::lease::{Awaits, Entry, Lease, Progress, Stage, StopCause};
use lanyard_core::ledger::CommitError;
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_core::time::Timestamp;

use crate::engine::Engine;

/// How many leases a report lists one by one.
///
/// # Limit
/// - for: the report of a kill order
/// - unit: leases
/// - beyond: the other leases are counted by target, and read one by one with `lanyard kill report`
/// - test: `a_report_lists_so_many_leases_and_counts_the_rest`
const MAX_REPORT_LINES: usize = 1000;

/// How far a kill got.
#[derive(Debug, Clone, PartialEq)]
pub struct KillReport {
    /// The order, and how far it was lifted.
    pub engaged: EngagedOrder,
    /// Lease by lease, those first that are furthest from dead; a thousand at most.
    pub lines: Vec<KillLine>,
    /// Leases in reach that the sweep has not come to.
    pub unswept: usize,
    /// What became of the others, by target: those that the order stops, and those in its reach that other orders stop
    /// and that are not known to be dead.
    pub targets: BTreeMap<Name, TargetReport>,
    /// All of that together.
    pub total: Tally,
    /// Leases that were taken, and that are being finished and proved.
    pub proving: u64,
}

/// What became of the leases at one target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetReport {
    /// So many.
    pub tally: Tally,
    /// Past this, what was acknowledged is presumed dead.
    pub settles: Option<Duration>,
    /// The last error of the provider, while it does not do what it is asked.
    pub fault: Option<String>,
}

/// One lease of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct KillLine {
    /// Which lease.
    pub lease: LeaseId,
    /// The order that stops it, where that is another one than the report's.
    pub other: Option<KillId>,
    /// Its task.
    pub task: Arc<Task>,
    /// Which grant, of which role, where.
    pub entry: Arc<Entry>,
    /// How far its revocation got.
    pub progress: Progress,
    /// When the provider first took it.
    pub taken: Option<Timestamp>,
    /// Whether it died for its neighbour.
    pub collateral: bool,
    /// Until when it could be live at worst.
    pub worst_expiry: Timestamp,
    /// Why it is not further.
    pub why: Option<String>,
}

impl KillReport {
    /// Whether every lease in it is dead as far as can be known.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.is_taken() && self.total.acknowledged == 0
    }

    /// Whether nothing is left to do but to wait.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.unswept == 0 && self.total.requested == 0 && self.proving == 0
    }
}

impl Engine {
    /// How far an order got.
    ///
    /// # Errors
    /// When the ledger cannot say.
    pub async fn kill_report(&self, id: KillId) -> Result<Option<KillReport>, CommitError> {
        let swept = *self.swept.lock();
        let engaged = self.peek(|state| {
            let engaged = state.kills().get(id)?;
            Some((engaged.order.clone(), engaged.seq))
        });
        // Counted before the rest: what the sweep comes to in between is counted twice, and not left out.
        let unswept = match engaged.flatten() {
            Some((order, seq)) if swept < Some(seq) => self.unswept(&order, seq),
            Some(_) | None => Some(Vec::new()),
        };
        let unswept = unswept.ok_or_else(|| CommitError::Unavailable("no state".to_owned()))?;
        let report = self
            .in_effect(|state| report(state, id, unswept.len()))
            .await?;
        Ok(report.map(|report| self.explained(report)))
    }

    /// Every lease of an order that is still in the books, and those in its reach that other orders stop and that are
    /// not known to be dead.
    ///
    /// # Errors
    /// When the ledger cannot say.
    pub async fn killed_leases(&self, id: KillId) -> Result<Vec<LeaseId>, CommitError> {
        self.in_effect(|state| {
            let steps = STEPS.into_iter();
            let own = steps.flat_map(|what| state.leases().killed(id, what));
            let engaged = state.kills().get(id);
            let others = engaged.map(|engaged| state.stopped_by_others(engaged));
            let all = own.chain(others.into_iter().flatten());
            all.map(|lease| lease.id).collect()
        })
        .await
    }

    /// The lines of some of them, in the report of this order.
    ///
    /// # Errors
    /// When the ledger cannot say.
    pub async fn kill_lines(
        &self,
        order: KillId,
        leases: &[LeaseId],
    ) -> Result<Vec<KillLine>, CommitError> {
        let lines = self.in_effect(|state| {
            let found = leases.iter().filter_map(|id| state.leases().get(*id));
            found
                .filter_map(|lease| line(lease, order))
                .collect::<Vec<_>>()
        });
        let lines = lines.await?.into_iter();
        Ok(lines.map(|line| self.reasoned(line)).collect())
    }

    fn explained(&self, mut report: KillReport) -> KillReport {
        for (name, target) in &mut report.targets {
            let provider = self.providers().get(name);
            let limits = provider.map(|provider| provider.capabilities());
            if limits.as_ref().is_some_and(|limits| limits.proves) {
                report.proving += target.tally.acknowledged;
            }
            target.settles = limits.map(|limits| limits.settles);
            target.fault = self.lanes.get(name).and_then(|lane| lane.fault());
        }
        let lines = std::mem::take(&mut report.lines).into_iter();
        report.lines = lines.map(|line| self.reasoned(line)).collect();
        report
    }

    fn reasoned(&self, mut line: KillLine) -> KillLine {
        let (target, at) = (&line.entry.target, line.worst_expiry);
        line.why = match line.progress {
            Progress::Fenced | Progress::Requested => Some(match self.lanes.get(target) {
                Some(lane) => {
                    let why = lane.why(line.lease);
                    why.unwrap_or_else(|| "the provider has not been asked yet".to_owned())
                }
                None => {
                    format!("no target `{target}` is configured: nobody asks its provider")
                }
            }),
            Progress::Acknowledged(taken) => self.providers().get(target).map(|provider| {
                let lane = self.lanes.get(target);
                let since = lane.and_then(|lane| lane.unproved_since(line.lease));
                if provider.capabilities().proves && since.is_none() {
                    let why = lane.and_then(|lane| lane.why(line.lease));
                    let why = why.unwrap_or_else(|| "the check has not been made yet".to_owned());
                    return format!("acknowledged, not shown to be dead: {why}");
                }
                let settles = provider.capabilities().settles;
                let bound = match since {
                    Some(since) => {
                        let passed = self.parts.clock.steady().saturating_sub(since);
                        self.now() + settles.saturating_sub(passed)
                    }
                    None => taken + settles,
                };
                format!(
                    "acknowledged; {} has no check that shows it dead, and it is presumed dead from {} on",
                    provider.capabilities().provider,
                    bound.min(at)
                )
            }),
            Progress::PresumedDead(_) | Progress::ProvedDead(_) | Progress::Expired(_) => None,
        };
        if let Some(other) = line.other {
            let why = line.why.unwrap_or_default();
            line.why = Some(format!("stopped by order {other}: {why}"));
        }
        line
    }
}

/// What a killed lease can wait for, furthest from dead first.
const STEPS: [Awaits; 3] = [Awaits::Kill, Awaits::Bound, Awaits::End];

fn line(lease: &Lease, order: KillId) -> Option<KillLine> {
    match lease.stage {
        Stage::Stopping { cause, progress } => Some(KillLine {
            lease: lease.id,
            other: cause.kill().filter(|by| *by != order),
            task: Arc::clone(&lease.task),
            entry: Arc::clone(&lease.entry),
            progress,
            taken: lease.taken,
            collateral: matches!(cause, StopCause::Collateral(_)),
            worst_expiry: lease.worst_expiry,
            why: None,
        }),
        Stage::Intent | Stage::Issued { .. } => None,
    }
}

fn report(state: &State, id: KillId, unswept: usize) -> Option<KillReport> {
    let engaged = state.kills().get(id)?;
    let leases = state.leases();
    let own = STEPS.into_iter().flat_map(|what| leases.killed(id, what));
    // Those that are furthest from dead come first among the order's own; what others stop follows, none of it dead.
    let lines = own
        .chain(state.stopped_by_others(engaged))
        .filter_map(|lease| line(lease, id));
    let mut targets: BTreeMap<Name, TargetReport> = BTreeMap::new();
    let mut total = Tally::default();
    let others = state.count_stopped_by_others(engaged);
    let counted = state.tallies(id).chain(others.iter());
    for (target, tally) in counted {
        total.add(tally);
        let report = targets.entry(target.clone()).or_default();
        report.tally.add(tally);
    }
    Some(KillReport {
        targets,
        total,
        proving: 0,
        lines: lines.take(MAX_REPORT_LINES).collect(),
        unswept,
        engaged: engaged.clone(),
    })
}
