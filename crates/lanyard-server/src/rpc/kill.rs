//! KillService, and the engaging that the HTTP door shares with it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::Charter;
use lanyard_core::kill::{Actor, EngagedOrder, Lifted, RearmStage, Spread, Tally};
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_engine::Engine;
use lanyard_engine::reach::BlastRadius;
use lanyard_engine::rearm::RearmStep;
use lanyard_engine::report::{KillLine, KillReport};
use lanyard_identity::Verified;
use lanyard_proto::v1;
use lanyard_proto::v1::kill_service_server::KillService;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::KillId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Timestamp;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::decision::owners;
use super::{
    Next, SEES_ORDERS, Services, drill, duration, kill_order, leases, next, presented, rearm, time,
};
use crate::asked_scope::scope;
use crate::fields::{parsed, text};
use crate::refusal;
use crate::switch::Asked;

/// The time for which a watcher is kept who does not read (T45).
const UNREAD_TIME: Duration = Duration::from_secs(30);
/// The most leases of a report that are read at once.
const LEASES_PER_READ: usize = 1000;
/// The time without a record after which the reader is looked for again.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);
/// Identities of an agent's name that are told one by one.
const IDENTITIES_TOLD: usize = 100;
/// Charters whose owners a report names.
const CHARTERS_TOLD: usize = 20;
/// The least time between two reports.
const MIN_REPORT_INTERVAL: Duration = Duration::from_millis(100);

#[tonic::async_trait]
impl KillService for Services {
    type WatchKillStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchKillResponse, Status>> + Send>>;
    type ReadKillReportStream =
        Pin<Box<dyn Stream<Item = Result<v1::ReadKillReportResponse, Status>> + Send>>;

    async fn engage_kill(
        &self,
        request: Request<v1::EngageKillRequest>,
    ) -> Result<Response<v1::EngageKillResponse>, Status> {
        let asked = scope(request.get_ref().scope.clone());
        let killer = asked.as_ref().unwrap_or(&Scope::All);
        let by = self.0.killer(presented(&request)?, killer).await?;
        let scope = asked?;
        let request = request.into_inner();
        let roles = match request.roles() {
            v1::RoleFilter::Unspecified | v1::RoleFilter::Both => RoleFilter::Both,
            v1::RoleFilter::ApplyOnly => RoleFilter::ApplyOnly,
        };
        let reached = async |given: Option<KillId>| {
            let radius = reached(&self.0.engine, &scope, roles, given).await;
            let leases = radius.leases.iter();
            v1::EngageKillResponse {
                live_leases: leases
                    .map(|(name, count)| (name.to_string(), *count as u64))
                    .collect(),
                reaches_nothing: radius.is_nothing(),
                identity_count: radius.identities.len() as u64,
                identities: identities(&radius),
                unknown_name: radius.unknown_name.unwrap_or_default(),
                near_names: radius.near,
                note: radius.note.unwrap_or_default(),
                ..Default::default()
            }
        };
        if request.validate_only {
            return Ok(Response::new(reached(None).await));
        }
        let reason = text("reason", request.reason)?;
        let key = key((&by, &request.request_id), (&scope, roles))?;
        // The fence is not kept waiting for what it reaches to be counted.
        let asked = Asked {
            scope: scope.clone(),
            roles,
            reason,
            by,
            key,
        };
        let (fenced, took) = self.0.switch().engage(asked).await?;
        let counted = reached(Some(fenced.order.id)).await;
        Ok(Response::new(v1::EngageKillResponse {
            durable: fenced.is_durable(),
            order: Some(v1::KillOrder {
                reaches_nothing: counted.reaches_nothing,
                ..kill_order::message(&EngagedOrder {
                    order: fenced.order,
                    seq: fenced.seq.unwrap_or_default(),
                    lifted: Lifted::Nothing,
                    lifted_at: None,
                    idle_since: None,
                })
            }),
            fenced_in: duration(took),
            ..counted
        }))
    }

    async fn list_kill_orders(
        &self,
        request: Request<v1::ListKillOrdersRequest>,
    ) -> Result<Response<v1::ListKillOrdersResponse>, Status> {
        let orders = match self.agent_or_operator(&request, SEES_ORDERS).await? {
            Verified::Operator(..) => {
                let mut all = Vec::new();
                let passed = self
                    .0
                    .engine
                    .context()
                    .pass_orders(|_, engaged| all.push(engaged.clone()));
                let engine = &self.0.engine;
                let told = |engaged: &EngagedOrder| order_now(engine, engaged);
                passed.await;
                all.iter().map(told).collect()
            }
            Verified::Agent(caller) => {
                let named = Named::of(&self.0.engine, &caller);
                let mut reaching = Vec::new();
                let passed = self.0.engine.context().pass_orders(|state, engaged| {
                    if named.reached_by(engaged, state) {
                        reaching.push(told(engaged));
                    }
                });
                passed.await;
                reaching
            }
        };
        Ok(Response::new(v1::ListKillOrdersResponse { orders }))
    }

    async fn withdraw_kill(
        &self,
        request: Request<v1::WithdrawKillRequest>,
    ) -> Result<Response<v1::WithdrawKillResponse>, Status> {
        // As fresh a login as a re-arm takes, since both lift an order.
        let needed = (OperatorRole::OnCall, &self.0.doors.fresh.rearm);
        let operator = self.fresh(&request, needed).await?;
        let request = request.into_inner();
        let id = parsed("id", &request.id)?;
        let reason = text("reason", request.reason)?;
        let engine = &self.0.engine;
        let lifted = engine
            .rearms()
            .withdraw_kill(id, &operator.person(), reason)
            .await;
        let lifted = lifted.map_err(refusal::commit)?;
        Ok(Response::new(v1::WithdrawKillResponse {
            order: Some(kill_order::message(&lifted)),
        }))
    }

    async fn watch_kill(
        &self,
        request: Request<v1::WatchKillRequest>,
    ) -> Result<Response<Self::WatchKillStream>, Status> {
        let oncall = self.operator(&request, OperatorRole::OnCall).await?;
        let place = self.0.watches.of_person(&oncall.identity)?;
        let id = parsed("id", &request.into_inner().id)?;
        let engine = Arc::clone(&self.0.engine);
        let (events, stream) = tokio::sync::mpsc::channel(2);
        // The task ends with its reader: a send fails once nobody listens, or nobody reads.
        tokio::spawn(async move {
            let _place = place;
            let mut changes = engine.context().changes();
            loop {
                changes.mark_unchanged();
                let (event, last) = match engine.kills().report(id).await {
                    Some(report) => (Ok(message(&engine, &report)), report.is_confirmed()),
                    None => (Err(refusal::not_found("kill order").into()), true),
                };
                if events.send_timeout(event, UNREAD_TIME).await.is_err() || last {
                    return;
                }
                tokio::time::sleep(MIN_REPORT_INTERVAL).await;
                loop {
                    match next(&mut changes, &events, IDLE_INTERVAL).await {
                        Next::Change => break,
                        Next::Nothing => {}
                        Next::End => return,
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn read_kill_report(
        &self,
        request: Request<v1::ReadKillReportRequest>,
    ) -> Result<Response<Self::ReadKillReportStream>, Status> {
        let oncall = self.operator(&request, OperatorRole::OnCall).await?;
        let place = self.0.watches.of_person(&oncall.identity)?;
        let id = parsed("id", &request.into_inner().id)?;
        let engine = Arc::clone(&self.0.engine);
        let known = engine
            .context()
            .in_effect(|state| state.kills().get(id).is_some())
            .await;
        if !known {
            return Err(refusal::not_found("kill order").into());
        }
        let leases = engine.kills().leases(id).await;
        let (lines, stream) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            let _place = place;
            for some in leases.chunks(LEASES_PER_READ) {
                let read = engine.kills().lines(id, some).await;
                let read = v1::ReadKillReportResponse {
                    lines: read.iter().map(line).collect(),
                };
                if lines.send_timeout(Ok(read), UNREAD_TIME).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn hold_drill(
        &self,
        request: Request<v1::HoldDrillRequest>,
    ) -> Result<Response<v1::HoldDrillResponse>, Status> {
        self.operator(&request, OperatorRole::OnCall).await?;
        let drills = drill::hold(&self.0, &request.into_inner().targets).await?;
        Ok(Response::new(v1::HoldDrillResponse { drills }))
    }

    async fn list_drills(
        &self,
        request: Request<v1::ListDrillsRequest>,
    ) -> Result<Response<v1::ListDrillsResponse>, Status> {
        // A drill reaches the canary alone.
        self.operator_with(&request, SEES_ORDERS).await?;
        let drills = drill::list(&self.0).await?;
        Ok(Response::new(v1::ListDrillsResponse { drills }))
    }

    async fn propose_rearm(
        &self,
        request: Request<v1::ProposeRearmRequest>,
    ) -> Result<Response<v1::ProposeRearmResponse>, Status> {
        let needed = (OperatorRole::OnCall, &self.0.doors.fresh.rearm);
        let operator = self.fresh(&request, needed).await?;
        let request = request.into_inner();
        let stage = match request.stage() {
            v1::RearmStage::Plan => RearmStage::Plan,
            v1::RearmStage::Apply => RearmStage::Apply,
            v1::RearmStage::Unspecified => {
                return Err(refusal::invalid("stage", "must be given").into());
            }
        };
        let kill = parsed("kill_id", &request.kill_id)?;
        let step = RearmStep {
            kill,
            stage,
            reason: text("reason", request.reason)?,
            despite_unconfirmed: request.despite_unconfirmed,
        };
        let proposed = self
            .0
            .engine
            .rearms()
            .propose(step, &operator.person())
            .await;
        let rearm_id = proposed.map_err(refusal::commit)?.id.to_string();
        Ok(Response::new(v1::ProposeRearmResponse { rearm_id }))
    }

    async fn list_rearms(
        &self,
        request: Request<v1::ListRearmsRequest>,
    ) -> Result<Response<v1::ListRearmsResponse>, Status> {
        self.operator_with(&request, SEES_ORDERS).await?;
        let id = request.into_inner().id;
        let rearms = rearm::list(&self.0.engine, &id).await?;
        Ok(Response::new(v1::ListRearmsResponse { rearms }))
    }

    async fn confirm_rearm(
        &self,
        request: Request<v1::ConfirmRearmRequest>,
    ) -> Result<Response<v1::ConfirmRearmResponse>, Status> {
        let needed = (OperatorRole::OnCall, &self.0.doors.fresh.rearm);
        let operator = self.fresh(&request, needed).await?;
        let request = request.into_inner();
        let id = parsed("rearm_id", &request.rearm_id)?;
        let despite = Some(request.despite_unconfirmed).filter(|why| !why.is_empty());
        let despite = despite
            .map(|why| text("despite_unconfirmed", why))
            .transpose()?;
        let lifted = self
            .0
            .engine
            .rearms()
            .confirm(id, &operator.person(), despite)
            .await
            .map_err(refusal::commit)?;
        Ok(Response::new(v1::ConfirmRearmResponse {
            order: Some(kill_order::message(&lifted)),
        }))
    }
}

/// Finds what an order would reach, or has reached. Every lease is looked at, on another thread:
/// the next order does not wait for that.
pub(crate) async fn reached(
    engine: &Arc<Engine>,
    scope: &Scope,
    roles: RoleFilter,
    given: Option<KillId>,
) -> BlastRadius {
    let (engine, scope) = (Arc::clone(engine), scope.clone());
    let counted = move || engine.scopes().blast_radius(&scope, roles, given);
    // Without a count the order is in effect all the same.
    tokio::task::spawn_blocking(counted)
        .await
        .unwrap_or_default()
}

/// An order as agents are told of it: not who gave it, nor what it rests on.
pub(super) fn told(engaged: &EngagedOrder) -> v1::KillOrder {
    v1::KillOrder {
        engaged_by: String::new(),
        evidence: Vec::new(),
        ..kill_order::message(engaged)
    }
}

/// An agent, and what the charters that name it could give it: whatever an order over these stops
/// for it.
struct Named {
    identity: Identity,
    agent: AgentName,
    charters: Vec<Arc<Charter>>,
}

impl Named {
    fn of(engine: &Engine, caller: &Caller) -> Self {
        let mut charters = engine.charters().all();
        charters.retain(|charter| {
            let mut rules = charter.agents.iter();
            rules.any(|rule| rule.matches(&caller.identity, &caller.evidence))
        });
        Self {
            agent: engine.context().agent(&caller.identity),
            identity: caller.identity.clone(),
            charters,
        }
    }

    fn reached_by(&self, engaged: &EngagedOrder, state: &State) -> bool {
        let any = |is: &dyn Fn(&Charter) -> bool| self.charters.iter().any(|charter| is(charter));
        let runs = |task: &Task| task.identity == self.identity;
        match &engaged.order.scope {
            Scope::All => !self.charters.is_empty(),
            Scope::Environment(name) => any(&|charter| charter.environments.contains_key(name)),
            Scope::Target(name) => any(&|charter| {
                let mut grants = charter.grants.values();
                grants.any(|grant| grant.target == *name)
            }),
            Scope::Charter(name) => any(&|charter| charter.name == *name),
            Scope::Agent(name) => {
                let order = &engaged.order;
                let raw = name.is(&self.identity) || order.names_identity(&self.identity);
                raw || *name == self.agent
            }
            Scope::Task(id) => state.task(*id).is_some_and(|entry| runs(&entry.task)),
            Scope::Lease(id) => state
                .leases()
                .get(*id)
                .is_some_and(|lease| runs(&lease.task)),
        }
    }
}

/// An order, and whether anything has the name that the order is over.
fn order_now(engine: &Engine, engaged: &EngagedOrder) -> v1::KillOrder {
    v1::KillOrder {
        reaches_nothing: engine.scopes().reaches_nothing(&engaged.order),
        ..kill_order::message(engaged)
    }
}

/// Returns the caller's name of an order, under the caller's own name. The same name for something
/// else is another order: to stop more is never refused.
fn key(
    (by, request): (&Actor, &str),
    (scope, roles): (&Scope, RoleFilter),
) -> Result<Option<String>, Status> {
    if request.is_empty() {
        return Ok(None);
    }
    let request = text("request_id", request.to_owned())?;
    Ok(Some(format!(
        "request {request} of {by} over {scope}, {roles:?}"
    )))
}

fn message(engine: &Engine, report: &KillReport) -> v1::WatchKillResponse {
    let targets = report.targets.iter();
    v1::WatchKillResponse {
        order: Some(order_now(engine, &report.engaged)),
        charters: charters(engine, report),
        lines: report.lines.iter().map(line).collect(),
        unswept: report.unswept as u64,
        confirmed: report.is_confirmed(),
        taken: report.is_taken(),
        requested: report.total.requested,
        acknowledged: report.total.acknowledged,
        dead: report.total.dead(),
        targets: targets
            .map(|(name, target)| v1::TargetReport {
                target: name.to_string(),
                settles: target.settles.and_then(duration),
                fault: target.fault.clone().unwrap_or_default(),
                ..tally(&target.tally)
            })
            .collect(),
        total: Some(tally(&report.total)),
    }
}

/// Names who answers for what the order stops: the owners of the charters of its leases, and of
/// those that the scope itself is about.
fn charters(engine: &Engine, report: &KillReport) -> Vec<v1::StoppedCharter> {
    let in_force = engine.charters();
    let of_lease = |line: &KillLine| {
        (
            line.task.charter.clone(),
            in_force.revision(&line.task.charter, &line.task.revision),
        )
    };
    let mut found: BTreeMap<Name, Option<Arc<Charter>>> =
        report.lines.iter().map(of_lease).collect();
    for charter in engine.scopes().charters_of(&report.engaged.order) {
        found.insert(charter.name.clone(), Some(charter));
    }
    let found = found.into_iter().take(CHARTERS_TOLD);
    let found = found.filter_map(|(name, charter)| {
        let owners = owners(&in_force.in_force(&name).or(charter)?.owners);
        Some(v1::StoppedCharter {
            charter: name.to_string(),
            owners: Some(owners),
        })
    });
    found.collect()
}

/// The identities of a name, as many as are told one by one.
pub(crate) fn identities(radius: &BlastRadius) -> Vec<String> {
    let identities = radius.identities.iter().take(IDENTITIES_TOLD);
    identities.map(Identity::to_string).collect()
}

fn tally(tally: &Tally) -> v1::TargetReport {
    let at = |spread: &Spread, percent| spread.percentile(percent).and_then(duration);
    v1::TargetReport {
        requested: tally.requested,
        acknowledged: tally.acknowledged,
        presumed_dead: tally.presumed,
        proved_dead: tally.proved,
        expired: tally.expired,
        collateral: tally.collateral,
        taken_p50: at(&tally.taken_in, 50),
        taken_p99: at(&tally.taken_in, 99),
        dead_p50: at(&tally.dead_in, 50),
        dead_p99: at(&tally.dead_in, 99),
        ..v1::TargetReport::default()
    }
}

fn line(line: &KillLine) -> v1::KillLine {
    v1::KillLine {
        lease_id: line.lease.to_string(),
        target: line.entry.target.to_string(),
        state: leases::state(line.progress).into(),
        collateral: line.collateral,
        // A time that never comes is none: its line says what it waits for.
        worst_expire_time: time(line.worst_expiry)
            .filter(|_| !line.progress.is_confirmed() && line.worst_expiry != Timestamp::NEVER),
        why: line.why.clone().unwrap_or_default(),
        task_id: line.task.id.to_string(),
        charter: line.task.charter.to_string(),
        agent: line.task.agent.to_string(),
        grant: line.entry.grant.to_string(),
        role: line.entry.role.to_string(),
        take_time: line.taken.and_then(time),
        dead_time: line.progress.dead_at().and_then(time),
    }
}
