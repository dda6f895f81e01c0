//! What every part of the engine works with: the ledger, the targets, the charters, and the time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use lanyard_core::command::{Command, Observation};
use lanyard_core::lease::StopCause;
use lanyard_core::ledger::{CommitError, Ledger, look};
use lanyard_core::state::State;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::{ApprovalId, LeaseId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use tokio::sync::{Notify, watch};

use crate::activity::{Activity, Noted, Request};
use crate::charters::Charters;
use crate::clock::{Clock, NoRandomness, Randomness};
use crate::condition::Conditions;
use crate::targets::Targets;

/// The distance that the clock may move against the time since the boot until the move is journaled
/// again.
const CLOCK_NEWS: Duration = Duration::from_secs(1);

/// The ports of the engine, what its parts tell each other, and the way to the ledger.
pub struct Context {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) targets: Targets,
    pub(crate) charters: Arc<Charters>,
    /// The configured names of agents. An identity without one is its own name.
    pub(crate) agents: BTreeMap<Identity, AgentName>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Arc<dyn Randomness>,
    pub(crate) conditions: Conditions,
    pub(crate) activity: Activity,
    /// The sequence number from which on no jump of the clock affects the times of records.
    pub(crate) timed_from: AtomicU64,
    /// Wakes the housekeeping loop.
    pub(crate) housekeeping: Notify,
    /// Counts changes of leases, plans and kill orders.
    pub(crate) changes: watch::Sender<u64>,
}

impl Context {
    /// Returns the present time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn draw(&self) -> Result<u128, NoRandomness> {
        self.randomness.draw()
    }

    /// Returns the agent behind an identity.
    #[must_use]
    pub fn agent(&self, identity: &Identity) -> AgentName {
        let named = self.agents.get(identity).cloned();
        named.unwrap_or_else(|| AgentName(identity.to_string()))
    }

    /// True if a charter in force names the identity, or the identity has an open task.
    #[must_use]
    pub fn knows(&self, identity: &Identity) -> bool {
        let now = self.now();
        self.charters.name_agent(identity)
            || self.peek(|state| state.open_tasks_of(identity, now) > 0)
    }

    /// Reads the state as admitted, for fences, work lists and what a commit follows. An answer to
    /// somebody needs [`Context::settle`].
    pub fn peek<R>(&self, at: impl FnOnce(&State) -> R) -> R {
        look(self.ledger.as_ref(), at)
    }

    /// Waits until everything that was read is durable.
    ///
    /// # Errors
    /// When it never will be, or not before there is space.
    pub async fn settle(&self) -> Result<(), CommitError> {
        self.ledger.settle().await
    }

    /// Returns an answer from the state once everything in the state is durable.
    ///
    /// # Errors
    /// When the state will not be durable, or not before there is space.
    pub async fn query<R: Send>(
        &self,
        at: impl FnOnce(&State) -> R + Send,
    ) -> Result<R, CommitError> {
        let answer = self.peek(at);
        self.settle().await?;
        Ok(answer)
    }

    /// Returns an answer for operators: durable if the ledger can make it so, and as admitted if
    /// the ledger takes nothing more. Reports and metrics that waited for a disk would hide what is
    /// under way.
    pub async fn in_effect<R: Send>(&self, at: impl FnOnce(&State) -> R + Send) -> R {
        let answer = self.peek(at);
        if let Err(error) = self.settle().await {
            tracing::debug!(%error, "what is told of the broker is not durable");
        }
        answer
    }

    /// Commits a command, counts it, and wakes who waits for it.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        let noted = self.noted(&command);
        let yes = if let Command::Approve {
            approval, operator, ..
        } = &command
        {
            Some((*approval, operator.clone()))
        } else {
            None
        };
        let committed = self.ledger.commit(command).await;
        if is_in_effect(&committed) {
            if let Some(noted) = noted {
                self.activity.take(noted);
            }
            if let Some((approval, by)) = yes {
                self.note_yes(approval, (&by, self.now()));
            }
            self.changed();
            if self.peek(|state| !state.tripped().is_empty()) {
                self.housekeeping.notify_one();
            }
        }
        committed
    }

    /// Commits a command of the engine's own, and returns true if the command is in effect.
    pub(crate) async fn journal(&self, command: Command) -> bool {
        let outcome = self.commit(command).await;
        if let Err(error) = &outcome {
            tracing::error!(%error, "a transition could not be journaled");
        }
        is_in_effect(&outcome)
    }

    /// Stops the leases, and returns true if that is in effect.
    pub(crate) async fn stop_all(&self, leases: Vec<LeaseId>, cause: StopCause) -> bool {
        leases.is_empty() || self.journal(Command::Stop { leases, cause }).await
    }

    /// Ends a lease. Where the ledger cannot say so, the lease stays an intent, which the deadline
    /// or the next start ends.
    pub(crate) async fn stop_and_wake(&self, lease: LeaseId, target: &Name, cause: StopCause) {
        let leases = vec![lease];
        if let Err(error) = self.commit(Command::Stop { leases, cause }).await {
            tracing::error!(%error, %lease, "a stop could not be journaled; the lease's deadline will end it");
        }
        self.targets.wake(target);
    }

    /// Journals what was observed at a target.
    pub(crate) async fn observe(&self, target: &Name, what: Observation) {
        let target = target.clone();
        if let Err(error) = self.commit(Command::Observe { target, what }).await {
            tracing::error!(%error, "an observation could not be journaled");
        }
    }

    /// Journals where the clock stands against the time since the boot, if that is news. The next
    /// process sees by it whether the clock was set in between.
    pub(crate) async fn note_clock(&self) {
        let Some(now) = self.clock.boot() else {
            return;
        };
        let known = self.peek(|state| state.clock().cloned());
        let is_news = known.is_none_or(|known| {
            let apart = known.offset_millis.abs_diff(now.offset_millis);
            known.boot != now.boot
                || apart > CLOCK_NEWS.as_millis() as u64
                || known.sure_millis != now.sure_millis
        });
        if is_news && let Err(error) = self.commit(Command::Clock(now)).await {
            // Tried again every half second: the condition says why nothing can be journaled.
            tracing::debug!(%error, "where the clock stands could not be journaled");
        }
    }

    /// Returns a count that goes up whenever leases, plans or kill orders changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Wakes whoever watches the engine.
    pub(crate) fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) fn wake_all(&self) {
        self.targets.wake_all();
        self.housekeeping.notify_one();
    }

    /// A random wait between half of `wait` and all of it.
    pub(crate) fn jittered(&self, wait: Duration) -> Duration {
        let half = wait / 2;
        let part = self
            .draw()
            .map_or(0, |bits| u32::try_from(bits % 1000).unwrap_or(0));
        half + half * part / 1000
    }
}

impl Context {
    /// The count that a command will add to, by the state before it.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of all that happens, this is counted"
    )]
    fn noted(&self, command: &Command) -> Option<Noted> {
        let now = self.now();
        Some(match command {
            Command::OpenTask { task, .. } => {
                Noted::Allowed(self.counted_name(&task.charter), Request::Task)
            }
            Command::CloseTask { task } => {
                let closed = self.peek(|state| {
                    let all = state.task_and_those_below(*task).into_iter();
                    let open = all.filter_map(|id| state.task(id).filter(|it| it.is_open(now)));
                    let closed = open.map(|entry| {
                        let open_for = now.since(entry.task.opened);
                        (entry.task.charter.clone(), open_for)
                    });
                    closed.collect::<Vec<_>>()
                });
                let closed = closed.into_iter();
                let named =
                    closed.map(|(charter, open_for)| (self.counted_name(&charter), open_for));
                Noted::Closed(named.collect())
            }
            Command::SubmitPlan { plan, .. } => Noted::Planned {
                charter: self.counted_charter(|state| Some(&state.task(plan.task)?.task.charter)),
                asks: plan.approval.is_some(),
            },
            Command::BeginMint(intent) => {
                let charter =
                    self.counted_charter(|state| Some(&state.task(intent.task)?.task.charter));
                Noted::Allowed(charter, Request::Credential)
            }
            Command::ConfirmMint { lease, .. } => {
                let (kind, role) = self.kind_and_role(*lease)?;
                Noted::Issued(kind, role)
            }
            Command::Reject { approval, .. } => {
                let asked = self.peek(|state| Some(state.approval(*approval)?.requested));
                Noted::Denied(now.since(asked?))
            }
            Command::Withdraw { approval, by, .. } => {
                let is_own = self.peek(|state| {
                    let task = &state.task(state.approval(*approval)?.task)?.task;
                    Some(task.identity == *by)
                });
                is_own.filter(|own| *own)?;
                Noted::TakenBack
            }
            Command::Report(report) => {
                let charter =
                    self.counted_charter(|state| Some(&state.task(report.task)?.task.charter));
                Noted::Reported(charter, report.outcome)
            }
            _ => return None,
        })
    }

    /// The last approval that was needed counts as an answer. What is unusual counts of every one.
    fn note_yes(&self, id: ApprovalId, (by, at): (&Operator, Timestamp)) {
        let asked = self.peek(|state| {
            let approval = state.approval(id)?;
            approval.is_complete().then_some(approval.requested)
        });
        if let Some(asked) = asked {
            self.activity.take(Noted::Approved(at.since(asked)));
        }
        let charter = self.peek(|state| {
            let task = &state.task(state.approval(id)?.task)?.task;
            Some(task.charter.clone())
        });
        let charter = charter.and_then(|name| self.charters.in_force(&name));
        let hours = charter.as_ref().and_then(|charter| charter.hours.as_ref());
        let unusual = self.peek(|state| state.unusual(id, (by, at), hours));
        for pattern in unusual {
            self.activity.take(Noted::Unusual(pattern));
        }
    }

    fn counted_name(&self, charter: &Name) -> Option<Name> {
        let is_in_force = self.charters.in_force(charter).is_some();
        is_in_force.then(|| charter.clone())
    }

    fn counted_charter(&self, of: impl FnOnce(&State) -> Option<&Name>) -> Option<Name> {
        let charter = self.peek(|state| of(state).cloned())?;
        self.counted_name(&charter)
    }

    fn kind_and_role(&self, lease: LeaseId) -> Option<(&'static str, Role)> {
        let entry = self.peek(|state| Some(state.leases().get(lease)?.entry.clone()))?;
        let provider = self.targets.providers.get(&entry.target)?;
        Some((provider.capabilities().provider, entry.role))
    }
}

/// True if a command took effect, durable or not.
pub(crate) fn is_in_effect(committed: &Result<Seq, CommitError>) -> bool {
    match committed {
        Ok(_) => true,
        Err(error) => error.in_effect().is_some(),
    }
}
