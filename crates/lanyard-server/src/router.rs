//! The routes of each address: gRPC and HTTP, behind the layers that every request passes.

use std::sync::Arc;

use axum::middleware::{from_fn, from_fn_with_state, map_response};
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
use lanyard_proto::v1::signing_key_service_server::SigningKeyServiceServer;
use lanyard_proto::v1::task_service_server::TaskServiceServer;

use crate::broker::Broker;
use crate::gated;
use crate::http;
use crate::identity::presented;
use crate::newcomers::Newcomers;
use crate::request_bodies::{self, BodyBudget};
use crate::rpc::Services;

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
    .add_service(SigningKeyServiceServer::new(services.clone()).max_decoding_message_size(limit))
    .add_service(AuditServiceServer::new(services).max_decoding_message_size(limit))
    .into_axum_router()
    .merge(http::router(broker))
    .layer(map_response(gated::gate))
    .layer(from_fn(presented))
    .layer(from_fn_with_state(
        BodyBudget::of_all(),
        request_bodies::metered,
    ))
    // Outside of the budgets of everybody: those who wait for a turn take nothing of them.
    .layer(from_fn_with_state(newcomers, crate::newcomers::paced))
}

/// Returns what the kill plane serves: KillService and its HTTP door.
pub(crate) fn kill_router(broker: Arc<Broker>) -> axum::Router {
    let services = Services(Arc::clone(&broker));
    let kills = KillServiceServer::new(services).max_decoding_message_size(MAX_MESSAGE_BYTES);
    tonic::service::Routes::new(kills)
        .into_axum_router()
        .merge(http::kill_router(broker))
        .layer(from_fn(presented))
        .layer(from_fn_with_state(
            BodyBudget::of_kills(),
            request_bodies::metered,
        ))
}
