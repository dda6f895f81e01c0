//! What the engine is made of, and what its parts share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use lanyard_core::charter::Name;
use lanyard_core::command::Command;
use lanyard_core::id::LeaseId;
use lanyard_core::judge::Judge;
use lanyard_core::lease::{Handle, Seq};
use lanyard_core::ledger::{CommitError, Ledger, look};
use lanyard_core::provider::Provider;
use lanyard_core::scope::AgentName;
use lanyard_core::state::State;
use lanyard_core::time::Timestamp;
use lanyard_core::witness::Witness;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::activity::Activity;
use crate::charters::Charters;
use crate::clock::{Clock, NoRandomness, Randomness};
use crate::condition::Conditions;
use crate::denials::DenialMeter;
use crate::gate::SharedGate;
use crate::lane::Lane;
use crate::records::{RecordLimits, RecordMeter, TooManyRecords, weight};
use crate::skew::MAX_SKEW;

/// What the engine is given.
pub struct Parts {
    /// Makes commands durable.
    pub ledger: Arc<dyn Ledger>,
    /// By target.
    pub providers: BTreeMap<Name, Arc<dyn Provider>>,
    /// In force, and remembered.
    pub charters: Arc<Charters>,
    /// Reads plans and asks policies.
    pub judge: Arc<dyn Judge>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub randomness: Arc<dyn Randomness>,
    /// The configured names over identities: an identity that is not here is its own name.
    pub agents: BTreeMap<lanyard_core::identity::Identity, AgentName>,
    /// How long the plan role has to have been issued again before a re-arm of the apply role.
    pub rearm_soak: Duration,
    /// How many records identities may cause.
    pub records: RecordLimits,
}

/// Mints, releases, expires, revokes, recovers.
pub struct Engine {
    pub(crate) parts: Parts,
    pub(crate) gate: SharedGate,
    pub(crate) conditions: Conditions,
    pub(crate) denials: DenialMeter,
    pub(crate) activity: Activity,
    records: RecordMeter,
    pub(crate) mints: Mutex<JoinSet<()>>,
    /// The leases whose provider may be called by a mint at this moment: nothing says of one that it is dead.
    pub(crate) minting: Mutex<BTreeSet<LeaseId>>,
    pub(crate) delivered: Mutex<Vec<lanyard_core::id::LeaseId>>,
    pub(crate) undelivered: Mutex<Vec<lanyard_core::id::LeaseId>>,
    /// The agents that submit a plan at this moment.
    pub(crate) submitting: Mutex<BTreeSet<AgentName>>,
    pub(crate) housekeeping: Notify,
    /// The newest order whose leases are all being stopped, as are those of every order before it: there will be no more
    /// of them.
    pub(crate) swept: Mutex<Option<Seq>>,
    pub(crate) lanes: BTreeMap<Name, Lane>,
    /// What is known to be gone from its target.
    pub(crate) missing: Mutex<BTreeMap<Name, BTreeSet<LeaseId>>>,
    /// Cuts whose collateral is in the books.
    pub(crate) cuts: Mutex<HashMap<Handle, KnownCut>>,
    pub(crate) prepared: AtomicU64,
    /// The journal as this process found it.
    pub(crate) opened: Witness,
    /// Records from this place on were made at times that no jump has part in since.
    pub(crate) timed_from: AtomicU64,
    changes: watch::Sender<u64>,
}

/// How far the clock may move against the time since the boot until that is journaled again.
const CLOCK_NEWS: Duration = Duration::from_secs(1);

/// A cut, and when a report named it last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownCut {
    pub(crate) at: Timestamp,
    pub(crate) reported: Timestamp,
}

/// The error of a ledger that answers nothing about the state.
pub(crate) fn no_state() -> CommitError {
    CommitError::Unavailable("no state".to_owned())
}

impl Engine {
    /// Puts the parts together. Nothing runs yet.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let targets = parts.providers.keys();
        let lanes = targets
            .map(|target| (target.clone(), Lane::default()))
            .collect();
        let opened = look(parts.ledger.as_ref(), State::witness).unwrap_or_default();
        Arc::new(Self {
            gate: SharedGate::default(),
            conditions: Conditions::new(Arc::clone(&parts.ledger), Arc::clone(&parts.clock)),
            denials: DenialMeter::default(),
            activity: Activity::default(),
            records: RecordMeter::new(parts.records),
            mints: Mutex::default(),
            minting: Mutex::default(),
            delivered: Mutex::default(),
            swept: Mutex::default(),
            undelivered: Mutex::default(),
            submitting: Mutex::default(),
            housekeeping: Notify::new(),
            lanes,
            missing: Mutex::default(),
            cuts: Mutex::default(),
            prepared: AtomicU64::new(0),
            timed_from: AtomicU64::new(opened.records.0),
            opened,
            changes: watch::channel(0).0,
            parts,
        })
    }

    /// The charters.
    #[must_use]
    pub fn charters(&self) -> &Charters {
        &self.parts.charters
    }

    /// The targets and what serves them.
    #[must_use]
    pub const fn providers(&self) -> &BTreeMap<Name, Arc<dyn Provider>> {
        &self.parts.providers
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// The configured names of agents, by their identities.
    #[must_use]
    pub const fn agents(&self) -> &BTreeMap<lanyard_core::identity::Identity, AgentName> {
        &self.parts.agents
    }

    /// The system's time: what others signed is judged by it.
    #[must_use]
    pub fn system_time(&self) -> Timestamp {
        self.parts.clock.system()
    }

    /// The system's time is not believed.
    #[must_use]
    pub fn is_clock_doubted(&self) -> bool {
        !self.parts.clock.faults().is_empty()
    }

    /// The times that a kill's proof may be judged by, which says that it was issued then. Where a target's clock agrees with
    /// the broker's, there is no doubt about the time.
    #[must_use]
    pub fn times_for_a_kill(&self, issued: Option<Timestamp>) -> [Timestamp; 3] {
        let [system, now, other] = self.parts.clock.times_for_a_kill(issued);
        let agrees = |lane: &Lane| lane.skew().is_some_and(|skew| skew.size() <= MAX_SKEW);
        if !self.is_clock_doubted() && self.lanes.values().any(agrees) {
            return [system, now, now];
        }
        [system, now, other]
    }

    /// What ended before this may be forgotten: it is past by every clock there is, whichever of them is wrong.
    #[must_use]
    pub fn forgettable(&self) -> Timestamp {
        let clock = &self.parts.clock;
        clock.system().min(clock.now()).min(clock.surely())
    }

    /// Journals where the clock stands against the time since the boot, where that is news: the next process sees by it
    /// whether the clock was set in between.
    pub async fn note_clock(&self) {
        let Some(now) = self.parts.clock.boot() else {
            return;
        };
        let known = self.peek(|state| state.clock().cloned()).flatten();
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

    /// The agent behind an identity.
    #[must_use]
    pub fn agent(&self, identity: &lanyard_core::identity::Identity) -> AgentName {
        self.parts
            .agents
            .get(identity)
            .cloned()
            .unwrap_or_else(|| AgentName(identity.to_string()))
    }

    /// The gate that releases go through.
    #[must_use]
    pub fn gate(&self) -> &SharedGate {
        &self.gate
    }

    /// Whether the broker issues, and why not.
    #[must_use]
    pub const fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// Counts up whenever leases, plans or kill orders changed: for whoever watches.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// An answer from the state once everything in it is durable.
    ///
    /// # Errors
    /// When the ledger cannot say.
    pub async fn query<R: Send>(
        &self,
        at: impl FnOnce(&State) -> R + Send,
    ) -> Result<R, CommitError> {
        let answer = self.peek(at).ok_or_else(no_state)?;
        self.settle().await?;
        Ok(answer)
    }

    /// An answer for whoever watches the broker: durable where the ledger can make it so, and as admitted where the
    /// ledger takes nothing more, because the condition has to be told then all the same.
    pub async fn survey<R: Send>(&self, at: impl FnOnce(&State) -> R + Send) -> Option<R> {
        let answer = self.peek(at);
        if let Err(error) = self.settle().await {
            tracing::debug!(%error, "what is told of the broker is not durable");
        }
        answer
    }

    /// As [`Engine::survey`], for those who stop things: a report that waited for a disk would hide what is under way.
    ///
    /// # Errors
    /// Where there is no state.
    pub async fn in_effect<R: Send>(
        &self,
        at: impl FnOnce(&State) -> R + Send,
    ) -> Result<R, CommitError> {
        let answer = self.survey(at).await;
        answer.ok_or_else(no_state)
    }

    /// Waits until everything that was looked at is durable.
    ///
    /// # Errors
    /// When it never will be, or not before there is space.
    pub async fn settle(&self) -> Result<(), CommitError> {
        self.parts.ledger.settle().await
    }

    /// The state as admitted: for fences, work lists and what a commit follows. An answer needs [`Engine::settle`].
    pub fn peek<R>(&self, at: impl FnOnce(&State) -> R) -> Option<R> {
        look(self.parts.ledger.as_ref(), at)
    }

    /// Wakes whoever watches.
    pub(crate) fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(crate) async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        let noted = self.noted(&command);
        let approval = if let Command::Approve { approval, .. } = &command {
            Some(*approval)
        } else {
            None
        };
        let committed = self.parts.ledger.commit(command).await;
        if is_in_effect(&committed) {
            if let Some(noted) = noted {
                self.activity.take(noted);
            }
            if let Some(approval) = approval {
                self.note_yes(approval, self.now());
            }
            self.changed();
            if self.peek(|state| !state.tripped().is_empty()) == Some(true) {
                self.housekeeping.notify_one();
            }
        }
        committed
    }

    /// Counts a record that this identity is about to cause, and its bytes.
    ///
    /// # Errors
    /// It is one too many.
    pub fn meter(
        &self,
        identity: &lanyard_core::identity::Identity,
        command: &Command,
    ) -> Result<(), TooManyRecords> {
        self.records.admit(identity, weight(command), self.now())
    }

    /// Whether this identity has anything to do here: a charter in force names it, or it has a task that is open.
    #[must_use]
    pub fn knows(&self, identity: &lanyard_core::identity::Identity) -> bool {
        let now = self.now();
        let has_task = |state: &State| state.open_tasks_of(identity, now) > 0;
        self.charters().name_agent(identity) || self.peek(has_task) == Some(true)
    }

    /// A command of the engine's own, outside any request.
    ///
    /// # Errors
    /// As of the ledger.
    pub async fn record(&self, command: Command) -> Result<Seq, CommitError> {
        self.commit(command).await
    }

    pub(crate) fn draw(&self) -> Result<u128, NoRandomness> {
        self.parts.randomness.draw()
    }

    pub(crate) fn wake(&self, target: &Name) {
        if let Some(lane) = self.lanes.get(target) {
            lane.wake.notify_one();
        }
    }

    pub(crate) fn wake_all_targets(&self) {
        self.lanes.values().for_each(Lane::rouse);
    }

    pub(crate) fn wake_all(&self) {
        self.wake_all_targets();
        self.housekeeping.notify_one();
    }
}

/// Whether a command took effect, durable or not.
pub(crate) fn is_in_effect(committed: &Result<Seq, CommitError>) -> bool {
    match committed {
        Ok(_) => true,
        Err(error) => error.in_effect().is_some(),
    }
}
