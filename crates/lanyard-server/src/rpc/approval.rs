//! ApprovalService.

use lanyard_core::approval::Approval;
use lanyard_core::id::ApprovalId;
use lanyard_core::identity::{Operator, OperatorRole};
use lanyard_identity::Verified;
use lanyard_proto::v1;
use lanyard_proto::v1::approval_service_server::ApprovalService;
use tonic::{Request, Response, Status};

use super::{Services, parsed, text, time};
use crate::refusal;

#[tonic::async_trait]
impl ApprovalService for Services {
    async fn list_approvals(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        self.reader(&request)?;
        let listed = self.0.engine.query(|state| {
            let mut approvals: Vec<_> = state.approvals().collect();
            approvals.sort_by_key(|approval| approval.requested);
            approvals.into_iter().map(message).collect()
        });
        let approvals = listed.await.map_err(refusal::commit)?;
        Ok(Response::new(v1::ListApprovalsResponse { approvals }))
    }

    async fn get_approval(
        &self,
        request: Request<v1::GetApprovalRequest>,
    ) -> Result<Response<v1::GetApprovalResponse>, Status> {
        self.reader(&request)?;
        let id = parsed("id", &request.into_inner().id)?;
        Ok(Response::new(v1::GetApprovalResponse {
            approval: Some(self.approval(id).await?),
        }))
    }

    async fn approve(
        &self,
        request: Request<v1::ApproveRequest>,
    ) -> Result<Response<v1::ApproveResponse>, Status> {
        let operator = self.operator(&request, OperatorRole::Approver)?;
        let request = request.into_inner();
        let id = parsed("id", &request.id)?;
        let digest = parsed("plan_digest", &request.plan_digest)?;
        let comment = text("comment", request.comment)?;
        self.0
            .engine
            .approve(id, digest, operator, comment)
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
        let operator = self.operator(&request, OperatorRole::Approver)?;
        let request = request.into_inner();
        let id = parsed("id", &request.id)?;
        let reason = text("reason", request.reason)?;
        self.0
            .engine
            .reject(id, operator, reason)
            .await
            .map_err(refusal::commit)?;
        Ok(Response::new(v1::DenyResponse {
            approval: Some(self.approval(id).await?),
        }))
    }
}

impl Services {
    /// Approvals are read by those who give them and by those who look after the broker.
    fn reader<T>(&self, request: &Request<T>) -> Result<Operator, Status> {
        match self.caller(request)? {
            Verified::Operator(operator)
                if operator.is(OperatorRole::Approver) || operator.is(OperatorRole::Viewer) =>
            {
                Ok(operator)
            }
            Verified::Operator(_) | Verified::Agent(..) => Err(refusal::forbidden()),
        }
    }

    async fn approval(&self, id: ApprovalId) -> Result<v1::Approval, Status> {
        let found = self
            .0
            .engine
            .query(|state| state.approval(id).map(message))
            .await;
        found
            .map_err(refusal::commit)?
            .ok_or_else(|| refusal::not_found("approval"))
    }
}

fn message(approval: &Approval) -> v1::Approval {
    v1::Approval {
        id: approval.id.to_string(),
        plan_id: approval.plan.to_string(),
        plan_digest: approval.digest.to_string(),
        task_id: approval.task.to_string(),
        people_needed: approval.requirement.people,
        consents: approval
            .consents
            .iter()
            .map(|consent| consent.operator.identity.to_string())
            .collect(),
        denied: approval
            .denied
            .as_ref()
            .map(|(_, reason, _)| reason.clone())
            .unwrap_or_default(),
        request_time: time(approval.requested),
        complete: approval.is_complete(),
    }
}
