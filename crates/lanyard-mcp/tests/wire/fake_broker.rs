//! The answers of the broker behind the local agent.

use std::pin::Pin;

use lanyard_proto::v1::approval_service_server::ApprovalService;
use lanyard_proto::v1::charter_service_server::CharterService;
use lanyard_proto::v1::plan_service_server::PlanService;
use lanyard_proto::v1::task_service_server::TaskService;
use lanyard_proto::v1::{self, submit_plan_request};
use lanyard_vocabulary::id::{ApprovalId, DecisionId, KillId, PlanId, TaskId};
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::fake::{Fake, Mood, TOKEN, refusal};

#[tonic::async_trait]
impl TaskService for Fake {
    async fn open_task(
        &self,
        request: Request<v1::OpenTaskRequest>,
    ) -> Result<Response<v1::OpenTaskResponse>, Status> {
        let request = request.into_inner();
        if request.charter != "ticket-router" {
            let line = self.said("denied by charter nothing (agents): no such charter names you");
            return Err(refusal(
                Code::PermissionDenied,
                &line,
                "CHARTER_DENIED",
                &[],
            ));
        }
        let mut kept = self.kept();
        let id = TaskId::from_bits(kept.next());
        let task = v1::Task {
            id: id.to_string(),
            charter: request.charter,
            environment: request.environment,
            reason: request.reason,
            ticket: request.ticket,
            ..v1::Task::default()
        };
        kept.tasks.insert(id, task.clone());
        Ok(Response::new(v1::OpenTaskResponse { task: Some(task) }))
    }

    async fn list_tasks(
        &self,
        _: Request<v1::ListTasksRequest>,
    ) -> Result<Response<v1::ListTasksResponse>, Status> {
        Err(Status::unimplemented("no tool reads it"))
    }

    async fn get_task(
        &self,
        request: Request<v1::GetTaskRequest>,
    ) -> Result<Response<v1::GetTaskResponse>, Status> {
        let task = self.task(&request.into_inner().id)?;
        Ok(Response::new(v1::GetTaskResponse { task: Some(task) }))
    }

    async fn get_task_timeline(
        &self,
        request: Request<v1::GetTaskTimelineRequest>,
    ) -> Result<Response<v1::GetTaskTimelineResponse>, Status> {
        let task = self.task(&request.into_inner().id)?;
        let decision = DecisionId::from_bits(99);
        let text = format!("denied drop-tickets: it has no such grant [{decision}]");
        let event = v1::TaskEvent {
            kind: "denied".to_owned(),
            text: self.said(&text),
            ..v1::TaskEvent::default()
        };
        Ok(Response::new(v1::GetTaskTimelineResponse {
            task: Some(task),
            events: vec![event],
            truncated: false,
        }))
    }

    type WatchTaskStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchTaskResponse, Status>> + Send>>;

    async fn watch_task(
        &self,
        request: Request<v1::WatchTaskRequest>,
    ) -> Result<Response<Self::WatchTaskStream>, Status> {
        let mut task = self.task(&request.into_inner().id)?;
        let id: TaskId = task.id.parse().unwrap();
        task.charter = self.said(&task.charter);
        let kept = self.kept();
        let live = kept.leases.iter().filter(|(_, of)| **of == id);
        let mut live_lease_ids: Vec<String> = live.map(|(lease, _)| lease.to_string()).collect();
        if kept.mood == Mood::Leaking {
            live_lease_ids.push(TOKEN.to_owned());
        }
        let order = |id: KillId| v1::KillOrder {
            id: id.to_string(),
            reason: "drill".to_owned(),
            lifted: "nothing".to_owned(),
            ..v1::KillOrder::default()
        };
        let state = v1::WatchTaskResponse {
            task: Some(task),
            live_lease_ids,
            orders: kept.killed.map(order).into_iter().collect(),
            next_within: None,
            next_record: 0,
        };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(state)))))
    }

    async fn close_task(
        &self,
        request: Request<v1::CloseTaskRequest>,
    ) -> Result<Response<v1::CloseTaskResponse>, Status> {
        let task = self.task(&request.into_inner().id)?;
        let id: TaskId = task.id.parse().unwrap();
        let mut kept = self.kept();
        kept.leases.retain(|_, of| *of != id);
        kept.tasks.entry(id).and_modify(|task| task.closed = true);
        Ok(Response::new(v1::CloseTaskResponse {}))
    }
}

#[tonic::async_trait]
impl PlanService for Fake {
    async fn submit_plan(
        &self,
        request: Request<Streaming<v1::SubmitPlanRequest>>,
    ) -> Result<Response<v1::SubmitPlanResponse>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|first| first.part);
        let Some(submit_plan_request::Part::Header(header)) = first else {
            return Err(Status::invalid_argument("no header"));
        };
        let mut content = Vec::new();
        while let Some(part) = parts.message().await? {
            let Some(submit_plan_request::Part::Chunk(chunk)) = part.part else {
                return Err(Status::invalid_argument("no chunk"));
            };
            assert!(chunk.len() <= lanyard_proto::MAX_CHUNK_BYTES);
            content.extend(chunk);
        }
        self.stopped(&self.task(&header.task_id)?)?;
        let mut kept = self.kept();
        let id = PlanId::from_bits(kept.next());
        let approval = ApprovalId::from_bits(kept.next());
        let plan = v1::Plan {
            id: id.to_string(),
            task_id: header.task_id,
            grant: header.grant,
            format: header.format,
            summary: header.summary,
            destructive: header.destructive,
            approval_id: approval.to_string(),
            risk: v1::Risk::High.into(),
            reasons: vec!["its form says nothing about what it does".to_owned()],
            ..v1::Plan::default()
        };
        kept.plans.insert(id, (plan.clone(), content));
        drop(kept);
        let plan = v1::Plan {
            warnings: vec![self.said("nobody knows this agent")],
            ..plan
        };
        Ok(Response::new(v1::SubmitPlanResponse { plan: Some(plan) }))
    }

    async fn get_plan(
        &self,
        request: Request<v1::GetPlanRequest>,
    ) -> Result<Response<v1::GetPlanResponse>, Status> {
        let id = request.into_inner().id.parse().unwrap();
        let plan = self.kept().plans.get(&id).map(|(plan, _)| plan.clone());
        let none = refusal(Code::NotFound, "unknown plan", "NOT_FOUND", &[]);
        Ok(Response::new(v1::GetPlanResponse {
            plan: Some(plan.ok_or(none)?),
            content: self.said("the content"),
        }))
    }

    async fn list_plans(
        &self,
        _: Request<v1::ListPlansRequest>,
    ) -> Result<Response<v1::ListPlansResponse>, Status> {
        Err(Status::unimplemented("no tool lists them"))
    }

    type ReadPlanStream = Pin<Box<dyn Stream<Item = Result<v1::ReadPlanResponse, Status>> + Send>>;

    async fn read_plan(
        &self,
        _: Request<v1::ReadPlanRequest>,
    ) -> Result<Response<Self::ReadPlanStream>, Status> {
        Err(Status::unimplemented("no tool reads it"))
    }
}

#[tonic::async_trait]
impl ApprovalService for Fake {
    async fn get_approval(
        &self,
        request: Request<v1::GetApprovalRequest>,
    ) -> Result<Response<v1::GetApprovalResponse>, Status> {
        let approved = self.kept().approved;
        let denied = (approved == Some(false)).then(|| self.said("not today"));
        Ok(Response::new(v1::GetApprovalResponse {
            approval: Some(v1::Approval {
                id: request.into_inner().id,
                people_needed: 2,
                complete: approved == Some(true),
                denied: denied.unwrap_or_default(),
                ..v1::Approval::default()
            }),
        }))
    }

    async fn list_approvals(
        &self,
        _: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        Err(Status::unimplemented("not for agents"))
    }

    async fn approve(
        &self,
        _: Request<v1::ApproveRequest>,
    ) -> Result<Response<v1::ApproveResponse>, Status> {
        Err(Status::unimplemented("not for agents"))
    }

    async fn deny(
        &self,
        _: Request<v1::DenyRequest>,
    ) -> Result<Response<v1::DenyResponse>, Status> {
        Err(Status::unimplemented("not for agents"))
    }

    async fn withdraw(
        &self,
        _: Request<v1::WithdrawRequest>,
    ) -> Result<Response<v1::WithdrawResponse>, Status> {
        Err(Status::unimplemented("not for agents"))
    }

    type WatchApprovalsStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchApprovalsResponse, Status>> + Send>>;

    async fn watch_approvals(
        &self,
        _: Request<v1::WatchApprovalsRequest>,
    ) -> Result<Response<Self::WatchApprovalsStream>, Status> {
        Err(Status::unimplemented("not for agents"))
    }
}

#[tonic::async_trait]
impl CharterService for Fake {
    async fn list_charters(
        &self,
        _: Request<v1::ListChartersRequest>,
    ) -> Result<Response<v1::ListChartersResponse>, Status> {
        let grant = |name: &str, role: &str, kind: &str| v1::Grant {
            name: name.to_owned(),
            role: role.to_owned(),
            target: self.said("tickets"),
            kind: kind.to_owned(),
            environments: vec!["production".to_owned()],
        };
        let charter = v1::Charter {
            name: "ticket-router".to_owned(),
            purpose: self.said("Read incoming tickets."),
            environments: vec!["production".to_owned()],
            grant_details: vec![
                grant("read-tickets", "plan", "token"),
                grant("move-tickets", "apply", "token"),
            ],
            ..v1::Charter::default()
        };
        Ok(Response::new(v1::ListChartersResponse {
            charters: vec![charter],
            problems: Vec::new(),
        }))
    }

    async fn get_charter(
        &self,
        _: Request<v1::GetCharterRequest>,
    ) -> Result<Response<v1::GetCharterResponse>, Status> {
        Err(Status::unimplemented("no tool reads it"))
    }

    async fn inspect_charter(
        &self,
        _: Request<v1::InspectCharterRequest>,
    ) -> Result<Response<v1::InspectCharterResponse>, Status> {
        Err(Status::unimplemented("not for agents"))
    }

    async fn declare_emergency(
        &self,
        _: Request<v1::DeclareEmergencyRequest>,
    ) -> Result<Response<v1::DeclareEmergencyResponse>, Status> {
        Err(Status::unimplemented("not for agents"))
    }

    async fn end_emergency(
        &self,
        _: Request<v1::EndEmergencyRequest>,
    ) -> Result<Response<v1::EndEmergencyResponse>, Status> {
        Err(Status::unimplemented("not for agents"))
    }

    async fn list_emergencies(
        &self,
        _: Request<v1::ListEmergenciesRequest>,
    ) -> Result<Response<v1::ListEmergenciesResponse>, Status> {
        Err(Status::unimplemented("not for agents"))
    }
}
