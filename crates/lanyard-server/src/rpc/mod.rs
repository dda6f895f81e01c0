//! The services: each RPC decodes, calls the engine, encodes.

pub(crate) mod action;
mod approval;
mod asked;
mod audit;
mod charter;
mod credential;
mod decision;
mod described;
mod drill;
mod identity;
mod kill;
mod leases;
mod pause;
mod plan;
mod plan_list;
mod rearm;
mod records;
mod sentence;
mod task;
mod timeline;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use lanyard_core::identity::{Caller, Login, Operator, OperatorRole};
use lanyard_core::time::Timestamp;
use lanyard_engine::mint::IssueError;
use lanyard_identity::Verified;
use lanyard_proto::MAX_MESSAGE_BYTES;
use lanyard_proto::v1::action_service_server::ActionServiceServer;
use lanyard_proto::v1::approval_service_server::ApprovalServiceServer;
use lanyard_proto::v1::audit_service_server::AuditServiceServer;
use lanyard_proto::v1::charter_service_server::CharterServiceServer;
use lanyard_proto::v1::credential_service_server::CredentialServiceServer;
use lanyard_proto::v1::decision_service_server::DecisionServiceServer;
use lanyard_proto::v1::identity_service_server::IdentityServiceServer;
use lanyard_proto::v1::kill_service_server::KillServiceServer;
use lanyard_proto::v1::pause_service_server::PauseServiceServer;
use lanyard_proto::v1::plan_service_server::PlanServiceServer;
use lanyard_proto::v1::task_service_server::TaskServiceServer;
use tokio::sync::{mpsc, watch};
use tonic::{Request, Status};

use crate::identity::{Freshness, Presented, not_for};
use crate::newcomers::Newcomers;
use crate::refusal;
use crate::request_bodies::{self, BodyBudget};
use crate::wire::Broker;

pub(crate) use asked::AskedScope;
pub(crate) use kill::{engage, identities, reached};
pub(crate) use plan::submitted_bytes;

/// The longest reason, summary or comment, in characters.
///
/// # Limit
/// - for: a text of a caller
/// - unit: characters
/// - beyond: the call is refused with `INVALID_ARGUMENT`
/// - test: `texts_and_request_ids_have_bounds`
pub(crate) const MAX_TEXT_CHARACTERS: usize = 1000;
/// The longest request id, in bytes.
///
/// # Limit
/// - for: a call
/// - unit: bytes
/// - beyond: the call is refused with `INVALID_ARGUMENT`
/// - test: `texts_and_request_ids_have_bounds`
const MAX_REQUEST_ID_BYTES: usize = 64;

/// The services over one broker.
#[derive(Clone)]
pub(crate) struct Services(pub(crate) Arc<Broker>);

/// Everything that is listened for: gRPC and HTTP on one port.
pub(crate) fn router(broker: Arc<Broker>, newcomers: Newcomers) -> axum::Router {
    let services = Services(Arc::clone(&broker));
    let limit = MAX_MESSAGE_BYTES;
    tonic::service::Routes::new(
        TaskServiceServer::new(services.clone()).max_decoding_message_size(limit),
    )
    .add_service(CredentialServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(PlanServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(ApprovalServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(ActionServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(DecisionServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(IdentityServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(KillServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(PauseServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(CharterServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(AuditServiceServer::new(services).max_decoding_message_size(limit))
    .into_axum_router()
    .merge(crate::http::router(broker))
    .layer(axum::middleware::map_response(crate::gated::gate))
    .layer(axum::middleware::from_fn(crate::identity::presented))
    .layer(from_fn_with_state(
        BodyBudget::of_all(),
        request_bodies::metered,
    ))
    // Outside of the budgets of everybody: those who wait for a turn take nothing of them.
    .layer(from_fn_with_state(newcomers, crate::newcomers::paced))
}

/// What the kill plane serves: KillService and its HTTP door.
pub(crate) fn kill_router(broker: Arc<Broker>) -> axum::Router {
    let services = Services(Arc::clone(&broker));
    let kills = KillServiceServer::new(services).max_decoding_message_size(MAX_MESSAGE_BYTES);
    tonic::service::Routes::new(kills)
        .into_axum_router()
        .merge(crate::http::kill_router(broker))
        .layer(axum::middleware::from_fn(crate::identity::presented))
        .layer(from_fn_with_state(
            BodyBudget::of_kills(),
            request_bodies::metered,
        ))
}

/// What the request shows of its caller.
fn presented<T>(request: &Request<T>) -> Result<&Presented, Status> {
    let presented = request.extensions().get();
    presented.ok_or_else(refusal::unauthenticated)
}

impl Services {
    fn refused(&self, error: IssueError) -> Status {
        refusal::issue(error, &self.0)
    }

    async fn caller<T: Sync>(&self, request: &Request<T>) -> Result<Verified, Status> {
        self.0.caller(presented(request)?).await
    }

    async fn agent<T: Sync>(&self, request: &Request<T>) -> Result<Caller, Status> {
        crate::identity::agent(self.caller(request).await?)
    }

    /// The caller: an agent, or an operator with one of these roles.
    async fn agent_or_operator<T: Sync>(
        &self,
        request: &Request<T>,
        roles: &[OperatorRole],
    ) -> Result<Verified, Status> {
        let caller = self.caller(request).await?;
        match &caller {
            Verified::Operator(operator, _) if !has_one(operator, roles) => {
                Err(not_for(&caller, roles))
            }
            Verified::Operator(..) | Verified::Agent(_) => Ok(caller),
        }
    }

    /// The operator, if the caller is one and has one of these roles.
    async fn operator_with<T: Sync>(
        &self,
        request: &Request<T>,
        roles: &[OperatorRole],
    ) -> Result<Operator, Status> {
        match self.caller(request).await? {
            Verified::Operator(operator, _) if has_one(&operator, roles) => Ok(operator),
            other @ (Verified::Operator(..) | Verified::Agent(_)) => Err(not_for(&other, roles)),
        }
    }

    async fn operator<T: Sync>(
        &self,
        request: &Request<T>,
        role: OperatorRole,
    ) -> Result<Operator, Status> {
        let (operator, _) = self.person(request, role).await?;
        Ok(operator)
    }

    /// The operator, if the login is as fresh as this takes.
    async fn fresh<T: Sync>(
        &self,
        request: &Request<T>,
        (role, needed): (OperatorRole, &Freshness),
    ) -> Result<Operator, Status> {
        let (operator, login) = self.person(request, role).await?;
        needed.met_by(&login, self.0.engine.system_time())?;
        Ok(operator)
    }

    /// The operator, and how that one logged in.
    async fn person<T: Sync>(
        &self,
        request: &Request<T>,
        role: OperatorRole,
    ) -> Result<(Operator, Login), Status> {
        crate::identity::operator(self.caller(request).await?, role)
    }
}

/// The roles that see orders, leases and the condition: whoever may stop something, and whoever may
/// look.
const SEES_ORDERS: &[OperatorRole] = &[
    OperatorRole::Viewer,
    OperatorRole::OnCall,
    OperatorRole::Admin,
];

fn has_one(operator: &Operator, roles: &[OperatorRole]) -> bool {
    roles.iter().any(|role| operator.is(*role))
}

/// What a watch goes on with.
enum Next {
    /// Something was recorded.
    Change,
    /// Nothing was, in all the time.
    Nothing,
    /// The reader is gone, or nothing will be recorded any more.
    End,
}

/// Waits for what a watch goes on with. A watch whose reader is gone ends at once and gives back its place.
async fn next<T>(
    changes: &mut watch::Receiver<u64>,
    events: &mpsc::Sender<T>,
    within: Duration,
) -> Next {
    tokio::select! {
        changed = changes.changed() => changed.map_or(Next::End, |()| Next::Change),
        () = events.closed() => Next::End,
        () = tokio::time::sleep(within) => Next::Nothing,
    }
}

pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(
    field: &str,
    text: &str,
) -> Result<T, Status> {
    if text.is_empty() {
        return Err(refusal::invalid(field, "none was given"));
    }
    text.parse().map_err(|error| refusal::invalid(field, error))
}

/// Text that has to say something, within bounds.
pub(crate) fn text(field: &str, text: String) -> Result<String, Status> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Err(refusal::invalid(field, "must not be empty"))
    } else if length > MAX_TEXT_CHARACTERS {
        Err(refusal::invalid(
            field,
            format!("has {length} characters and may have {MAX_TEXT_CHARACTERS}"),
        ))
    } else {
        Ok(text)
    }
}

pub(crate) fn request_id(text: String) -> Result<Option<String>, Status> {
    if text.len() > MAX_REQUEST_ID_BYTES {
        return Err(refusal::invalid(
            "request_id",
            format!("may have {MAX_REQUEST_ID_BYTES} bytes"),
        ));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn time(at: Timestamp) -> Option<prost_types::Timestamp> {
    let seconds = i64::try_from(at.as_secs()).ok()?;
    let nanos = i32::try_from(at.as_millis() % 1000 * 1_000_000).ok()?;
    Some(prost_types::Timestamp { seconds, nanos })
}

fn duration(span: std::time::Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(span).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_request_ids_have_bounds() {
        // Characters, not bytes.
        let said = |characters: usize| text("reason", "\u{e9}".repeat(characters)).is_ok();
        assert!(said(1000) && !said(1001) && !said(0));
        let id = |bytes: usize| request_id("r".repeat(bytes)).is_ok();
        assert!(id(0) && id(64) && !id(65));
    }
}
