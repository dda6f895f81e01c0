//! The gRPC service of the local agent.

use std::path::PathBuf;
use std::sync::Arc;

use lanyard_client::{Held, Stop, Task};
use lanyard_proto::agent::v1;
use lanyard_proto::agent::v1::agent_service_server::AgentService;
use tonic::{Request, Response, Status};

use crate::clock::after;
use crate::names;
use crate::shared::Shared;
use crate::tasks::Tasks;

/// The implementation of `lanyard.agent.v1.AgentService`.
#[derive(Clone)]
pub(crate) struct Agent(pub(crate) Arc<Shared>);

impl Agent {
    async fn task<T>(&self, request: &Request<T>, id: &str) -> Result<(PathBuf, Task), Status> {
        if !names::is_task(id) {
            return Err(Status::invalid_argument(
                "task_id: expected T- and 26 letters and digits",
            ));
        }
        let context = context(request)?;
        let task = self.0.tasks.task(&context, id).await;
        Ok((context, task.map_err(|error| error.status())?))
    }

    async fn standing<T>(
        &self,
        request: &Request<T>,
        open: lanyard_client::v1::OpenTaskRequest,
    ) -> Result<Task, Status> {
        let task = self.0.tasks.standing(&context(request)?, open).await;
        task.map_err(|error| error.status())
    }
}

/// Returns the context of a call.
fn context<T>(request: &Request<T>) -> Result<PathBuf, Status> {
    Tasks::context(request.metadata().as_ref()).map_err(|error| error.status())
}

#[tonic::async_trait]
impl AgentService for Agent {
    async fn get_status(
        &self,
        _request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let tasks = self.0.tasks.all();
        Ok(Response::new(v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            start_time: Some(self.0.started.into()),
            tasks: tasks
                .iter()
                .map(|(context, task)| kept(context.display().to_string(), task))
                .collect(),
        }))
    }

    async fn get_credential(
        &self,
        request: Request<v1::GetCredentialRequest>,
    ) -> Result<Response<v1::GetCredentialResponse>, Status> {
        let task = match &request.get_ref().open {
            Some(open) => self.standing(&request, open.clone()).await?,
            None => self.task(&request, &request.get_ref().task_id).await?.1,
        };
        let asked = request.into_inner();
        if !names::is_name(&asked.grant) {
            return Err(Status::invalid_argument(
                "grant: expected the name of a grant",
            ));
        }
        if !(asked.plan_id.is_empty() || names::is_plan(&asked.plan_id)) {
            return Err(Status::invalid_argument(
                "plan_id: expected P- and 26 letters and digits",
            ));
        }
        let plan = Some(asked.plan_id.as_str()).filter(|id| !id.is_empty());
        let held = task.credential(&asked.grant, plan).await;
        let held = held.map_err(|error| error.status())?;
        Ok(Response::new(v1::GetCredentialResponse {
            lease_id: held.lease_id.clone(),
            expire_time: Some(after(held.lifetime())),
            refresh_time: Some(after(held.renewal())),
            credential: Some(held.credential.clone()),
            task_id: task.id().to_owned(),
        }))
    }

    async fn release_credentials(
        &self,
        request: Request<v1::ReleaseCredentialsRequest>,
    ) -> Result<Response<v1::ReleaseCredentialsResponse>, Status> {
        let (_, task) = self.task(&request, &request.get_ref().task_id).await?;
        let released = task.release().await;
        Ok(Response::new(v1::ReleaseCredentialsResponse {
            lease_ids: released.map_err(|error| error.status())?,
        }))
    }

    async fn open_endpoint(
        &self,
        request: Request<v1::OpenEndpointRequest>,
    ) -> Result<Response<v1::OpenEndpointResponse>, Status> {
        let (context, task) = self.task(&request, &request.get_ref().task_id).await?;
        let opened = self.0.endpoint.open(context, task.id(), |(context, id)| {
            self.0
                .tasks
                .known(context, id)
                .is_some_and(|task| !task.is_over())
        });
        let token_file = opened.map_err(|error| {
            Status::internal(format!("cannot store the endpoint's token: {error}"))
        })?;
        Ok(Response::new(v1::OpenEndpointResponse {
            url: self.0.endpoint.url(),
            token_file: token_file.display().to_string(),
        }))
    }

    async fn stop(
        &self,
        _request: Request<v1::StopRequest>,
    ) -> Result<Response<v1::StopResponse>, Status> {
        self.0.stop.notify_one();
        Ok(Response::new(v1::StopResponse {}))
    }
}

fn kept(context: String, task: &Task) -> v1::KeptTask {
    let lease = |(grant, held): (String, Arc<Held>)| v1::KeptLease {
        id: held.lease_id.clone(),
        grant,
        expire_time: Some(after(held.lifetime())),
    };
    let stopped = match task.stops().borrow().as_ref() {
        None => String::new(),
        Some(Stop::Killed { line, .. }) => line.clone(),
        Some(Stop::Closed) => "closed".to_owned(),
    };
    v1::KeptTask {
        id: task.id().to_owned(),
        context,
        leases: task.held().into_iter().map(lease).collect(),
        silent_for: task.silent_for().try_into().ok(),
        stopped,
    }
}
