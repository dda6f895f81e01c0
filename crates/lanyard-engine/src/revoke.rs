//! Revocation, with one worker for each target: a stopping lease is revoked again and again until
//! its provider acknowledges or the credential cannot be live. Leases that a kill order covers go
//! first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use lanyard_core::command::{Command, Observation};
use lanyard_core::kill::{EngagedOrder, Lifted};
use lanyard_core::lease::{Awaits, Handle, Lease, LeaseRef, Progress, Stage, StopCause};
use lanyard_core::provider::{
    Capabilities, Provider, ProviderError, Revocation, RevocationReport, Revoked,
};
use lanyard_core::state::State;
use lanyard_vocabulary::id::{KillId, LeaseId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;

use crate::context::{Context, is_in_effect};
use crate::mint::Minting;
use crate::revocation_queue::{Kind, RevocationQueue};

/// The most leases that one record presumes dead.
const LEASES_PER_RECORD: usize = 4096;
/// The time for which one call may take.
///
/// # Limit
/// - for: a call that revokes or proves
/// - unit: of time
/// - beyond: the call is given up and made again; the leases stay due
/// - test: `t66_a_provider_that_hangs_delays_no_fence_and_is_asked_until_it_answers`
const REVOKE_TIMEOUT: Duration = Duration::from_secs(30);
/// The time for which a cut's consequences are remembered after the last report of it. Each round
/// reports cuts again.
const CUT_KEPT: Duration = Duration::from_secs(3600);
/// The interval at which a provider's revocation document, which others can edit, is checked.
pub(crate) const UPHOLD: Duration = Duration::from_secs(60);

/// The result of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// No lease was due.
    Idle,
    /// Every due lease was acknowledged, or failed on its own and is tried again later. There may
    /// be more.
    Done,
    /// The provider is busy or does not answer. The next round comes after this time.
    Failed(Duration),
}

/// A cut, and when a report named it last.
#[derive(Debug, Clone, Copy)]
struct KnownCut {
    at: Timestamp,
    reported: Timestamp,
}

/// Revokes what is stopped.
pub struct Revoker {
    pub(crate) context: Arc<Context>,
    /// The leases of mints under way: nothing says of one that it is dead.
    pub(crate) minting: Arc<Minting>,
    /// Cuts whose collateral is in the ledger.
    cuts: Mutex<HashMap<Handle, KnownCut>>,
}

impl Revoker {
    pub(crate) fn new(context: Arc<Context>, minting: Arc<Minting>) -> Self {
        Self {
            context,
            minting,
            cuts: Mutex::default(),
        }
    }

    /// Runs one round on a target, with as many leases as its provider takes at once.
    pub async fn revoke_round(&self, target: &Name) -> Round {
        let Some((provider, lane)) = self.context.targets.get(target) else {
            return Round::Idle;
        };
        let now = self.context.now();
        let work = self
            .context
            .peek(|state| work(state, (target, lane), now, provider.as_ref()));
        if work.due.is_empty() {
            self.context.peek(|state| {
                let waits = |id| state.leases().get(id).is_some_and(is_open);
                let waiting = [Awaits::Kill, Awaits::Provider].into_iter();
                let waiting = waiting.flat_map(|what| state.leases().awaiting(target, what));
                let mut waiting =
                    waiting.filter(|lease| !is_left(lease, lane, provider.as_ref(), now));
                lane.keep(waits, waiting.next().is_some());
            });
            return Round::Idle;
        }
        // A lease that was requested before is not journaled again: a provider that is down for
        // hours would fill the journal.
        let requested = self.context.peek(|state| {
            let due = work.due.iter().map(|lease| lease.id);
            let due = due.filter(|id| state.leases().get(*id).is_some_and(is_fenced));
            due.map(|id| (id, Progress::Requested)).collect()
        });
        self.advance(requested).await;
        let round = self
            .carry_out((target, lane), provider.as_ref(), &work)
            .await;
        // What a report says of the provider is news without a record: `kill watch` waits for it.
        self.context.changed();
        round
    }

    async fn carry_out(
        &self,
        (target, lane): (&Name, &RevocationQueue),
        provider: &dyn Provider,
        work: &Revocation,
    ) -> Round {
        let limits = provider.capabilities();
        let unsettled = self.unsettled(lane, &work.due, &limits);
        lane.asks(work.due.iter().map(|lease| lease.id), self.context.now());
        let answer = tokio::time::timeout(REVOKE_TIMEOUT, provider.revoke(work)).await;
        lane.answered();
        let Ok(report) = answer else {
            tracing::warn!(%target, leases = work.due.len(), "the provider did not answer a revocation");
            lane.too_many(work.due.len());
            return Round::Failed(self.hung(lane));
        };
        self.observe_edits(target, &report).await;
        let whole = whole_failure(&report);
        let now = self.context.now();
        let mut progress = Vec::with_capacity(report.outcomes.len());
        for (lease, outcome) in report.outcomes {
            match (outcome, unsettled.get(&lease)) {
                (Ok(Revoked::Acknowledged | Revoked::ProvedDead), Some(Unsettled::Minting)) => {
                    let error = Unsettled::Minting.error(provider);
                    lane.failed(lease, &error, now, |wait| self.context.jittered(wait));
                }
                // What was taken is taken; that it is dead is shown once nothing can come late.
                (Ok(Revoked::Acknowledged | Revoked::ProvedDead), Some(Unsettled::Late(_))) => {
                    lane.done(lease);
                    progress.push((lease, Progress::Acknowledged(now)));
                }
                (Ok(Revoked::LeftToEnd), _) => lane.rest(lease),
                (Ok(revoked), None) => {
                    lane.done(lease);
                    if revoked == Revoked::Acknowledged && !limits.can_prove {
                        lane.cannot_be_proved(lease, self.context.clock.steady());
                    }
                    progress.push((lease, progress_of(revoked, now)));
                }
                (Err(error), _) if whole.is_none() => {
                    tracing::warn!(%target, %lease, %error, "a revocation failed and will be repeated");
                    lane.failed(lease, &error, now, |wait| self.context.jittered(wait));
                }
                (Err(_), _) => {}
            }
        }
        let journaled = self.advance(progress).await;
        self.collateral(report.cuts, &work.due).await;
        if let Some(error) = whole {
            tracing::warn!(%target, leases = work.due.len(), %error, "revocations failed and will be repeated");
            let wait = lane.round_failed(Kind::of(&error), error.to_string(), now);
            return Round::Failed(self.context.jittered(wait));
        }
        if !journaled {
            let why = "the journal does not take it".to_owned();
            return Round::Failed(lane.round_failed(Kind::Own, why, now));
        }
        lane.round_done();
        Round::Done
    }

    /// The leases whose mint could still create a credential that a call beginning now would not
    /// find.
    fn unsettled(
        &self,
        lane: &RevocationQueue,
        leases: &[LeaseRef],
        limits: &Capabilities,
    ) -> BTreeMap<LeaseId, Unsettled> {
        let (steady, late) = (self.context.clock.steady(), limits.late_request_time);
        let minting = self.minting.lock().clone();
        self.context.peek(|state| {
            let unsettled = leases.iter().filter_map(|lease| {
                if minting.contains(&lease.id) {
                    return Some((lease.id, Unsettled::Minting));
                }
                let lease = state.leases().get(lease.id)?;
                if lease.confirmed || late.is_zero() {
                    return None;
                }
                // No mint of this process is under way, and one of an earlier process ended with
                // that process.
                let since = lane.unanswered_since(lease.id, steady);
                let left = (since + late).saturating_sub(steady);
                (!left.is_zero()).then_some((lease.id, Unsettled::Late(left)))
            });
            unsettled.collect()
        })
    }

    /// Notes that a call did not end in time, and returns the wait before the next one.
    fn hung(&self, lane: &RevocationQueue) -> Duration {
        let why = format!("a call was given up after {} s", REVOKE_TIMEOUT.as_secs());
        lane.round_failed(Kind::Silent, why, self.context.now())
    }

    /// Finishes and proves acknowledged revocations, as many at once as in a round.
    pub async fn prove_round(&self, target: &Name) -> Round {
        let Some((provider, lane)) = self.context.targets.get(target) else {
            return Round::Idle;
        };
        let limits = provider.capabilities();
        if !limits.can_prove {
            return Round::Idle;
        }
        let now = self.context.now();
        let open = self.context.peek(|state| {
            let taken = state.leases().awaiting(target, Awaits::Bound);
            let open = taken
                .filter(|it| lane.is_ready(it.id, now) && lane.unproved_since(it.id).is_none());
            open.take(lane.batch(limits.max_batch))
                .map(LeaseRef::from)
                .collect::<Vec<_>>()
        });
        if open.is_empty() {
            return Round::Idle;
        }
        let unsettled = self.unsettled(lane, &open, &limits);
        let Ok(outcomes) =
            tokio::time::timeout(REVOKE_TIMEOUT, provider.finish_and_prove(&open)).await
        else {
            lane.too_many(open.len());
            return Round::Failed(self.hung(lane));
        };
        let now = self.context.now();
        let mut progress = Vec::with_capacity(outcomes.len());
        for (lease, outcome) in outcomes {
            match (outcome, unsettled.get(&lease)) {
                (Ok(_), Some(unsettled)) => {
                    let error = unsettled.error(provider.as_ref());
                    lane.failed(lease, &error, now, |wait| self.context.jittered(wait));
                }
                (Ok(Revoked::ProvedDead), None) => {
                    lane.done(lease);
                    progress.push((lease, Progress::ProvedDead(now)));
                }
                (Ok(Revoked::Acknowledged | Revoked::LeftToEnd), None) => {
                    lane.cannot_be_proved(lease, self.context.clock.steady());
                }
                (Err(error), _) => {
                    tracing::warn!(%target, %lease, %error, "could not remove what is left of a credential at the target; the next pass retries");
                    lane.failed(lease, &error, now, |wait| self.context.jittered(wait));
                }
            }
        }
        self.advance(progress).await;
        Round::Done
    }

    /// Has a provider check its earlier revocations, if others could undo them.
    pub async fn uphold(&self, target: &Name) {
        let Some((provider, lane)) = self.context.targets.get(target) else {
            return;
        };
        let limits = provider.capabilities();
        if !limits.rewrites_whole_document {
            return;
        }
        let now = self.context.now();
        let mut work = self
            .context
            .peek(|state| work(state, (target, lane), now, provider.as_ref()));
        work.standing = self.standing(target);
        work.due.clear();
        if let Ok(report) = tokio::time::timeout(REVOKE_TIMEOUT, provider.revoke(&work)).await {
            self.observe_edits(target, &report).await;
            self.collateral(report.cuts, &work.standing).await;
        }
    }

    async fn observe_edits(&self, target: &Name, report: &RevocationReport) {
        for what in &report.edited {
            tracing::error!(%target, what, "somebody edited the objects that keep credentials revoked; the provider restored them");
            self.context
                .observe(target, Observation::Edited(what.clone()))
                .await;
        }
    }

    /// Journals progress, and returns true if it is in effect. Revocations go on without the
    /// journal, and are then repeated, which is harmless.
    async fn advance(&self, progress: Vec<(LeaseId, Progress)>) -> bool {
        // What is known already is no record: a provider may be asked again for hours.
        let progress = self.context.peek(|state| {
            let is_news = |id: &LeaseId, further: &Progress| {
                let lease = state.leases().get(*id);
                lease.is_some_and(|lease| match lease.stage {
                    Stage::Stopping { progress, .. } => further.is_beyond(progress),
                    Stage::Intent | Stage::Issued { .. } => false,
                })
            };
            let mut news = progress;
            news.retain(|(id, further)| is_news(id, further));
            news
        });
        if progress.is_empty() {
            return true;
        }
        let outcome = self.context.commit(Command::Advance { progress }).await;
        if let Err(error) = &outcome {
            tracing::error!(%error, "the progress of a revocation could not be journaled");
        }
        is_in_effect(&outcome)
    }

    /// Ends the leases that a cut killed along with others, on every target that shares what was
    /// cut.
    async fn collateral(&self, cuts: Vec<(Handle, Timestamp)>, due: &[LeaseRef]) {
        let now = self.context.now();
        for (handle, cut) in cuts {
            let known = {
                let mut known = self.cuts.lock();
                // A cut that no report names any more has nothing standing: another one costs a
                // pass over the leases.
                known.retain(|_, known| known.reported + CUT_KEPT > now);
                let known = known.get_mut(&handle);
                known.is_some_and(|known| {
                    known.reported = now;
                    known.at == cut
                })
            };
            if known {
                continue;
            }
            let mut leases = Vec::new();
            self.context.pass(|_, lease| {
                if lease.is_live() && lease.handle == handle && lease.asked <= cut {
                    leases.push(lease.id);
                }
            });
            let order = self.context.peek(|state| order_behind(state, due));
            if let Some(order) = order.filter(|_| !leases.is_empty()) {
                let cause = StopCause::Collateral(order);
                let stopped = self.context.commit(Command::Stop { leases, cause }).await;
                if let Err(error) = &stopped {
                    tracing::error!(%error, "collateral of a cut could not be journaled");
                }
                if !is_in_effect(&stopped) {
                    continue;
                }
                self.context.targets.wake_all();
            }
            let known = KnownCut {
                at: cut,
                reported: now,
            };
            self.cuts.lock().insert(handle, known);
        }
    }

    /// Presumes acknowledged leases dead once the settle time has passed. The time is measured from
    /// this process's start by a clock that nobody can set, because the ledger's time moves when a
    /// person accepts a jump.
    pub async fn presume(&self, target: &Name) {
        let Some((provider, lane)) = self.context.targets.get(target) else {
            return;
        };
        let (limits, now) = (provider.capabilities(), self.context.now());
        let steady = self.context.clock.steady();
        let since = |lease| {
            // Where something is left to be done about it, its time does not run yet.
            if limits.can_prove {
                lane.unproved_since(lease)
            } else {
                Some(lane.cannot_be_proved(lease, steady))
            }
        };
        let is_over =
            |lease| since(lease).is_some_and(|since| since + limits.settle_time <= steady);
        let due = self.context.peek(|state| {
            let open = state.leases().awaiting(target, Awaits::Bound);
            let over = open
                .filter(|lease| is_over(lease.id))
                .take(LEASES_PER_RECORD);
            over.map(|lease| (lease.id, Progress::PresumedDead(now)))
                .collect()
        });
        self.advance(due).await;
    }

    fn standing(&self, target: &Name) -> Vec<LeaseRef> {
        self.context
            .peek(|state| standing(state, target).map(LeaseRef::from).collect())
    }
}

/// The reason why a lease's mint could still create a credential.
#[derive(Debug, Clone, Copy)]
enum Unsettled {
    /// The mint is under way in this process.
    Minting,
    /// The mint was given up without an answer, and the provider may carry it out for this long.
    Late(Duration),
}

impl Unsettled {
    fn error(self, provider: &dyn Provider) -> ProviderError {
        ProviderError::Pending {
            provider: provider.capabilities().provider,
            operation: "revoke",
            code: match self {
                Self::Minting => "its mint is still under way".to_owned(),
                Self::Late(left) => format!(
                    "the answer to its mint was lost, and a request of the mint may be carried out for {} s more",
                    left.as_secs()
                ),
            },
        }
    }
}

const fn is_fenced(lease: &Lease) -> bool {
    matches!(
        lease.stage,
        Stage::Stopping {
            progress: Progress::Fenced,
            ..
        }
    )
}

fn is_open(lease: &Lease) -> bool {
    matches!(
        lease.awaits(),
        Some(Awaits::Kill | Awaits::Provider | Awaits::Bound)
    )
}

const fn progress_of(revoked: Revoked, now: Timestamp) -> Progress {
    match revoked {
        Revoked::LeftToEnd => Progress::Requested,
        Revoked::Acknowledged => Progress::Acknowledged(now),
        Revoked::ProvedDead => Progress::ProvedDead(now),
    }
}

/// The error of a round in which nothing succeeded and everything may succeed later. The provider
/// failed then, not the leases.
fn whole_failure(report: &RevocationReport) -> Option<ProviderError> {
    let mut errors = report.outcomes.iter().map(|(_, outcome)| match outcome {
        Err(error) if error.is_of_provider() => Some(error),
        Err(_) | Ok(_) => None,
    });
    let first = errors.next()??;
    errors.all(|error| error.is_some()).then(|| first.clone())
}

fn work(
    state: &State,
    (target, lane): (&Name, &RevocationQueue),
    now: Timestamp,
    provider: &dyn Provider,
) -> Revocation {
    let limits = provider.capabilities();
    let mut work = Revocation {
        now,
        cut: cut(state, target),
        ..Revocation::default()
    };
    let ready = |what| {
        let waiting = state.leases().awaiting(target, what);
        waiting.filter(|lease| lane.is_ready(lease.id, now) && !is_left(lease, lane, provider, now))
    };
    let passed_over = lane.passed_over();
    let in_turn = |what| {
        // Counted only where something is passed over: a queue can be long.
        let later = match passed_over {
            0 => 0,
            over => over % ready(what).count().max(1),
        };
        ready(what).skip(later).chain(ready(what).take(later))
    };
    let due = in_turn(Awaits::Kill).chain(in_turn(Awaits::Provider));
    work.due = due
        .take(lane.batch(limits.max_batch))
        .map(LeaseRef::from)
        .collect();
    if limits.rewrites_whole_document && !work.due.is_empty() {
        let due: std::collections::HashSet<LeaseId> = work.due.iter().map(|it| it.id).collect();
        let others = standing(state, target);
        let others = others.filter(|lease| !due.contains(&lease.id));
        work.standing = others.map(LeaseRef::from).collect();
    }
    work
}

/// True if a stopping lease is left to its own end, because the provider ends it by itself or has
/// no room for its revocation.
fn is_left(lease: &Lease, lane: &RevocationQueue, provider: &dyn Provider, now: Timestamp) -> bool {
    let spared =
        lease.killed_by().is_none() && provider.needs_no_revocation(&LeaseRef::from(lease), now);
    spared || lane.rests(lease)
}

/// The leases that must stay revoked: all that kill orders cover, and all that were acknowledged.
fn standing<'a>(state: &'a State, target: &Name) -> impl Iterator<Item = &'a Lease> {
    let stopping = state.leases().stopping(target);
    stopping.filter(|lease| lease.killed_by().is_some() || lease.taken.is_some())
}

/// The newest kill order behind the due leases, else the newest of all.
fn order_behind(state: &State, due: &[LeaseRef]) -> Option<KillId> {
    let kills = state.kills();
    let behind = due.iter().filter_map(|lease| lease.kill);
    let mut behind = behind.peekable();
    let newest = if behind.peek().is_some() {
        let known = behind.filter_map(|id| kills.get(id));
        known.max_by_key(|engaged| engaged.seq)
    } else {
        kills.iter().next_back()
    };
    newest.map(|engaged| engaged.order.id)
}

/// The newest kill order over the whole target and both roles, while it is engaged or anything
/// under it could be live.
fn cut(state: &State, target: &Name) -> Option<Timestamp> {
    let cuts = |engaged: &&EngagedOrder| {
        engaged.order.roles == RoleFilter::Both
            && (engaged.lifted == Lifted::Nothing
                || state
                    .leases()
                    .last_asked(target, engaged.order.id)
                    .is_some())
    };
    let (all, own) = (Scope::All, Scope::Target(target.clone()));
    let newest = [&all, &own].into_iter().filter_map(|scope| {
        let mut orders = state.kills().of_scope(scope);
        orders.find(cuts)
    });
    let newest = newest.max_by_key(|engaged| engaged.seq);
    newest.map(|engaged| {
        // Whoever gave the order may have read a clock that was behind (`lanyardd kill --local`):
        // what the order made dead was asked for before it, whatever it says of itself.
        let asked = state.leases().last_asked(target, engaged.order.id);
        asked.map_or(engaged.order.at, |asked| asked.max(engaged.order.at))
    })
}
