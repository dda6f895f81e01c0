//! ApprovalService.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::plan::Risk;
use lanyard_core::approval::{Approval, ConsentError, Seen};
use lanyard_core::ledger::CommitError;
use lanyard_core::state::State;
use lanyard_engine::Engine;
use lanyard_engine::charters::Charters;
use lanyard_identity::Verified;
use lanyard_proto::v1;
use lanyard_proto::v1::approval_service_server::ApprovalService;
use lanyard_vocabulary::id::ApprovalId;
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::time::Timestamp;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::decision::owners;
use super::plan::{Reader, unreadable};
use super::{Next, Services, duration, next, plan, time};
use crate::fields::{parsed, text};
use crate::refusal;
use crate::refused::Refused;

/// The time for which a watcher is kept who does not read (T45).
const UNREAD_TIME: Duration = Duration::from_secs(30);
/// The least time between two looks at the state.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(50);
/// The interval at which what waits is looked at when nothing was recorded: a task may have ended
/// by itself.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// Approvals are read by those who give them and by those who look after the broker.
const READERS: &[OperatorRole] = &[OperatorRole::Approver, OperatorRole::Viewer];

#[tonic::async_trait]
impl ApprovalService for Services {
    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        self.operator_with(&request, READERS).await?;
        let (now, waiting_only) = (self.0.engine.clock().now(), request.get_ref().waiting_only);
        let shown =
            |state: &State, approval: &Approval| !waiting_only || state.is_waiting(approval, now);
        let listed = listed(&self.0.engine, now, shown);
        let approvals = listed.await.map_err(refusal::commit)?;
        Ok(Response::new(v1::ListApprovalsResponse { approvals }))
    }

    async fn get_approval(
        &self,
        request: Request<v1::GetApprovalRequest>,
    ) -> Result<Response<v1::GetApprovalResponse>, Status> {
        let caller = self.agent_or_operator(&request, READERS).await?;
        let id = parsed("id", &request.into_inner().id)?;
        let now = self.0.engine.clock().now();
        let charters = self.0.engine.charters();
        let found = self.0.engine.context().query(|state| {
            let approval = state.approval(id)?;
            let may = match &caller {
                Verified::Agent(caller) => {
                    let task = state.task(approval.task)?;
                    task.task.identity == caller.identity
                }
                Verified::Operator(..) => true,
            };
            let reader = match &caller {
                Verified::Agent(..) => Reader::Agent,
                Verified::Operator(..) => Reader::Operator,
            };
            may.then(|| message((state, charters), approval, (reader, now)))
        });
        let mut found = found.await.map_err(refusal::commit)?;
        if let (Verified::Agent(..), Some(approval)) = (&caller, &mut found) {
            without_people(approval);
        }
        Ok(Response::new(v1::GetApprovalResponse {
            approval: Some(found.ok_or_else(|| refusal::not_found("approval"))?),
        }))
    }

    async fn approve(
        &self,
        request: Request<v1::ApproveRequest>,
    ) -> Result<Response<v1::ApproveResponse>, Status> {
        let (operator, login) = self.person(&request, OperatorRole::Approver).await?;
        let request = request.into_inner();
        let id = parsed("id", &request.id)?;
        let about = self.0.engine.context().query(|state| {
            let plan = state.plan(state.approval(id)?.plan)?;
            Some((plan.risk(), plan.digest))
        });
        if let Some((risk, digest)) = about.await.map_err(refusal::commit)? {
            let needed = &self.0.doors.fresh.high_risk;
            let is_fresh = needed.is_met_by(&login, self.0.engine.clock().system());
            if risk == Risk::High && !is_fresh {
                return Err(refusal::reauthenticate(needed).into());
            }
            // Nobody has seen a plan whose bytes are gone.
            let read = self.0.plans.read(digest).await;
            read.map_err(|_| unreadable())?;
        }
        let seen = Seen {
            digest: parsed("plan_digest", &request.plan_digest)?,
            sensitive: request.acknowledged_sensitive,
        };
        let comment = text("comment", request.comment)?;
        self.0
            .engine
            .approvals()
            .approve(id, seen, operator, comment)
            .await
            .map_err(refusal::commit)?;
        Ok(Response::new(v1::ApproveResponse {
            approval: Some(self.approval(id).await?),
        }))
    }

    async fn deny(
        &self,
        request: Request<v1::DenyRequest>,
    ) -> Result<Response<v1::DenyResponse>, Status> {
        let operator = self.operator(&request, OperatorRole::Approver).await?;
        let request = request.into_inner();
        let id = parsed("id", &request.id)?;
        let reason = text("reason", request.reason)?;
        self.0
            .engine
            .approvals()
            .reject(id, operator, reason)
            .await
            .map_err(refusal::commit)?;
        Ok(Response::new(v1::DenyResponse {
            approval: Some(self.approval(id).await?),
        }))
    }

    async fn withdraw(
        &self,
        request: Request<v1::WithdrawRequest>,
    ) -> Result<Response<v1::WithdrawResponse>, Status> {
        let caller = self.agent_or_operator(&request, READERS).await?;
        let request = request.into_inner();
        let id: ApprovalId = parsed("id", &request.id)?;
        let reason = text("reason", request.reason)?;
        let engine = &self.0.engine;
        let (by, is_agent) = match caller {
            Verified::Operator(operator, _) => (operator.identity, false),
            Verified::Agent(caller) => {
                let own = engine.context().query(|state| {
                    let task = state.approval(id).and_then(|it| state.task(it.task));
                    task.is_some_and(|entry| entry.task.identity == caller.identity)
                });
                if !own.await.map_err(refusal::commit)? {
                    return Err(refusal::not_found("approval").into());
                }
                (caller.identity, true)
            }
        };
        let withdrawn = if is_agent {
            let withdrawn = engine.approvals().take_back(id, by, reason).await;
            withdrawn.map_err(|error| refusal::too_many_records(&error, engine.clock().now()))?
        } else {
            engine.approvals().withdraw(id, by, reason).await
        };
        withdrawn.map_err(refusal::commit)?;
        let mut approval = self.approval(id).await?;
        if is_agent {
            without_people(&mut approval);
        }
        Ok(Response::new(v1::WithdrawResponse {
            approval: Some(approval),
        }))
    }

    type WatchApprovalsStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchApprovalsResponse, Status>> + Send>>;

    async fn watch_approvals(
        &self,
        request: Request<v1::WatchApprovalsRequest>,
    ) -> Result<Response<Self::WatchApprovalsStream>, Status> {
        let reader = self.operator_with(&request, READERS).await?;
        let place = self.0.watches.of_person(&reader.identity)?;
        let engine = Arc::clone(&self.0.engine);
        // Each message is all there is to say: one that is not taken yet is enough.
        let (events, stream) = tokio::sync::mpsc::channel(1);
        // The task ends with its reader: a send fails once nobody listens, or nobody reads (T45).
        tokio::spawn(async move {
            let _place = place;
            let mut changes = engine.context().changes();
            let mut shown = None;
            loop {
                changes.mark_unchanged();
                let now = engine.clock().now();
                let waits = |state: &State, approval: &Approval| state.is_waiting(approval, now);
                let found = listed(&engine, now, waits).await;
                let event = found.map_err(|error| Status::from(refusal::commit(error)));
                let failed = event.is_err();
                let new = shown.as_ref() != event.as_ref().ok();
                if new {
                    shown = event.as_ref().ok().cloned();
                    let event = event.map(|approvals| v1::WatchApprovalsResponse { approvals });
                    if events.send_timeout(event, UNREAD_TIME).await.is_err() || failed {
                        return;
                    }
                }
                tokio::time::sleep(MIN_READ_INTERVAL).await;
                if matches!(next(&mut changes, &events, IDLE_INTERVAL).await, Next::End) {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

impl Services {
    async fn approval(&self, id: ApprovalId) -> Result<v1::Approval, Refused> {
        let (now, charters) = (self.0.engine.clock().now(), self.0.engine.charters());
        let found = self
            .0
            .engine
            .context()
            .query(|state| {
                let approval = state.approval(id)?;
                Some(message(
                    (state, charters),
                    approval,
                    (Reader::Operator, now),
                ))
            })
            .await;
        found
            .map_err(refusal::commit)?
            .ok_or_else(|| refusal::not_found("approval"))
    }
}

/// Leaves the number of approvers, and takes their names out: agents have no business with people.
fn without_people(approval: &mut v1::Approval) {
    approval.given.clear();
    approval.consents.iter_mut().for_each(String::clear);
}

/// Returns those of all approvals that are `shown`, oldest first.
async fn listed(
    engine: &Engine,
    now: Timestamp,
    shown: impl Fn(&State, &Approval) -> bool + Send,
) -> Result<Vec<v1::Approval>, CommitError> {
    let mut found = Vec::new();
    engine.context().pass_approvals(|state, approval| {
        if shown(state, approval) {
            let told = message(
                (state, engine.charters()),
                approval,
                (Reader::Operator, now),
            );
            found.push((approval.requested, approval.id, told));
        }
    });
    engine.context().settle().await?;
    found.sort_by_key(|(requested, id, _)| (*requested, *id));
    Ok(found.into_iter().map(|(_, _, told)| told).collect())
}

fn message(
    (state, charters): (&State, &Charters),
    approval: &Approval,
    (reader, now): (Reader, Timestamp),
) -> v1::Approval {
    let needed = &approval.requirement;
    let mut told = v1::Approval {
        id: approval.id.to_string(),
        plan_id: approval.plan.to_string(),
        plan_digest: approval.digest.to_string(),
        task_id: approval.task.to_string(),
        people_needed: needed.people,
        denied: approval
            .denied
            .as_ref()
            .map(|(_, reason, _)| reason.clone())
            .unwrap_or_default(),
        request_time: time(approval.requested),
        complete: approval.is_complete(),
        void: match &approval.taken_back {
            Some((reason, _)) => ConsentError::TakenBack(reason.clone()).to_string(),
            None if approval.waits() => {
                let why = state.void(approval, now);
                why.map(|why| why.to_string()).unwrap_or_default()
            }
            None => String::new(),
        },
        groups: needed.from.iter().cloned().collect(),
        also_groups: needed.also.iter().cloned().collect(),
        usable_for: duration(needed.expires.as_duration()),
        ..v1::Approval::default()
    };
    for consent in &approval.consents {
        let person = consent.operator.identity.to_string();
        told.consents.push(person.clone());
        told.given.push(v1::Consent {
            person,
            comment: consent.comment.clone(),
            time: time(consent.at),
        });
    }
    if let Some(task) = state.task(approval.task).map(|entry| &entry.task) {
        told.charter = task.charter.to_string();
        let charter = charters.in_force(&task.charter);
        if let Some(charter) = charter {
            told.technical_owner.clone_from(&charter.owners.technical);
            told.owners = Some(owners(&charter.owners));
        }
        told.environment = task.environment.to_string();
        told.agent = task.agent.to_string();
        told.reason.clone_from(&task.reason);
        told.ticket = task.ticket.clone().unwrap_or_default();
        told.expire_time = time(task.expires);
    }
    let plan = state.plan(approval.plan);
    if let Some(plan) = plan.map(|plan| plan::message(plan, reader)) {
        told.grant = plan.grant;
        told.summary = plan.summary;
        told.risk = plan.risk;
        told.reasons = plan.reasons;
        told.effects = plan.effects;
        told.sensitive_count = plan.sensitive_count;
    }
    told
}
