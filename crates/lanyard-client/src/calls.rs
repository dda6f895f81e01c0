//! Client methods, each for one RPC. Each call carries a fresh proof of identity and a deadline.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lanyard_proto::v1;
use lanyard_proto::v1::action_service_client::ActionServiceClient;
use lanyard_proto::v1::approval_service_client::ApprovalServiceClient;
use lanyard_proto::v1::audit_service_client::AuditServiceClient;
use lanyard_proto::v1::charter_service_client::CharterServiceClient;
use lanyard_proto::v1::credential_service_client::CredentialServiceClient;
use lanyard_proto::v1::decision_service_client::DecisionServiceClient;
use lanyard_proto::v1::identity_service_client::IdentityServiceClient;
use lanyard_proto::v1::kill_service_client::KillServiceClient;
use lanyard_proto::v1::pause_service_client::PauseServiceClient;
use lanyard_proto::v1::plan_service_client::PlanServiceClient;
use lanyard_proto::v1::signing_key_service_client::SigningKeyServiceClient;
use lanyard_proto::v1::task_service_client::TaskServiceClient;
use lanyard_secret_file::Origin;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Streaming};

use crate::auth_metadata::AuthMetadata;
use crate::context::Context;
use crate::context_error::ContextError;
use crate::error::ClientError;
use crate::http::HttpError;
use crate::identity::Identity;
use crate::proxy::{Proxies, Through};
use crate::public_file::read;
use crate::watches::{ConnectionShare, TaskWatch, Watches};

/// Deadline of one unary call.
///
/// # Limit
/// - for: a call of the broker
/// - unit: of time
/// - beyond: the call fails as unavailable
/// - test: `t44_a_call_says_how_long_it_may_take`
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Deadline of `HoldDrill`, which drills every target in turn.
const DRILLS_WAIT: Duration = Duration::from_secs(600);
/// Time allowed for TCP and TLS to connect.
const CONNECT_WAIT: Duration = Duration::from_secs(5);
/// Longest silence of the broker during which cached credentials are handed out. The broker sends a
/// message every five seconds, so three may be lost.
const CONTACT_FRESH_FOR: Duration = Duration::from_secs(20);
/// Interval of HTTP/2 keep-alive pings, and the time allowed for the answer.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PONG_WAIT: Duration = Duration::from_secs(5);

/// A connection to one broker under one context. Clones share the connection.
#[derive(Clone)]
pub struct Client {
    context: Arc<Context>,
    channel: Channel,
    fresh: Duration,
    watches: Arc<Watches>,
}

macro_rules! calls {
    ($($(#[$doc:meta])* $service:ident :: $name:ident ( $request:ident ) -> $response:ident;)*) => {
        impl Client {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// See [`ClientError`].
            pub async fn $name(&mut self, request: v1::$request) -> Result<v1::$response, ClientError> {
                let mut again = true;
                loop {
                    let mut service = $service::with_interceptor(self.channel.clone(), self.auth_metadata().await?);
                    match service.$name(within(request.clone(), CALL_TIMEOUT)).await {
                        Ok(answer) => return Ok(answer.into_inner()),
                        // The broker restarted, dropped the session or ended it. A second attempt
                        // with a new session can succeed; a third cannot, so the loop ends there.
                        Err(status) if again && status.code() == Code::Unauthenticated
                            && self.context.forget_session().await? => again = false,
                        Err(status) => return Err(status.into()),
                    }
                }
            }
        )*}
    };
}

calls! {
    /// Opens a task under a charter, pinned to the revision in force.
    TaskServiceClient::open_task(OpenTaskRequest) -> OpenTaskResponse;
    /// Lists the open tasks that the caller may see.
    TaskServiceClient::list_tasks(ListTasksRequest) -> ListTasksResponse;
    /// Reads a task of the caller's own.
    TaskServiceClient::get_task(GetTaskRequest) -> GetTaskResponse;
    /// Reads the timeline of a task.
    TaskServiceClient::get_task_timeline(GetTaskTimelineRequest) -> GetTaskTimelineResponse;
    /// Ends a task and its leases.
    TaskServiceClient::close_task(CloseTaskRequest) -> CloseTaskResponse;
    /// Issues a credential of a task.
    CredentialServiceClient::issue_credential(IssueCredentialRequest) -> IssueCredentialResponse;
    /// Ends a lease early.
    CredentialServiceClient::release_lease(ReleaseLeaseRequest) -> ReleaseLeaseResponse;
    /// Lists leases of the caller, or all leases for an operator who may view.
    CredentialServiceClient::list_leases(ListLeasesRequest) -> ListLeasesResponse;
    /// Reads one lease of the caller.
    CredentialServiceClient::get_lease(GetLeaseRequest) -> GetLeaseResponse;
    /// Lists the agents with leases.
    CredentialServiceClient::list_holders(ListHoldersRequest) -> ListHoldersResponse;
    /// Lists the plans that the caller may see.
    PlanServiceClient::list_plans(ListPlansRequest) -> ListPlansResponse;
    /// Reads a plan and what is in it.
    PlanServiceClient::get_plan(GetPlanRequest) -> GetPlanResponse;
    /// Lists requests for approval.
    ApprovalServiceClient::list_approvals(ListApprovalsRequest) -> ListApprovalsResponse;
    /// Reads a request for approval, with the digest of its plan.
    ApprovalServiceClient::get_approval(GetApprovalRequest) -> GetApprovalResponse;
    /// Approves a plan, by the digest that the person was shown.
    ApprovalServiceClient::approve(ApproveRequest) -> ApproveResponse;
    /// Denies a request for approval for good.
    ApprovalServiceClient::deny(DenyRequest) -> DenyResponse;
    /// Withdraws the approval that the caller gave.
    ApprovalServiceClient::withdraw(WithdrawRequest) -> WithdrawResponse;
    /// Reports an action of a task, for its timeline and the breakers.
    ActionServiceClient::report_action(ReportActionRequest) -> ReportActionResponse;
    /// Checks the set-up of a charter's targets at their providers.
    CharterServiceClient::inspect_charter(InspectCharterRequest) -> InspectCharterResponse;
    /// Declares an emergency under a charter.
    CharterServiceClient::declare_emergency(DeclareEmergencyRequest) -> DeclareEmergencyResponse;
    /// Ends an emergency before its time.
    CharterServiceClient::end_emergency(EndEmergencyRequest) -> EndEmergencyResponse;
    /// Lists the emergencies in effect.
    CharterServiceClient::list_emergencies(ListEmergenciesRequest) -> ListEmergenciesResponse;
    /// Pauses issuance over a scope. Leases that exist stay alive.
    PauseServiceClient::create_pause(CreatePauseRequest) -> CreatePauseResponse;
    /// Lists the pauses in effect.
    PauseServiceClient::list_pauses(ListPausesRequest) -> ListPausesResponse;
    /// Ends a pause by its id.
    PauseServiceClient::resume(ResumeRequest) -> ResumeResponse;
    /// Lists kill orders and their progress.
    KillServiceClient::list_kill_orders(ListKillOrdersRequest) -> ListKillOrdersResponse;
    /// Withdraws a kill order that reached nothing.
    KillServiceClient::withdraw_kill(WithdrawKillRequest) -> WithdrawKillResponse;
    /// Proposes the next step of lifting a kill order.
    KillServiceClient::propose_rearm(ProposeRearmRequest) -> ProposeRearmResponse;
    /// Lists the proposals to lift a kill order that can still be confirmed.
    KillServiceClient::list_rearms(ListRearmsRequest) -> ListRearmsResponse;
    /// Confirms another person's proposal to lift a kill order.
    KillServiceClient::confirm_rearm(ConfirmRearmRequest) -> ConfirmRearmResponse;
    /// Lists the latest drill of each target.
    KillServiceClient::list_drills(ListDrillsRequest) -> ListDrillsResponse;
    /// Reads one decision by its id.
    DecisionServiceClient::get_decision(GetDecisionRequest) -> GetDecisionResponse;
    /// Reads a charter in full.
    CharterServiceClient::get_charter(GetCharterRequest) -> GetCharterResponse;
    /// Lists the charters in force; for an agent, the charters that name it.
    CharterServiceClient::list_charters(ListChartersRequest) -> ListChartersResponse;
    /// Reads the broker's status.
    AuditServiceClient::get_status(GetStatusRequest) -> GetStatusResponse;
    /// Accepts a reason why the broker does not issue, so that the broker issues in spite of it.
    AuditServiceClient::accept_reason(AcceptReasonRequest) -> AcceptReasonResponse;
    /// Queries records of the journal.
    AuditServiceClient::query_records(QueryRecordsRequest) -> QueryRecordsResponse;
    /// Invites an agent to enrol a key.
    IdentityServiceClient::invite_agent(InviteAgentRequest) -> InviteAgentResponse;
    /// Lists the enrolled agents.
    IdentityServiceClient::list_enrolled_agents(ListEnrolledAgentsRequest) -> ListEnrolledAgentsResponse;
    /// Removes an enrolled agent. The broker refuses the agent's key from then on.
    IdentityServiceClient::remove_enrolled_agent(RemoveEnrolledAgentRequest) -> RemoveEnrolledAgentResponse;
    /// Replaces the key of the calling agent.
    IdentityServiceClient::rotate_agent_key(RotateAgentKeyRequest) -> RotateAgentKeyResponse;
    /// Lists the keys with which the broker signs its own tokens.
    SigningKeyServiceClient::list_signing_keys(ListSigningKeysRequest) -> ListSigningKeysResponse;
    /// Makes a signing key.
    SigningKeyServiceClient::rotate_signing_key(RotateSigningKeyRequest) -> RotateSigningKeyResponse;
    /// Revokes a signing key.
    SigningKeyServiceClient::revoke_signing_key(RevokeSigningKeyRequest) -> RevokeSigningKeyResponse;
    /// Returns the identity under which the broker sees the caller.
    AuditServiceClient::who_am_i(WhoAmIRequest) -> WhoAmIResponse;
}

impl Client {
    /// Connects to the broker of the context file `context`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(context: &Path) -> Result<Self, ClientError> {
        Self::of(Context::load(context)?).await
    }

    /// Connects to the kill plane that the context file `context` names as `kill_endpoint`. Only
    /// calls about kill orders are served there. Returns `None` if the context names none.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect_to_kill_plane(context: &Path) -> Result<Option<Self>, ClientError> {
        match Context::load(context)?.at_kill_plane() {
            Some(context) => Ok(Some(Self::of(context).await?)),
            None => Ok(None),
        }
    }

    async fn of(context: Context) -> Result<Self, ClientError> {
        let identity = certificate(&context)?;
        let authority = context.authority.as_deref();
        Ok(Self {
            channel: channel(context.called(), authority, identity).await?,
            context: Arc::new(context),
            fresh: CONTACT_FRESH_FOR,
            watches: Arc::default(),
        })
    }

    /// Engages a kill order. The call carries even an expired session, which the broker accepts for
    /// kill orders for hours, so that no kill waits for an identity provider.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn engage_kill(
        &mut self,
        request: v1::EngageKillRequest,
    ) -> Result<v1::EngageKillResponse, ClientError> {
        let mut again = true;
        loop {
            let metadata = AuthMetadata::of_kill(&self.context).await?;
            let mut service = KillServiceClient::with_interceptor(self.channel.clone(), metadata);
            let answer = service.engage_kill(within(request.clone(), CALL_TIMEOUT));
            match answer.await {
                Ok(answer) => return Ok(answer.into_inner()),
                // The session is older than the broker accepts, and a new one may be accepted.
                Err(status)
                    if again
                        && status.code() == Code::Unauthenticated
                        && self.context.forget_session().await? =>
                {
                    again = false;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// Sets how long tasks of this client hand out credentials after the broker's last message.
    #[must_use]
    pub fn fresh_for(self, fresh: Duration) -> Self {
        Self { fresh, ..self }
    }

    pub(crate) const fn fresh(&self) -> Duration {
        self.fresh
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) const fn shared_context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Submits a plan: its header, then its bytes.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn submit_plan(
        &mut self,
        header: v1::PlanHeader,
        content: &[u8],
    ) -> Result<v1::Plan, ClientError> {
        use v1::submit_plan_request::Part;
        let chunks = content
            .chunks(lanyard_proto::MAX_CHUNK_BYTES)
            .map(|chunk| Part::Chunk(chunk.to_vec()));
        let parts: Vec<_> = std::iter::once(Part::Header(header))
            .chain(chunks)
            .map(|part| v1::SubmitPlanRequest { part: Some(part) })
            .collect();
        let request = within(tokio_stream::iter(parts), CALL_TIMEOUT);
        let answer =
            PlanServiceClient::with_interceptor(self.channel.clone(), self.auth_metadata().await?)
                .submit_plan(request)
                .await?;
        answer
            .into_inner()
            .plan
            .ok_or_else(|| ClientError::refused("the broker answered without a plan"))
    }

    /// Reads the exact bytes of a plan, and fails if the broker sends more than `size`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_plan(&mut self, id: String, size: u64) -> Result<Vec<u8>, ClientError> {
        let request = within(v1::ReadPlanRequest { id }, CALL_TIMEOUT);
        let answer =
            PlanServiceClient::with_interceptor(self.channel.clone(), self.auth_metadata().await?)
                .read_plan(request)
                .await?;
        let mut chunks = answer.into_inner();
        let mut content = Vec::new();
        while let Some(message) = chunks.message().await? {
            content.extend(message.chunk);
            // A faulty broker must not fill this machine's memory.
            if u64::try_from(content.len()).is_ok_and(|len| len > size) {
                let why = format!("the broker sent more than {size} bytes, the size of the plan");
                return Err(ClientError::refused(why));
            }
        }
        Ok(content)
    }

    /// Follows the state of a task. The first message is the current state.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn watch_task(&mut self, id: String) -> Result<TaskWatch, ClientError> {
        let place = self.watching().await?;
        let request = v1::WatchTaskRequest { id };
        let channel = place.channel.clone();
        let mut service = TaskServiceClient::with_interceptor(channel, self.auth_metadata().await?);
        let opened = tokio::time::timeout(CALL_TIMEOUT, service.watch_task(request)).await;
        let opened = opened
            .map_err(|_| ClientError::Unavailable("no answer to WatchTask in time".into()))?;
        Ok(TaskWatch {
            messages: opened?.into_inner(),
            _place: place,
        })
    }

    /// Reserves a slot for one more long-lived call, and opens another connection when all are
    /// full.
    pub(crate) async fn watching(&self) -> Result<ConnectionShare, ClientError> {
        if let Some(place) = self.watches.place() {
            return Ok(place);
        }
        let context = &self.context;
        let identity = certificate(context)?;
        let channel = channel(context.called(), context.authority.as_deref(), identity).await?;
        Ok(self.watches.add(channel))
    }

    /// Follows the requests for approval. The first messages are the open ones.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn watch_approvals(
        &mut self,
        request: v1::WatchApprovalsRequest,
    ) -> Result<Streaming<v1::WatchApprovalsResponse>, ClientError> {
        Ok(ApprovalServiceClient::with_interceptor(
            self.channel.clone(),
            self.auth_metadata().await?,
        )
        .watch_approvals(request)
        .await?
        .into_inner())
    }

    /// Follows a kill order until every revocation is confirmed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn watch_kill(
        &mut self,
        id: String,
    ) -> Result<Streaming<v1::WatchKillResponse>, ClientError> {
        let request = Request::new(v1::WatchKillRequest { id });
        Ok(
            KillServiceClient::with_interceptor(self.channel.clone(), self.auth_metadata().await?)
                .watch_kill(request)
                .await?
                .into_inner(),
        )
    }

    /// Holds a drill at each target of the request. One drill takes up to a minute.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn hold_drill(
        &mut self,
        request: v1::HoldDrillRequest,
    ) -> Result<v1::HoldDrillResponse, ClientError> {
        let request = within(request, DRILLS_WAIT);
        Ok(
            KillServiceClient::with_interceptor(self.channel.clone(), self.auth_metadata().await?)
                .hold_drill(request)
                .await?
                .into_inner(),
        )
    }

    /// Streams every lease that a kill order reached.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn read_kill_report(
        &mut self,
        id: String,
    ) -> Result<Streaming<v1::ReadKillReportResponse>, ClientError> {
        let request = Request::new(v1::ReadKillReportRequest { id });
        Ok(
            KillServiceClient::with_interceptor(self.channel.clone(), self.auth_metadata().await?)
                .read_kill_report(request)
                .await?
                .into_inner(),
        )
    }

    /// Follows the journal: the requested records, as they become durable.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn tail_records(
        &mut self,
        request: v1::TailRecordsRequest,
    ) -> Result<Streaming<v1::TailRecordsResponse>, ClientError> {
        let request = Request::new(request);
        Ok(
            AuditServiceClient::with_interceptor(self.channel.clone(), self.auth_metadata().await?)
                .tail_records(request)
                .await?
                .into_inner(),
        )
    }

    async fn auth_metadata(&self) -> Result<AuthMetadata, ClientError> {
        AuthMetadata::of(&self.context).await
    }
}

fn within<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}

/// Opens a connection to the broker, which trusts `authority` (PEM; the system's roots when absent)
/// and presents `identity` as the client certificate.
pub(crate) async fn channel(
    url: &str,
    authority: Option<&[u8]>,
    identity: Option<tonic::transport::Identity>,
) -> Result<Channel, ClientError> {
    let clear = || ContextError::Clear(url.to_owned());
    let mut endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| clear())?;
    if url.starts_with("https://") {
        let tls = match authority {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        endpoint = endpoint.tls_config(match identity {
            Some(identity) => tls.identity(identity),
            None => tls,
        })?;
    }
    // Neither end sends a FIN after a machine slept or a middlebox dropped the connection. Only
    // unanswered pings show that the connection is dead.
    let endpoint = endpoint
        .connect_timeout(CONNECT_WAIT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PONG_WAIT)
        .keep_alive_while_idle(true);
    let proxy = Proxies::of_environment().to(url);
    match proxy.map_err(HttpError::Proxy)? {
        None => Ok(endpoint.connect().await?),
        Some(proxy) => {
            let through = Through::new(proxy).map_err(HttpError::Proxy)?;
            Ok(endpoint.connect_with_connector(through).await?)
        }
    }
}

/// Loads the client certificate of a context whose identity is a certificate.
fn certificate(context: &Context) -> Result<Option<tonic::transport::Identity>, ContextError> {
    let Identity::Certificate { certificate } = &context.identity else {
        return Ok(None);
    };
    let chain = read(&context.base.join(&certificate.chain_file))?;
    let key_file = context.base.join(&certificate.key_file);
    let key =
        lanyard_secret_file::read(&key_file, Origin::Configured).map_err(ContextError::from)?;
    Ok(Some(tonic::transport::Identity::from_pem(chain, &*key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only for futures that are `Send`, since embedding programs make calls from many
    /// threads.
    const fn is_send<T: Send>(_: &T) {}

    // The channel cancels the call after this time, and the broker then stops working on it.
    #[test]
    fn t44_a_call_says_how_long_it_may_take() {
        let request = within((), CALL_TIMEOUT);
        let said = request.metadata().get("grpc-timeout").unwrap();
        assert_eq!(said, format!("{}u", CALL_TIMEOUT.as_micros()).as_str());
    }

    #[test]
    fn calls_can_be_made_from_any_thread() {
        let call = async |client: &mut Client| client.who_am_i(v1::WhoAmIRequest {}).await;
        let _ = |client: &mut Client| is_send(&call(client));
    }
}
