//! The leases that are asked after: page by page, and by the agents that hold them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_core::kill::KillOrder;
use lanyard_core::lease::{Lease, Progress, Stage, StopCause};
use lanyard_core::task::Task;
use lanyard_engine::Engine;
use lanyard_proto::v1;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use tonic::Status;

use super::phrases::cause_of;
use super::time;
use crate::asked_scope::AskedScope;
use crate::refusal;
use crate::refused::Refused;

/// Leases of one answer.
///
/// # Limit
/// - for: a call
/// - unit: leases
/// - beyond: the answer names the page that follows
/// - test: `s28_leases_are_listed_by_pages_of_an_index`
pub(crate) const MAX_LEASES_PER_PAGE: usize = 1000;

/// A page. Of a page, so many leases are looked at, whether or not they are asked for: the state is
/// locked meanwhile.
pub(super) async fn list(
    engine: &Arc<Engine>,
    whose: Option<Identity>,
    request: v1::ListLeasesRequest,
) -> Result<v1::ListLeasesResponse, Status> {
    let size = usize::try_from(request.page_size).unwrap_or(0);
    let size = match size {
        0 => MAX_LEASES_PER_PAGE,
        size => size.min(MAX_LEASES_PER_PAGE),
    };
    let after = Some(&request.page_token).filter(|token| !token.is_empty());
    let after = after.map(|token| place("page_token", token)).transpose()?;
    let asked = Asked::of(engine, &request)?;
    let listed = engine.context().query(|state| {
        let mut leases = state.leases().listed(whose.as_ref(), after).take(size + 1);
        let (mut found, mut last) = (Vec::new(), None);
        for lease in leases.by_ref().take(size) {
            last = Some(lease.intent);
            if asked.is_about(lease) {
                found.push(message(lease));
            }
        }
        (found, last.filter(|_| leases.next().is_some()))
    });
    let (leases, next) = listed.await.map_err(refusal::commit)?;
    let is_all = after.is_none() && next.is_none();
    // An agent is not told which names there are (T15).
    let unknown_names = if is_all && leases.is_empty() && whose.is_none() {
        unknown(engine, asked.within).await
    } else {
        Vec::new()
    };
    Ok(v1::ListLeasesResponse {
        leases,
        next_page_token: next.map(|place| place.to_string()).unwrap_or_default(),
        unknown_names,
    })
}

/// The names that nothing has, looked for on another thread.
pub(super) async fn unknown(engine: &Arc<Engine>, within: Within) -> Vec<String> {
    let engine = Arc::clone(engine);
    let looked = tokio::task::spawn_blocking(move || within.unknown(&engine));
    looked.await.unwrap_or_default()
}

/// Returns the place where a page begins: behind the place of this intent in the journal.
fn place(field: &str, token: &str) -> Result<Seq, Refused> {
    let place = token.parse().map(Seq);
    place.map_err(|_| refusal::invalid(field, "is not one that this broker gave"))
}

/// The leases that are asked for.
struct Asked {
    live_only: bool,
    within: Within,
}

impl Asked {
    fn of(engine: &Engine, request: &v1::ListLeasesRequest) -> Result<Self, Status> {
        let named = [
            (
                &request.environment,
                AskedScope::Environment as fn(String) -> AskedScope,
            ),
            (&request.target, AskedScope::Target),
            (&request.charter, AskedScope::Charter),
            (&request.agent, AskedScope::Agent),
            (&request.task_id, AskedScope::Task),
        ];
        let within = Within::all(engine, named)?;
        let live_only = request.live_only;
        Ok(Self { live_only, within })
    }

    fn is_about(&self, lease: &Lease) -> bool {
        let mut within = self.within.0.iter();
        !(self.live_only && is_dead(lease)) && within.all(|order| order.covers(lease))
    }
}

/// The names that a listing is narrowed by, each as a kill order takes it: what is listed is in the
/// reach of them all.
pub(super) struct Within(Vec<KillOrder>);

impl Within {
    /// # Errors
    /// A name that is none.
    pub(super) fn all<'a>(
        engine: &Engine,
        named: impl IntoIterator<Item = (&'a String, fn(String) -> AskedScope)>,
    ) -> Result<Self, Status> {
        let mut within = Vec::new();
        for (name, of) in named.into_iter().filter(|(name, _)| !name.is_empty()) {
            let scope = of(name.clone()).scope()?;
            within.extend(engine.scopes().order_over(&scope));
        }
        Ok(Self(within))
    }

    pub(super) fn covers_task(&self, task: &Task) -> bool {
        self.0.iter().all(|order| order.covers_task(task))
    }

    /// Says why nothing is found, where that is for a name that nothing has. Every lease is looked
    /// at.
    pub(super) fn unknown(&self, engine: &Engine) -> Vec<String> {
        let unknown = self.0.iter().filter_map(|order| {
            let radius = engine
                .scopes()
                .blast_radius(&order.scope, order.roles, None);
            radius.unknown_name
        });
        unknown.collect()
    }
}

/// Tells if a lease is dead as far as can be known.
fn is_dead(lease: &Lease) -> bool {
    match lease.stage {
        Stage::Intent | Stage::Issued { .. } => false,
        Stage::Stopping { progress, .. } => progress.is_confirmed(),
    }
}

/// The leases that one agent holds.
#[derive(Default)]
struct Held {
    live: u64,
    stopping: u64,
    tasks: BTreeSet<TaskId>,
    charters: BTreeSet<String>,
    environments: BTreeSet<String>,
    targets: BTreeSet<String>,
    last: Option<Timestamp>,
}

impl Held {
    fn add(&mut self, lease: &Lease) {
        if lease.is_live() {
            self.live += 1;
            self.last = self.last.max(Some(lease.expires));
        } else {
            self.stopping += 1;
        }
        self.tasks.insert(lease.task.id);
        self.charters.insert(lease.task.charter.to_string());
        self.environments.insert(lease.task.environment.to_string());
        self.targets.insert(lease.entry.target.to_string());
    }
}

/// The agents with leases that are not dead. Every lease is looked at, on another thread.
pub(super) async fn holders(engine: &Arc<Engine>) -> Result<Vec<v1::Holder>, Status> {
    let looking = Arc::clone(engine);
    let looked = tokio::task::spawn_blocking(move || {
        let mut held: BTreeMap<(AgentName, Identity), Held> = BTreeMap::new();
        looking.context().pass(|_, lease| {
            if !is_dead(lease) {
                let task = &lease.task;
                let agent = (task.agent.clone(), task.identity.clone());
                held.entry(agent).or_default().add(lease);
            }
        });
        let identities = held.keys().map(|(_, identity)| identity.clone()).collect();
        let names = looking.scopes().short_names(&identities);
        (held, names)
    });
    let looked = looked.await.ok();
    let (held, names) = looked.ok_or_else(|| Status::unavailable("the leases were not read"))?;
    engine.context().settle().await.map_err(refusal::commit)?;
    let mut holders: Vec<v1::Holder> = held
        .into_iter()
        .map(|((agent, identity), held)| v1::Holder {
            kill_as: match agent.is(&identity) {
                true => names
                    .get(&identity)
                    .cloned()
                    .unwrap_or_else(|| agent.0.clone()),
                // A configured name is over all the identities of the agent.
                false => agent.0.clone(),
            },
            agent: agent.0,
            live_leases: held.live,
            stopping_leases: held.stopping,
            tasks: held.tasks.len() as u64,
            charters: held.charters.into_iter().collect(),
            environments: held.environments.into_iter().collect(),
            targets: held.targets.into_iter().collect(),
            last_expire_time: held.last.and_then(time),
        })
        .collect();
    holders.sort_by_key(|holder| Reverse((holder.live_leases, holder.stopping_leases)));
    Ok(holders)
}

/// Returns the name of a stage on the wire.
pub(super) const fn state(progress: Progress) -> v1::LeaseState {
    match progress {
        Progress::Fenced => v1::LeaseState::Fenced,
        Progress::Requested => v1::LeaseState::Requested,
        Progress::Acknowledged(_) => v1::LeaseState::Acknowledged,
        Progress::PresumedDead(_) => v1::LeaseState::PresumedDead,
        Progress::ProvedDead(_) => v1::LeaseState::ProvedDead,
        Progress::Expired(_) => v1::LeaseState::Expired,
    }
}

/// The lease for the wire.
pub(super) fn message(lease: &Lease) -> v1::Lease {
    let (state, ends) = match lease.stage {
        Stage::Intent => (v1::LeaseState::Intent, None),
        Stage::Issued { .. } => (v1::LeaseState::Issued, None),
        Stage::Stopping { cause, progress } => (state(progress), Some(cause)),
    };
    let kill = ends.and_then(StopCause::kill);
    let worst = Some(lease.worst_expiry).filter(|at| *at != Timestamp::NEVER);
    v1::Lease {
        id: lease.id.to_string(),
        task_id: lease.task.id.to_string(),
        charter: lease.task.charter.to_string(),
        grant: lease.entry.grant.to_string(),
        role: lease.entry.role.to_string(),
        target: lease.entry.target.to_string(),
        environment: lease.task.environment.to_string(),
        agent: lease.task.agent.to_string(),
        state: state.into(),
        expire_time: time(lease.expires),
        kill_id: kill.map(|id| id.to_string()).unwrap_or_default(),
        request_time: time(lease.asked),
        worst_expire_time: worst.and_then(time),
        approval_id: lease.approval.map(|id| id.to_string()).unwrap_or_default(),
        cause: ends.map(cause_of).unwrap_or_default(),
    }
}
