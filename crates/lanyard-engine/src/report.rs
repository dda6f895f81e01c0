//! Reports of kill orders: counts kept as leases die, and the leases one by one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::kill::{EngagedOrder, Tally};
use lanyard_core::lease::{Awaits, GrantRef, Lease, Progress, Stage, StopCause};
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;

use crate::kill::Kills;
use crate::pass::MAX_LEASES_PER_LOOK;

/// The most leases that a report lists one by one.
///
/// # Limit
/// - for: the report of a kill order
/// - unit: leases
/// - beyond: the other leases are counted by target, and read one by one with `lanyard -o json kill
///   show`
/// - test: `a_report_lists_so_many_leases_and_counts_the_rest`
const MAX_REPORT_LINES: usize = 1000;

/// The progress of a kill order.
#[derive(Debug, Clone, PartialEq)]
pub struct KillReport {
    /// The order, and how far people have lifted it.
    pub engaged: EngagedOrder,
    /// The leases one by one, furthest from dead first, at most `MAX_REPORT_LINES`.
    pub lines: Vec<KillLine>,
    /// The number of leases in scope that the sweep has not reached.
    pub unswept: usize,
    /// The results by target: of leases that the order stops, and of leases in its scope that other
    /// orders stop and that are not known to be dead.
    pub targets: BTreeMap<Name, TargetReport>,
    /// The results of all targets.
    pub total: Tally,
    /// The number of acknowledged leases that are being proved.
    pub proving: u64,
}

/// The results at one target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TargetReport {
    /// The counts of leases.
    pub tally: Tally,
    /// The provider's settle time, after which acknowledged leases are presumed dead.
    pub settles: Option<Duration>,
    /// The provider's last error, while it fails.
    pub fault: Option<String>,
}

/// A lease of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct KillLine {
    /// The id of the lease.
    pub lease: LeaseId,
    /// The order that stops the lease, if it is not the report's.
    pub other: Option<KillId>,
    /// The task of the lease.
    pub task: Arc<Task>,
    /// The lease's grant, role and target.
    pub entry: Arc<GrantRef>,
    /// The progress of the revocation.
    pub progress: Progress,
    /// The time at which the provider first acknowledged the revocation.
    pub taken: Option<Timestamp>,
    /// True if the lease died along with another.
    pub collateral: bool,
    /// The latest time at which the credential could be live.
    pub worst_expiry: Timestamp,
    /// The reason why the revocation is not further.
    pub why: Option<String>,
}

impl KillReport {
    /// True if every lease is dead.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        self.is_taken() && self.total.acknowledged == 0
    }

    /// True if nothing is left to do but to wait.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.unswept == 0 && self.total.requested == 0 && self.proving == 0
    }
}

impl Kills {
    /// The report of a kill order; `None` if the ledger has no such order.
    pub async fn report(&self, id: KillId) -> Option<KillReport> {
        let swept = *self.swept.lock();
        let engaged = self.context.peek(|state| {
            let engaged = state.kills().get(id)?;
            Some((engaged.order.clone(), engaged.seq))
        });
        // Counted before the rest: what the sweep comes to in between is counted twice, and not
        // left out.
        let unswept = match engaged {
            Some((order, seq)) if swept < Some(seq) => self.unswept(&order, seq),
            Some(_) | None => Vec::new(),
        };
        let others = self.others(id);
        let report = self
            .context
            .in_effect(|state| report(state, id, unswept.len(), others))
            .await;
        report.map(|report| self.explained(report))
    }

    /// Every lease in the ledger that the order stops, and those in its scope that other orders
    /// stop and that are not known to be dead.
    pub async fn leases(&self, id: KillId) -> Vec<LeaseId> {
        let mut found = Vec::new();
        self.context.pages(|state, after| {
            let page = (after, MAX_LEASES_PER_LOOK);
            let own = state.leases().killed_after(id, &STEPS, page).into_iter();
            let own: Vec<LeaseId> = own.map(|lease| lease.id).collect();
            found.extend(&own);
            own
        });
        if let Some(known) = self.others_stopping(id) {
            for (other, _) in known.others {
                self.pass_stopped_by(other, &known.engaged, |lease| found.push(lease.id));
            }
        }
        // Where the ledger takes nothing more, what is stopped is told all the same.
        self.context.in_effect(|_| ()).await;
        found
    }

    fn others_stopping(&self, id: KillId) -> Option<Known> {
        self.context.peek(|state| {
            let engaged = state.kills().get(id)?;
            Some(Known {
                others: state.others_stopping(engaged),
                engaged: engaged.clone(),
            })
        })
    }

    /// Visits each lease that the other order stops, that is not known to be dead, and that this
    /// order covers too.
    fn pass_stopped_by(
        &self,
        other: KillId,
        engaged: &EngagedOrder,
        mut visit: impl FnMut(&Lease),
    ) {
        self.context.pages(|state, after| {
            let page = (after, MAX_LEASES_PER_LOOK);
            let leases = state.stopped_by_other((other, engaged), page).into_iter();
            let seen = leases.map(|(lease, is_reached)| {
                if is_reached {
                    visit(lease);
                }
                lease.id
            });
            seen.collect()
        });
    }

    /// The leases in this order's scope that other orders stop. An order whose leases are all in
    /// scope is counted as a whole: killing a million leases twice must not make the report slow.
    fn others(&self, id: KillId) -> Others {
        let mut found = Others::default();
        let Some(Known { engaged, others }) = self.others_stopping(id) else {
            return found;
        };
        for (other, is_within) in others {
            if is_within {
                found.within.push(other);
                let lines = self.context.peek(|state| {
                    let page = (None, MAX_REPORT_LINES);
                    let leases = state.stopped_by_other((other, &engaged), page).into_iter();
                    let lines = leases.filter_map(|(lease, _)| line(lease, id));
                    lines.collect::<Vec<_>>()
                });
                found.add_lines(lines);
                continue;
            }
            self.pass_stopped_by(other, &engaged, |lease| {
                if let Stage::Stopping { progress, .. } = lease.stage {
                    let target = lease.entry.target.clone();
                    *found.counted.entry(target).or_default().count(progress) += 1;
                }
                if found.lines.len() < MAX_REPORT_LINES {
                    found.lines.extend(line(lease, id));
                }
            });
        }
        found
    }

    /// The report's lines for some of the leases.
    pub async fn lines(&self, order: KillId, leases: &[LeaseId]) -> Vec<KillLine> {
        let lines = self.context.in_effect(|state| {
            let found = leases.iter().filter_map(|id| state.leases().get(*id));
            found
                .filter_map(|lease| line(lease, order))
                .collect::<Vec<_>>()
        });
        let lines = lines.await.into_iter();
        lines.map(|line| self.reasoned(line)).collect()
    }

    fn explained(&self, mut report: KillReport) -> KillReport {
        for (name, target) in &mut report.targets {
            let provider = self.context.targets.providers.get(name);
            let limits = provider.map(|provider| provider.capabilities());
            if limits.as_ref().is_some_and(|limits| limits.can_prove) {
                report.proving += target.tally.acknowledged;
            }
            target.settles = limits.map(|limits| limits.settle_time);
            target.fault = self
                .context
                .targets
                .lanes
                .get(name)
                .and_then(|lane| lane.fault());
        }
        let lines = std::mem::take(&mut report.lines).into_iter();
        report.lines = lines.map(|line| self.reasoned(line)).collect();
        report
    }

    fn reasoned(&self, mut line: KillLine) -> KillLine {
        let (target, at) = (&line.entry.target, line.worst_expiry);
        line.why = match line.progress {
            Progress::Fenced | Progress::Requested => Some(match self.context.targets.lanes.get(target) {
                Some(lane) => {
                    let why = lane.why(line.lease);
                    why.unwrap_or_else(|| "the provider has not been asked yet".to_owned())
                }
                None => {
                    format!("no target `{target}` is configured: nobody asks its provider")
                }
            }),
            Progress::Acknowledged(taken) => self.context.targets.providers.get(target).map(|provider| {
                let lane = self.context.targets.lanes.get(target);
                let since = lane.and_then(|lane| lane.unproved_since(line.lease));
                if provider.capabilities().can_prove && since.is_none() {
                    let why = lane.and_then(|lane| lane.why(line.lease));
                    let why = why.unwrap_or_else(|| "the check has not been made yet".to_owned());
                    return format!("acknowledged, not shown to be dead: {why}");
                }
                let settles = provider.capabilities().settle_time;
                let bound = match since {
                    Some(since) => {
                        let passed = self.context.clock.steady().saturating_sub(since);
                        self.context.now() + settles.saturating_sub(passed)
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

/// The stages that a killed lease waits in, furthest from dead first.
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

/// A kill order, and the other orders that stop leases which it may cover too, each with whether it
/// covers all of them.
struct Known {
    engaged: EngagedOrder,
    others: Vec<(KillId, bool)>,
}

/// The leases in an order's scope that other orders stop.
#[derive(Default)]
struct Others {
    /// The orders whose leases are all in scope.
    within: Vec<KillId>,
    /// The counts of the other orders' leases in scope, by target.
    counted: BTreeMap<Name, Tally>,
    /// The first lines of all these leases.
    lines: Vec<KillLine>,
}

impl Others {
    fn add_lines(&mut self, lines: Vec<KillLine>) {
        let room = MAX_REPORT_LINES.saturating_sub(self.lines.len());
        self.lines.extend(lines.into_iter().take(room));
    }
}

fn report(state: &State, id: KillId, unswept: usize, others: Others) -> Option<KillReport> {
    let engaged = state.kills().get(id)?;
    let leases = state.leases();
    let own = STEPS.into_iter().flat_map(|what| leases.killed(id, what));
    // Those that are furthest from dead come first among the order's own; what others stop follows,
    // none of it dead.
    let lines = own
        .filter_map(|lease| line(lease, id))
        .take(MAX_REPORT_LINES);
    let mut targets: BTreeMap<Name, TargetReport> = BTreeMap::new();
    let mut total = Tally::default();
    let within = others.within.iter();
    let within = within.flat_map(|other| state.open_tallies(*other));
    let counted = others.counted.iter();
    let of_others = within.chain(counted.map(|(target, tally)| (target, tally.clone())));
    let of_others = of_others.filter(|(_, tally)| tally.all() > 0);
    let own = state.tallies(id);
    let own = own.map(|(target, tally)| (target, tally.clone()));
    for (target, tally) in own.chain(of_others) {
        total.add(&tally);
        let report = targets.entry(target.clone()).or_default();
        report.tally.add(&tally);
    }
    Some(KillReport {
        targets,
        total,
        proving: 0,
        lines: lines.chain(others.lines).take(MAX_REPORT_LINES).collect(),
        unswept,
        engaged: engaged.clone(),
    })
}
