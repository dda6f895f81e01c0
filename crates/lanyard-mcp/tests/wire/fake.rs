//! A local agent on a socket, in front of a fake broker that is as strict as the real one and as
//! hostile as the test asks.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use lanyard_mcp::{AgentConnection, AgentConnector};
use lanyard_proto::agent::v1 as agent;
use lanyard_proto::agent::v1::agent_service_server::{AgentService, AgentServiceServer};
use lanyard_proto::v1::approval_service_server::ApprovalServiceServer;
use lanyard_proto::v1::charter_service_server::CharterServiceServer;
use lanyard_proto::v1::plan_service_server::PlanServiceServer;
use lanyard_proto::v1::task_service_server::TaskServiceServer;
use lanyard_proto::v1::{self, credential};
use lanyard_vocabulary::id::{DecisionId, KillId, LeaseId, PlanId, TaskId};
use tempfile::TempDir;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Endpoint, Server};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// A text that looks like a token.
pub(crate) const TOKEN: &str =
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJjYW5hcnkifQ.Q2FuYXJ5U2lnbmF0dXJlMDE";
/// A text that looks like a secret access key.
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYCANARYKEY1";
/// A text that looks like a session token.
pub(crate) const SESSION_TOKEN: &str = "IQoJb3JpZ2luX2VjEFcaCXVzLWVhc3QtMSJHMEUCanary0";

pub(crate) const APPROVALS_PAGE: &str = "https://lanyard.acme.example/approvals/";

/// The behaviour that a test asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Honest,
    /// The broker has pages where people decide.
    Pages,
    /// Every free text in an answer holds the secret.
    Leaking,
    /// The broker cannot be reached.
    Away,
}

#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) mood: Mood,
    pub(crate) tasks: BTreeMap<TaskId, v1::Task>,
    pub(crate) leases: BTreeMap<LeaseId, TaskId>,
    pub(crate) plans: BTreeMap<PlanId, (v1::Plan, Vec<u8>)>,
    pub(crate) approved: Option<bool>,
    pub(crate) killed: Option<KillId>,
    pub(crate) contexts: Vec<String>,
    next: u128,
}

/// A fake agent on a socket of its own.
#[derive(Clone)]
pub(crate) struct Fake {
    kept: Arc<Mutex<Kept>>,
    socket: PathBuf,
    _directory: Arc<TempDir>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("agent.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let fake = Self {
            kept: Arc::default(),
            socket,
            _directory: Arc::new(directory),
        };
        let server = Server::builder()
            .add_service(AgentServiceServer::new(fake.clone()))
            .add_service(TaskServiceServer::new(fake.clone()))
            .add_service(PlanServiceServer::new(fake.clone()))
            .add_service(ApprovalServiceServer::new(fake.clone()))
            .add_service(CharterServiceServer::new(fake.clone()))
            .serve_with_incoming(UnixListenerStream::new(listener));
        tokio::spawn(server);
        fake
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    pub(crate) fn open_tasks(&self) -> usize {
        self.kept()
            .tasks
            .values()
            .filter(|task| !task.closed)
            .count()
    }

    pub(crate) fn task(&self, id: &str) -> Result<v1::Task, Status> {
        let id: Option<TaskId> = id.parse().ok();
        let kept = self.kept();
        let task = id.and_then(|id| kept.tasks.get(&id).cloned());
        task.ok_or_else(|| refusal(Code::NotFound, "unknown task", "NOT_FOUND", &[]))
    }

    /// Refuses the call if a kill order holds the task or the task has ended.
    pub(crate) fn stopped(&self, task: &v1::Task) -> Result<(), Status> {
        if let Some(kill) = self.kept().killed {
            let line = format!("stopped by kill order {kill}: drill");
            let facts = [("kill_id", kill.to_string())];
            return Err(refusal(
                Code::FailedPrecondition,
                &line,
                "KILL_ENGAGED",
                &facts,
            ));
        }
        if task.closed {
            let line = format!("task {} has ended", task.id);
            return Err(refusal(Code::FailedPrecondition, &line, "TASK_ENDED", &[]));
        }
        Ok(())
    }

    fn is_leaking(&self) -> bool {
        self.kept().mood == Mood::Leaking
    }

    /// Returns `honest`, or a text with the secrets where the fake is [`Mood::Leaking`].
    pub(crate) fn said(&self, honest: &str) -> String {
        if self.is_leaking() {
            format!("{honest} {TOKEN}\n{SECRET_KEY} \u{1b}[8m{SESSION_TOKEN}")
        } else {
            honest.to_owned()
        }
    }

    fn credential(&self, task: TaskId, grant: &str) -> agent::GetCredentialResponse {
        let mut kept = self.kept();
        let lease = LeaseId::from_bits(kept.next());
        kept.leases.insert(lease, task);
        let kind = match grant {
            "read-account" => credential::Kind::Aws(v1::AwsCredential {
                access_key_id: "AKIAIOSFODNN7CANARY0".to_owned(),
                secret_access_key: SECRET_KEY.to_owned(),
                session_token: SESSION_TOKEN.to_owned(),
                region: "eu-central-1".to_owned(),
            }),
            "read-pods" => credential::Kind::Kubernetes(v1::KubernetesCredential {
                token: TOKEN.to_owned(),
                ..v1::KubernetesCredential::default()
            }),
            _ => credential::Kind::Token(v1::TokenCredential {
                jwt: TOKEN.to_owned(),
            }),
        };
        agent::GetCredentialResponse {
            lease_id: lease.to_string(),
            expire_time: Some(prost_types::Timestamp {
                seconds: 1_795_000_000,
                nanos: 0,
            }),
            refresh_time: None,
            credential: Some(v1::Credential { kind: Some(kind) }),
            task_id: task.to_string(),
        }
    }
}

impl Kept {
    pub(crate) fn next(&mut self) -> u128 {
        self.next += 1;
        self.next
    }
}

#[async_trait::async_trait]
impl AgentConnector for Fake {
    async fn connect(&self) -> Result<AgentConnection, Status> {
        if self.kept().mood == Mood::Away {
            let line = "the broker is not available: nobody listens";
            return Err(Status::unavailable(line));
        }
        let endpoint = Endpoint::try_from(format!("unix://{}", self.socket.display())).unwrap();
        let opened = endpoint.connect().await;
        Ok(AgentConnection {
            channel: opened.map_err(|error| Status::unavailable(error.to_string()))?,
            context: Some(AsciiMetadataValue::from_static("work")),
        })
    }
}

pub(crate) fn refusal(code: Code, line: &str, reason: &str, facts: &[(&str, String)]) -> Status {
    let facts = facts.iter().cloned();
    let facts: HashMap<_, _> = facts.map(|(key, value)| (key.to_owned(), value)).collect();
    let details = ErrorDetails::with_error_info(reason, "lanyard.dev", facts);
    Status::with_error_details(code, line, details)
}

#[tonic::async_trait]
impl AgentService for Fake {
    async fn get_credential(
        &self,
        request: Request<agent::GetCredentialRequest>,
    ) -> Result<Response<agent::GetCredentialResponse>, Status> {
        let context = request.metadata().get("lanyard-context");
        let context = context.and_then(|it| it.to_str().ok()).map(str::to_owned);
        self.kept().contexts.extend(context);
        let request = request.into_inner();
        let task = self.task(&request.task_id)?;
        self.stopped(&task)?;
        let id = task.id.parse().unwrap();
        match request.grant.as_str() {
            "read-tickets" | "read-account" | "read-pods" => {}
            "move-tickets" => self.judge(&request.plan_id)?,
            "garbled" => {
                return Ok(Response::new(agent::GetCredentialResponse {
                    lease_id: TOKEN.to_owned(),
                    ..self.credential(id, "read-tickets")
                }));
            }
            grant => {
                let decision = DecisionId::from_bits(99);
                let line = format!(
                    "denied by charter ticket-router (grants): it has no grant {grant} [{decision}]"
                );
                let facts = [("decision_id", decision.to_string())];
                let line = self.said(&line);
                return Err(refusal(
                    Code::PermissionDenied,
                    &line,
                    "CHARTER_DENIED",
                    &facts,
                ));
            }
        }
        Ok(Response::new(self.credential(id, &request.grant)))
    }

    async fn release_credentials(
        &self,
        request: Request<agent::ReleaseCredentialsRequest>,
    ) -> Result<Response<agent::ReleaseCredentialsResponse>, Status> {
        let task = self.task(&request.into_inner().task_id)?;
        let task: TaskId = task.id.parse().unwrap();
        let mut kept = self.kept();
        let (back, rest) = std::mem::take(&mut kept.leases)
            .into_iter()
            .partition::<BTreeMap<_, _>, _>(|(_, of)| *of == task);
        kept.leases = rest;
        let lease_ids = back.keys().map(ToString::to_string).collect();
        Ok(Response::new(agent::ReleaseCredentialsResponse {
            lease_ids,
        }))
    }

    async fn open_endpoint(
        &self,
        _: Request<agent::OpenEndpointRequest>,
    ) -> Result<Response<agent::OpenEndpointResponse>, Status> {
        Err(Status::unimplemented("nobody asks for it"))
    }

    async fn get_status(
        &self,
        _: Request<agent::GetStatusRequest>,
    ) -> Result<Response<agent::GetStatusResponse>, Status> {
        Err(Status::unimplemented("nobody asks for it"))
    }

    async fn stop(
        &self,
        _: Request<agent::StopRequest>,
    ) -> Result<Response<agent::StopResponse>, Status> {
        Err(Status::unimplemented("nobody asks for it"))
    }
}

impl Fake {
    /// Refuses the apply unless this plan is approved.
    fn judge(&self, plan: &str) -> Result<(), Status> {
        let kept = self.kept();
        let id: Option<PlanId> = plan.parse().ok();
        let Some((plan, _)) = id.and_then(|id| kept.plans.get(&id)) else {
            let line =
                "denied by charter ticket-router (plans.required, line 28): an apply needs a plan";
            return Err(refusal(Code::PermissionDenied, line, "CHARTER_DENIED", &[]));
        };
        let approval = plan.approval_id.clone();
        match kept.approved {
            Some(true) => Ok(()),
            Some(false) => {
                let line = format!("approval {approval}: denied: not today");
                let facts = [("approval_id", approval)];
                Err(refusal(
                    Code::PermissionDenied,
                    &line,
                    "APPROVAL_DENIED",
                    &facts,
                ))
            }
            None => {
                let line = format!(
                    "approval {approval} of plan {} is needed first: 0 of 2 approvals given",
                    plan.id
                );
                let url = match kept.mood {
                    Mood::Leaking => format!("{APPROVALS_PAGE}{TOKEN}"),
                    Mood::Pages => format!("{APPROVALS_PAGE}{approval}"),
                    Mood::Honest | Mood::Away => String::new(),
                };
                let facts = [
                    ("approval_id", approval),
                    ("plan_id", plan.id.clone()),
                    ("url", url),
                ];
                Err(refusal(
                    Code::FailedPrecondition,
                    &line,
                    "APPROVAL_REQUIRED",
                    &facts,
                ))
            }
        }
    }
}
