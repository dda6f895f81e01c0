//! TaskService.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::Version;
use lanyard_core::kill::OrderChanges;
use lanyard_core::lease::{Lease, Stage};
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_engine::Engine;
use lanyard_engine::tasks::OpenTask;
use lanyard_identity::Verified;
use lanyard_proto::v1;
use lanyard_proto::v1::task_service_server::TaskService;
use lanyard_vocabulary::id::{KillId, TaskId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::time::Timestamp;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::leases::{self, Within};
use super::{Next, Services, duration, kill, next, time, timeline};
use crate::asked_scope::AskedScope;
use crate::fields::{parsed, request_id, text};
use crate::refusal;
use crate::refused::Refused;
use crate::watches::look_interval;

/// The time for which a watcher is kept who does not read (T45).
const UNREAD_TIME: Duration = Duration::from_secs(10);
/// The time for which a watcher goes without a message: the task may have ended by itself, and a
/// silent connection may be a dead one.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// The most leases of a message, which is at most 64 KiB long.
const LEASES: usize = 1000;
/// The most orders of one.
const ORDERS: usize = 10;

/// Tasks of one answer.
///
/// # Limit
/// - for: a call
/// - unit: tasks
/// - beyond: the answer names the page that follows
/// - test: `u04_tasks_are_listed_by_pages_and_by_what_they_are`
pub(crate) const MAX_TASKS_PER_PAGE: usize = 1000;

/// The role of operators that read tasks.
const READERS: &[OperatorRole] = &[OperatorRole::Viewer];

#[tonic::async_trait]
impl TaskService for Services {
    async fn open_task(
        &self,
        request: Request<v1::OpenTaskRequest>,
    ) -> Result<Response<v1::OpenTaskResponse>, Status> {
        let caller = self.agent(&request).await?;
        let request = request.into_inner();
        let ask = OpenTask {
            charter: parsed("charter", &request.charter)?,
            environment: parsed("environment", &request.environment)?,
            reason: text("reason", request.reason)?,
            ticket: match request.ticket {
                ticket if ticket.is_empty() => None,
                ticket => Some(text("ticket", ticket)?),
            },
            version: request.version.map(version).transpose()?,
            under: under(&request.parent_task_id, request.delegate)?,
            request: request_id(request.request_id)?,
        };
        let task = self
            .0
            .engine
            .tasks()
            .open(&caller, ask)
            .await
            .map_err(|error| refusal::task(error, &self.0.engine))?;
        let engine = &self.0.engine;
        let live = engine
            .context()
            .query(|state| live_leases(state, task.id))
            .await;
        let standing = Standing {
            closed: false,
            live: live.map_err(refusal::commit)?,
        };
        Ok(Response::new(v1::OpenTaskResponse {
            task: Some(message(&task, standing, engine)),
        }))
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<v1::ListTasksResponse>, Status> {
        let asker = match self.agent_or_operator(&request, READERS).await? {
            Verified::Agent(caller) => Some(caller.identity),
            Verified::Operator(..) => None,
        };
        let request = request.into_inner();
        let size = usize::try_from(request.page_size).unwrap_or(0);
        let size = match size {
            0 => MAX_TASKS_PER_PAGE,
            size => size.min(MAX_TASKS_PER_PAGE),
        };
        let token = Some(request.page_token.as_str()).filter(|token| !token.is_empty());
        let mut place = token.map(self::place).transpose()?;
        let is_first = place.is_none();
        let (engine, mut tasks, mut next) = (&self.0.engine, Vec::new(), None);
        let within = Within::all(
            engine,
            [
                (
                    &request.environment,
                    AskedScope::Environment as fn(String) -> AskedScope,
                ),
                (&request.charter, AskedScope::Charter),
                (&request.agent, AskedScope::Agent),
            ],
        )?;
        // A look passes over so many tasks: the state is locked meanwhile, and kills go between two
        // looks.
        loop {
            let looked = engine.context().query(|state| {
                let open: Box<dyn Iterator<Item = _>> = match &asker {
                    Some(asker) => Box::new(state.open_tasks_opened_by(asker, place)),
                    None => Box::new(state.open_tasks(place)),
                };
                let looked = open.take(MAX_TASKS_PER_PAGE).map(|(place, entry)| {
                    let task = within.covers_task(&entry.task).then(|| {
                        let standing = Standing {
                            closed: false,
                            live: live_leases(state, entry.task.id),
                        };
                        message(&entry.task, standing, engine)
                    });
                    (place, task)
                });
                looked.collect::<Vec<_>>()
            });
            let looked = looked.await.map_err(refusal::commit)?;
            let is_last = looked.len() < MAX_TASKS_PER_PAGE;
            for (at, task) in looked {
                let Some(task) = task else {
                    place = Some(at);
                    continue;
                };
                if tasks.len() == size {
                    next = place;
                    break;
                }
                place = Some(at);
                tasks.push(task);
            }
            if is_last || next.is_some() {
                break;
            }
        }
        let next = next.map(|(ends, id)| format!("{}.{id}", ends.as_millis()));
        // An agent is not told which names there are (T15).
        let unknown_names = if tasks.is_empty() && is_first && asker.is_none() {
            leases::unknown(engine, within).await
        } else {
            Vec::new()
        };
        Ok(Response::new(v1::ListTasksResponse {
            tasks,
            next_page_token: next.unwrap_or_default(),
            unknown_names,
        }))
    }

    async fn get_task(
        &self,
        request: Request<v1::GetTaskRequest>,
    ) -> Result<Response<v1::GetTaskResponse>, Status> {
        let caller = self.agent(&request).await?;
        let id = parsed("id", &request.into_inner().id)?;
        let entry = self
            .0
            .engine
            .tasks()
            .get(&caller.identity, id)
            .await
            .map_err(|error| refusal::task(error, &self.0.engine))?;
        let engine = &self.0.engine;
        let live = engine.context().query(|state| live_leases(state, id)).await;
        let standing = Standing {
            closed: !entry.is_open(engine.clock().now()),
            live: live.map_err(refusal::commit)?,
        };
        Ok(Response::new(v1::GetTaskResponse {
            task: Some(message(&entry.task, standing, engine)),
        }))
    }

    type WatchTaskStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchTaskResponse, Status>> + Send>>;

    async fn watch_task(
        &self,
        request: Request<v1::WatchTaskRequest>,
    ) -> Result<Response<Self::WatchTaskStream>, Status> {
        let caller = self.agent(&request).await?;
        let id = parsed("id", &request.into_inner().id)?;
        let engine = Arc::clone(&self.0.engine);
        let known = engine.tasks().get(&caller.identity, id).await;
        known.map_err(|error| refusal::task(error, &self.0.engine))?;
        let place = self.0.watches.of_agent(&caller.identity)?;
        // Each message is all there is to say: one that is not taken yet is enough.
        let (events, stream) = tokio::sync::mpsc::channel(1);
        // The task ends with its reader: a send fails once nobody listens, or nobody reads.
        tokio::spawn(async move {
            let mut changes = engine.context().changes();
            let (mut shown, mut quiet, mut orders) = (None, false, Orders::default());
            loop {
                changes.mark_unchanged();
                let now = engine.clock().now();
                let found = engine
                    .context()
                    .query(|state| watched((state, &engine), id, &mut orders, now))
                    .await;
                let event = match found {
                    Ok(Some(found)) => Ok(found),
                    Ok(None) => Err(refusal::not_found("task").into()),
                    Err(error) => Err(refusal::commit(error).into()),
                };
                let last = event.as_ref().map_or(true, is_over);
                if quiet || is_news(shown.as_ref(), event.as_ref().ok()) {
                    shown = event.as_ref().ok().cloned();
                    if events.send_timeout(event, UNREAD_TIME).await.is_err() || last {
                        return;
                    }
                }
                tokio::time::sleep(look_interval(&place)).await;
                match next(&mut changes, &events, IDLE_INTERVAL).await {
                    Next::Change => quiet = false,
                    Next::Nothing => quiet = true,
                    Next::End => return,
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn get_task_timeline(
        &self,
        request: Request<v1::GetTaskTimelineRequest>,
    ) -> Result<Response<v1::GetTaskTimelineResponse>, Status> {
        let caller = self.agent_or_operator(&request, READERS).await?;
        let id: TaskId = parsed("id", &request.into_inner().id)?;
        let now = self.0.engine.clock().now();
        let may = |task: &Task| match &caller {
            Verified::Agent(caller) => task.identity == caller.identity,
            Verified::Operator(..) => true,
        };
        let engine = &self.0.engine;
        let found = engine.context().query(|state| match state.task(id) {
            Some(entry) if may(&entry.task) => {
                let standing = Standing {
                    closed: !entry.is_open(now),
                    live: live_leases(state, id),
                };
                Known::Shown(Box::new(message(&entry.task, standing, engine)))
            }
            Some(_) => Known::Hidden,
            None => Known::Gone,
        });
        let found = found.await.map_err(refusal::commit)?;
        let task = match found {
            Known::Shown(task) => *task,
            Known::Hidden => return Err(refusal::not_found("task").into()),
            // The task ended and left memory: the history says whose it was.
            Known::Gone => {
                let for_agent = matches!(caller, Verified::Agent(_));
                let task = timeline::opened(&self.0.ledger, id, for_agent).await?;
                let task = task.filter(may);
                let standing = Standing {
                    closed: true,
                    live: 0,
                };
                let task = task.ok_or_else(|| refusal::not_found("task"))?;
                message(&task, standing, engine)
            }
        };
        let (events, truncated) = timeline::of(&self.0, id, &caller).await?;
        Ok(Response::new(v1::GetTaskTimelineResponse {
            task: Some(task),
            events,
            truncated,
        }))
    }

    async fn close_task(
        &self,
        request: Request<v1::CloseTaskRequest>,
    ) -> Result<Response<v1::CloseTaskResponse>, Status> {
        let caller = self.agent(&request).await?;
        let id = parsed("id", &request.into_inner().id)?;
        self.0
            .engine
            .tasks()
            .get(&caller.identity, id)
            .await
            .map_err(|error| refusal::task(error, &self.0.engine))?;
        self.0
            .engine
            .tasks()
            .close(id)
            .await
            .map_err(|error| refusal::task(error, &self.0.engine))?;
        Ok(Response::new(v1::CloseTaskResponse {}))
    }
}

/// The orders that a watcher was told of, and what they were found by: orders change far less often
/// than the state does, so the book of all orders is read again only when one of these has moved.
#[derive(Default)]
struct Orders {
    changes: Option<OrderChanges>,
    killed: BTreeSet<KillId>,
    told: Vec<v1::KillOrder>,
}

impl Orders {
    fn of(&mut self, state: &State, task: &Task, killed: BTreeSet<KillId>) -> Vec<v1::KillOrder> {
        let changes = state.kills().changes();
        if self.changes != Some(changes) || self.killed != killed {
            let over_task = state.kills().over_task(task);
            let over_task = over_task.filter(|engaged| engaged.is_engaged());
            let killers = killed.iter().filter_map(|id| state.kills().get(*id));
            let orders = over_task.chain(killers);
            let orders: BTreeMap<_, _> = orders.map(|engaged| (engaged.seq, engaged)).collect();
            let newest_first = orders.into_values().rev();
            self.told = newest_first.take(ORDERS).map(kill::told).collect();
            (self.changes, self.killed) = (Some(changes), killed);
        }
        self.told.clone()
    }
}

/// The state's knowledge of a task that somebody asks for.
enum Known {
    /// The task, for whoever may see it.
    Shown(Box<v1::Task>),
    /// A task that is not the caller's.
    Hidden,
    /// No task: it ended some time ago, or never was.
    Gone,
}

/// Returns what a holder of this task's credentials has to know.
fn watched(
    (state, engine): (&State, &Engine),
    id: TaskId,
    orders: &mut Orders,
    now: Timestamp,
) -> Option<v1::WatchTaskResponse> {
    let entry = state.task(id)?;
    let mut leases: Vec<&Lease> = state.leases().of_task(id).collect();
    leases.sort_by_key(|lease| std::cmp::Reverse(lease.intent));
    let killed = leases.iter().filter_map(|lease| match lease.stage {
        Stage::Stopping { cause, .. } => cause.kill(),
        Stage::Intent | Stage::Issued { .. } => None,
    });
    let orders = orders.of(state, &entry.task, killed.collect());
    let live = leases.iter().filter(|lease| {
        let ended = matches!(lease.stage, Stage::Stopping { .. });
        !ended && lease.expires > now
    });
    Some(v1::WatchTaskResponse {
        task: Some(message(
            &entry.task,
            Standing {
                closed: !entry.is_open(now),
                live: live_leases(state, id),
            },
            engine,
        )),
        live_lease_ids: live
            .take(LEASES)
            .map(|lease| lease.id.to_string())
            .collect(),
        orders,
        next_within: duration(IDLE_INTERVAL + UNREAD_TIME),
        next_record: state.next_seq().0,
    })
}

/// Tells if two messages differ. Every record of the broker moves `next_record`, and is no news to
/// whoever watches one task.
fn is_news(shown: Option<&v1::WatchTaskResponse>, found: Option<&v1::WatchTaskResponse>) -> bool {
    let (Some(shown), Some(found)) = (shown, found) else {
        return shown.is_some() || found.is_some();
    };
    let as_shown = v1::WatchTaskResponse {
        next_record: shown.next_record,
        ..found.clone()
    };
    *shown != as_shown
}

/// Tells if nothing more can become of the task.
fn is_over(watched: &v1::WatchTaskResponse) -> bool {
    watched.task.as_ref().is_none_or(|task| task.closed)
}

/// A task above, and who is to run this one: both or neither.
fn under(
    parent: &str,
    delegate: Option<v1::AgentIdentity>,
) -> Result<Option<(TaskId, Identity)>, Status> {
    match (parent, delegate) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err(refusal::invalid(
            "delegate",
            "is for a task under another: name parent_task_id",
        )
        .into()),
        (_, None) => Err(refusal::invalid("delegate", "must be given with parent_task_id").into()),
        (parent, Some(agent)) => {
            let identity = Identity {
                issuer: text("delegate.issuer", agent.issuer)?,
                subject: text("delegate.subject", agent.subject)?,
            };
            Ok(Some((parsed("parent_task_id", parent)?, identity)))
        }
    }
}

fn version(stated: v1::AgentVersion) -> Result<Version, Status> {
    if stated.model.is_empty() || stated.model.chars().count() > 200 {
        let message = "version.model: expected 1 to 200 characters";
        return Err(Status::invalid_argument(message));
    }
    let prompt = stated.prompt_digest;
    Ok(Version {
        model: text("version.model", stated.model)?,
        prompt: match prompt.as_str() {
            "" => None,
            digest => Some(parsed("version.prompt_digest", digest)?),
        },
    })
}

/// The course of a task after it was opened.
#[derive(Debug, Clone, Copy)]
struct Standing {
    closed: bool,
    /// The number of its credentials that are out.
    live: u32,
}

fn live_leases(state: &State, task: TaskId) -> u32 {
    let live = state.leases().of_task(task).filter(|lease| lease.is_live());
    u32::try_from(live.count()).unwrap_or(u32::MAX)
}

/// Returns the place where a page begins: behind the end and the id of a task.
pub(super) fn place(token: &str) -> Result<(Timestamp, TaskId), Refused> {
    let place = token.split_once('.').and_then(|(ends, id)| {
        let ends = Timestamp::from_millis(ends.parse().ok()?);
        Some((ends, id.parse().ok()?))
    });
    place.ok_or_else(|| refusal::invalid("page_token", "is not one that this broker gave"))
}

fn message(task: &Task, standing: Standing, engine: &Engine) -> v1::Task {
    let in_force = engine.charters().in_force(&task.charter);
    let newer = in_force.filter(|charter| charter.revision != task.revision);
    v1::Task {
        in_force_revision: newer
            .map(|charter| charter.revision.to_string())
            .unwrap_or_default(),
        live_leases: standing.live,
        id: task.id.to_string(),
        charter: task.charter.to_string(),
        revision: task.revision.to_string(),
        environment: task.environment.to_string(),
        agent: task.agent.to_string(),
        reason: task.reason.clone(),
        ticket: task.ticket.clone().unwrap_or_default(),
        version: task.version.as_ref().map(|version| v1::AgentVersion {
            model: version.model.clone(),
            prompt_digest: version.prompt.map(|it| it.to_string()).unwrap_or_default(),
        }),
        parent_task_ids: task
            .lineage
            .iter()
            .map(|above| above.task.to_string())
            .collect(),
        open_time: time(task.opened),
        expire_time: time(task.expires),
        closed: standing.closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_another_task_is_no_news_to_whoever_watches_one() {
        let shown = v1::WatchTaskResponse {
            live_lease_ids: vec!["L-1".into()],
            next_record: 7,
            ..Default::default()
        };
        let later = v1::WatchTaskResponse {
            next_record: 9,
            ..shown.clone()
        };
        assert!(!is_news(Some(&shown), Some(&later)));
        let ended = v1::WatchTaskResponse {
            live_lease_ids: Vec::new(),
            ..later
        };
        assert!(is_news(Some(&shown), Some(&ended)));
        assert!(is_news(None, Some(&shown)));
        assert!(is_news(Some(&shown), None));
        assert!(!is_news(None, None));
    }
}
