//! Drills: the broker mints a canary credential as every credential is minted, uses it, kills it
//! and checks it. A drill shows that the kill switch works before it is needed.

use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::kinds::Credential;
use lanyard_core::command::Command;
use lanyard_core::drill::{Drill, DrillOutcome};
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::lease::Progress;
use lanyard_core::ledger::CommitError;
use lanyard_core::pause::Demand;
use lanyard_core::provider::Provider;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::{KillId, LeaseId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{Facets, RoleFilter, Scope, TaskFacets};
use lanyard_vocabulary::time::Timestamp;
use tokio::time::Instant;

use crate::context::Context;
use crate::issue::IssueRequest;
use crate::kill::Kills;
use crate::mint::Mints;
use crate::tasks::{OpenTask, Tasks};

/// The time for which a canary may take to die.
const DRILL_WAIT: Duration = Duration::from_secs(60);
/// The time for which one use of the canary may take.
const USE: Duration = Duration::from_secs(10);

/// The owner of canaries: an agent that only the broker can be, under a charter that touches
/// nothing.
#[derive(Debug, Clone)]
pub struct Canary {
    /// The charter of the canary.
    pub charter: Name,
    /// The agent of the canary.
    pub agent: Identity,
    /// The environment of the canary's tasks.
    pub environment: Name,
}

/// The progress of a drill.
#[derive(Default)]
struct Held {
    lease: Option<LeaseId>,
    kill: Option<KillId>,
}

/// The result of a request for a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drilled {
    /// The drill was held and recorded.
    Held(Drill),
    /// A kill order or pause, with this id, stops the canary like everything else. Nothing is
    /// learned about the switch, and nothing is recorded.
    HeldUp(String),
}

/// Holds drills, as an agent would ask and a person would kill.
pub struct Drills {
    pub(crate) context: Arc<Context>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) mints: Arc<Mints>,
    pub(crate) kills: Arc<Kills>,
}

impl Drills {
    /// Holds a drill at a target, whose grant in the canary's charter has the target's name, and
    /// records it.
    ///
    /// # Errors
    /// When the drill could not be recorded.
    pub async fn hold(&self, canary: &Canary, target: &Name) -> Result<Drilled, CommitError> {
        let mut held = Held::default();
        let outcome = match self.run(canary, target, &mut held).await {
            Ok(passed) => passed,
            Err(why) => {
                if let Some(by) = self.stops_canary(canary, target) {
                    tracing::info!(%target, by, "a drill is held up");
                    return Ok(Drilled::HeldUp(by));
                }
                DrillOutcome::Failed { why }
            }
        };
        let drill = Drill {
            target: target.clone(),
            lease: held.lease,
            kill: held.kill,
            outcome,
        };
        match &drill.outcome {
            DrillOutcome::Passed { .. } => tracing::info!(%target, "a drill passed"),
            DrillOutcome::Failed { why } => tracing::error!(%target, why, "a drill failed"),
        }
        self.context
            .commit(Command::Drill(Box::new(drill.clone())))
            .await?;
        Ok(Drilled::Held(drill))
    }

    /// The kill order or pause that keeps the canary from being issued.
    fn stops_canary(&self, canary: &Canary, target: &Name) -> Option<String> {
        let agent = self.context.agent(&canary.agent);
        let now = self.context.now();
        self.context.peek(|state| {
            let facets = Facets {
                task: TaskFacets {
                    environment: &canary.environment,
                    charter: &canary.charter,
                    agent: &agent,
                    identity: &canary.agent,
                    id: TaskId::from_bits(0),
                    lineage: &[],
                },
                target,
                lease: None,
                role: Role::Plan,
            };
            let order = state.kills().stopper(&facets);
            let order = order.map(|engaged| engaged.order.id.to_string());
            let pause = || state.pausing(&facets, Demand::NoIssuance, now);
            order.or_else(|| pause().map(|pause| pause.id.to_string()))
        })
    }

    async fn run(
        &self,
        canary: &Canary,
        target: &Name,
        held: &mut Held,
    ) -> Result<DrillOutcome, String> {
        let provider = self.context.targets.providers.get(target);
        let provider = Arc::clone(provider.ok_or("there is no such target")?);
        let open = OpenTask {
            charter: canary.charter.clone(),
            environment: canary.environment.clone(),
            reason: "drill".to_owned(),
            ticket: None,
            version: None,
            under: None,
            request: None,
        };
        let task = self
            .tasks
            .open(&Caller::unproved(&canary.agent), open)
            .await;
        let task = task.map_err(|error| format!("no task: {error}"))?.id;
        let drilled = self.drilled((canary, task), (target, provider), held).await;
        if let Err(error) = self.context.commit(Command::CloseTask { task }).await {
            tracing::warn!(%error, "the task of a drill could not be closed");
        }
        drilled
    }

    async fn drilled(
        &self,
        (canary, task): (&Canary, lanyard_vocabulary::id::TaskId),
        (target, provider): (&Name, Arc<dyn Provider>),
        held: &mut Held,
    ) -> Result<DrillOutcome, String> {
        let ask = IssueRequest {
            task,
            grant: target.clone(),
            ttl: None,
            plan: None,
            request: None,
        };
        let issued = self
            .mints
            .issue(&Caller::unproved(&canary.agent), &ask)
            .await;
        let issued = issued.map_err(|error| format!("no credential: {error}"))?;
        let (lease, credential) = (issued.lease, issued.credential);
        held.lease = Some(lease);
        let handed = issued.release.hand_over(|| ());
        handed.map_err(|error| format!("not handed over: {error}"))?;
        let worked = used(provider.as_ref(), &credential).await?;
        if worked == Some(false) {
            return Err("the canary did not work before it was killed".to_owned());
        }
        let (kill, fenced_micros) = self.kill_canary(lease).await?;
        held.kill = Some(kill.id);
        let proves = provider.capabilities().can_prove;
        let progress = self.followed((kill.id, lease), proves).await?;
        let taken = self.context.peek(|state| state.leases().get(lease)?.taken);
        let taken = taken.unwrap_or_else(|| self.context.now());
        let millis =
            |at: Timestamp| u64::try_from(at.since(kill.at).as_millis()).unwrap_or(u64::MAX);
        let proved = match progress {
            Progress::ProvedDead(at) => Some(at),
            Progress::Fenced
            | Progress::Requested
            | Progress::Acknowledged(_)
            | Progress::PresumedDead(_)
            | Progress::Expired(_) => None,
        };
        // What was called dead is used once more.
        if proved.is_some() && used(provider.as_ref(), &credential).await? == Some(true) {
            return Err("the canary still works, and was called dead".to_owned());
        }
        Ok(DrillOutcome::Passed {
            fenced_micros,
            taken_millis: millis(taken),
            dead_millis: proved.map(millis),
        })
    }

    /// Kills the canary; returns the order and the time to its fence, in microseconds.
    async fn kill_canary(&self, lease: LeaseId) -> Result<(KillOrder, u64), String> {
        let scope = Scope::Lease(lease);
        let draft = self
            .kills
            .draft(scope, RoleFilter::Both, "drill".to_owned(), Actor::Broker);
        let order = draft.map_err(|error| error.to_string())?;
        let begun = Instant::now();
        let fenced = self.kills.engage(order).await;
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        match fenced.seq {
            Some(_) => Ok((fenced.order, took)),
            None => Err("the kill order is not durable".to_owned()),
        }
    }

    /// Waits until the provider has acknowledged the revocation, and proved it if it can.
    async fn followed(
        &self,
        (kill, lease): (KillId, LeaseId),
        proves: bool,
    ) -> Result<Progress, String> {
        let mut changes = self.context.changes();
        let followed = async {
            loop {
                changes.mark_unchanged();
                let lines = self.kills.lines(kill, &[lease]).await;
                match lines.first().map(|line| line.progress) {
                    Some(progress) if progress.is_confirmed() => return Ok(progress),
                    Some(progress) if progress.is_taken() && !proves => return Ok(progress),
                    Some(_) => {}
                    // The sweep has not come to it.
                    None if self
                        .context
                        .peek(|state| state.leases().get(lease).is_some()) => {}
                    None => return Err("the canary's lease is gone".to_owned()),
                }
                if changes.changed().await.is_err() {
                    return Err("the broker ends".to_owned());
                }
            }
        };
        let late = Err(format!(
            "the provider has not taken the revocation in {} s",
            DRILL_WAIT.as_secs()
        ));
        tokio::time::timeout(DRILL_WAIT, followed)
            .await
            .unwrap_or(late)
    }
}

async fn used(provider: &dyn Provider, credential: &Credential) -> Result<Option<bool>, String> {
    match tokio::time::timeout(USE, provider.probe_with_credential(credential)).await {
        Ok(used) => used.map_err(|error| format!("the canary could not be used: {error}")),
        Err(_) => Err("the canary could not be used in time".to_owned()),
    }
}
