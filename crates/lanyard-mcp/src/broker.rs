//! The broker's RPCs, as the tools need them. Answers are parsed here, and secrets are dropped here
//! (T53).

use std::time::Duration;

use lanyard_proto::MAX_CHUNK_BYTES;
use lanyard_proto::agent::v1 as agent;
use lanyard_proto::agent::v1::agent_service_client::AgentServiceClient;
use lanyard_proto::v1::approval_service_client::ApprovalServiceClient;
use lanyard_proto::v1::charter_service_client::CharterServiceClient;
use lanyard_proto::v1::plan_service_client::PlanServiceClient;
use lanyard_proto::v1::submit_plan_request::Part;
use lanyard_proto::v1::task_service_client::TaskServiceClient;
use lanyard_proto::v1::{self, credential};
use lanyard_vocabulary::id::{ApprovalId, LeaseId, PlanId, TaskId};
use tonic::Request;
use tonic::transport::Channel;

use crate::connector::AgentConnector;
use crate::credential::{Kind, Wanted};
use crate::refused::{Reason, Refused};

/// Deadline of a call.
///
/// # No limit
/// The deadline is sent with the call, and the broker has bounds of its own; without a broker the
/// local agent answers at once.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Deadline of a call in which the broker asks a provider.
///
/// # No limit
/// The broker bounds its calls to providers itself. This deadline only ends a call whose broker is
/// gone.
const MINT_DEADLINE: Duration = Duration::from_secs(90);

/// The broker, reached through the local agent.
pub(crate) struct Broker {
    connector: Box<dyn AgentConnector>,
}

/// A credential that the local agent now holds. The secret stayed with the local agent.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) lease: LeaseId,
    pub(crate) kind: Kind,
    pub(crate) expires: Option<prost_types::Timestamp>,
}

impl Broker {
    pub(crate) fn new(connector: impl AgentConnector) -> Self {
        Self {
            connector: Box::new(connector),
        }
    }

    pub(crate) async fn list_charters(&self) -> Result<Vec<v1::Charter>, Refused> {
        let (channel, request) = self.call(v1::ListChartersRequest {}, CALL_DEADLINE).await?;
        let mut client = CharterServiceClient::new(channel);
        Ok(client.list_charters(request).await?.into_inner().charters)
    }

    pub(crate) async fn open_task(&self, ask: v1::OpenTaskRequest) -> Result<TaskId, Refused> {
        let (channel, request) = self.call(ask, CALL_DEADLINE).await?;
        let mut client = TaskServiceClient::new(channel);
        let task = client.open_task(request).await?.into_inner().task;
        let id = task.and_then(|task| task.id.parse().ok());
        id.ok_or_else(|| Refused::unreadable("task"))
    }

    pub(crate) async fn close_task(&self, task: TaskId) -> Result<(), Refused> {
        let ask = v1::CloseTaskRequest {
            id: task.to_string(),
        };
        let (channel, request) = self.call(ask, CALL_DEADLINE).await?;
        let mut client = TaskServiceClient::new(channel);
        client.close_task(request).await?;
        Ok(())
    }

    /// Returns the current state of a task: the first message of its watch.
    pub(crate) async fn task(&self, task: TaskId) -> Result<v1::WatchTaskResponse, Refused> {
        let ask = v1::WatchTaskRequest {
            id: task.to_string(),
        };
        let (channel, request) = self.call(ask, CALL_DEADLINE).await?;
        let mut client = TaskServiceClient::new(channel);
        let mut watch = client.watch_task(request).await?.into_inner();
        let first = watch.message().await?;
        first.ok_or_else(|| Refused::unreadable("state of the task"))
    }

    pub(crate) async fn timeline(&self, task: TaskId) -> Result<Vec<v1::TaskEvent>, Refused> {
        let ask = v1::GetTaskTimelineRequest {
            id: task.to_string(),
        };
        let (channel, request) = self.call(ask, CALL_DEADLINE).await?;
        let mut client = TaskServiceClient::new(channel);
        let answer = client.get_task_timeline(request).await?;
        Ok(answer.into_inner().events)
    }

    /// Makes the local agent obtain the credential.
    pub(crate) async fn credential(&self, wanted: &Wanted) -> Result<Issued, Refused> {
        let plan = wanted.plan.map(|plan| plan.to_string());
        let ask = agent::GetCredentialRequest {
            task_id: wanted.task.to_string(),
            grant: wanted.grant.to_string(),
            plan_id: plan.unwrap_or_default(),
            open: None,
        };
        let (channel, request) = self.call(ask, MINT_DEADLINE).await?;
        let mut client = AgentServiceClient::new(channel);
        let answer = client.get_credential(request).await?.into_inner();
        let kind = match answer.credential.and_then(|credential| credential.kind) {
            Some(credential::Kind::Token(_)) => Kind::Token,
            Some(credential::Kind::Aws(_)) => Kind::Aws,
            Some(credential::Kind::Kubernetes(_)) => Kind::Kubernetes,
            Some(credential::Kind::Vault(_)) => Kind::Vault,
            Some(credential::Kind::VaultSecret(_)) => Kind::VaultSecret,
            Some(credential::Kind::Github(_)) => Kind::Github,
            Some(credential::Kind::Other(_)) => Kind::Other,
            None => return Err(Refused::unreadable("credential of a known kind")),
        };
        let lease = answer.lease_id.parse();
        Ok(Issued {
            lease: lease.map_err(|_| Refused::unreadable("lease"))?,
            kind,
            expires: answer.expire_time,
        })
    }

    /// Releases the credentials of a task and returns the ids of their leases.
    pub(crate) async fn release(&self, task: TaskId) -> Result<Vec<LeaseId>, Refused> {
        let ask = agent::ReleaseCredentialsRequest {
            task_id: task.to_string(),
        };
        let (channel, request) = self.call(ask, CALL_DEADLINE).await?;
        let mut client = AgentServiceClient::new(channel);
        let answer = client.release_credentials(request).await?.into_inner();
        Ok(leases(&answer.lease_ids))
    }

    pub(crate) async fn submit_plan(
        &self,
        header: v1::PlanHeader,
        content: Vec<u8>,
    ) -> Result<v1::Plan, Refused> {
        let mut parts = vec![v1::SubmitPlanRequest {
            part: Some(Part::Header(header)),
        }];
        parts.extend(
            content
                .chunks(MAX_CHUNK_BYTES)
                .map(|chunk| v1::SubmitPlanRequest {
                    part: Some(Part::Chunk(chunk.to_vec())),
                }),
        );
        let (channel, request) = self.call(tokio_stream::iter(parts), MINT_DEADLINE).await?;
        let mut client = PlanServiceClient::new(channel);
        let plan = client.submit_plan(request).await?.into_inner().plan;
        plan.ok_or_else(|| Refused::unreadable("plan"))
    }

    pub(crate) async fn plan(&self, plan: PlanId) -> Result<v1::Plan, Refused> {
        let ask = v1::GetPlanRequest {
            id: plan.to_string(),
        };
        let (channel, request) = self.call(ask, CALL_DEADLINE).await?;
        let mut client = PlanServiceClient::new(channel);
        let plan = client.get_plan(request).await?.into_inner().plan;
        plan.ok_or_else(|| Refused::unreadable("plan"))
    }

    pub(crate) async fn approval(&self, approval: ApprovalId) -> Result<v1::Approval, Refused> {
        let ask = v1::GetApprovalRequest {
            id: approval.to_string(),
        };
        let (channel, request) = self.call(ask, CALL_DEADLINE).await?;
        let mut client = ApprovalServiceClient::new(channel);
        let approval = client.get_approval(request).await?.into_inner().approval;
        approval.ok_or_else(|| Refused::unreadable("approval"))
    }

    /// Connects to the local agent and prepares a call with a deadline.
    async fn call<T>(&self, message: T, limit: Duration) -> Result<(Channel, Request<T>), Refused> {
        // Connecting may start the local agent, so it needs a deadline of its own.
        let opened = tokio::time::timeout(CALL_DEADLINE, self.connector.connect()).await;
        let late = "the local agent cannot be reached: it does not answer";
        let connection = opened.map_err(|_| Refused::here(Reason::Unavailable, late))??;
        let mut request = Request::new(message);
        request.set_timeout(limit);
        if let Some(context) = connection.context {
            request.metadata_mut().insert("lanyard-context", context);
        }
        Ok((connection.channel, request))
    }
}

/// Parses lease ids and drops everything else, so that no other text reaches the model.
pub(crate) fn leases(ids: &[String]) -> Vec<LeaseId> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}
