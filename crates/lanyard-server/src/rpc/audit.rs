//! AuditService.

use lanyard_core::identity::OperatorRole;
use lanyard_core::kill::Lifted;
use lanyard_identity::Verified;
use lanyard_proto::v1;
use lanyard_proto::v1::audit_service_server::AuditService;
use tonic::{Request, Response, Status};

use super::Services;
use crate::refusal;
use crate::wire::hex;

#[tonic::async_trait]
impl AuditService for Services {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        self.operator(&request, OperatorRole::Viewer)?;
        let broker = &self.0;
        let asked = broker.engine.query(|state| {
            let engaged = state
                .kills()
                .iter()
                .filter(|order| order.lifted != Lifted::Everything)
                .count();
            (
                state.leases().live() as u64,
                engaged as u64,
                state.disarmed().map(str::to_owned),
            )
        });
        let (live_leases, engaged_kill_orders, disarmed) = asked.await.map_err(refusal::commit)?;
        let (journal_size, root) = broker.ledger.tree();
        let shut = broker
            .engine
            .gate()
            .is_shut()
            .then(|| "a kill order could not be made durable, or not be read".to_owned());
        Ok(Response::new(v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            live_leases,
            engaged_kill_orders,
            journal_size,
            journal_root: hex(&root),
            not_issuing: broker
                .ledger
                .failure()
                .or(shut)
                .or(disarmed)
                .unwrap_or_default(),
        }))
    }

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let caller = self.caller(&request)?;
        let identity = caller.identity().clone();
        let (kind, agent, roles) = match caller {
            Verified::Agent(identity, _) => ("agent", self.0.engine.agent(&identity).0, Vec::new()),
            Verified::Operator(operator) => {
                let roles = operator
                    .roles
                    .iter()
                    .map(|role| role_name(*role).to_owned())
                    .collect();
                ("operator", String::new(), roles)
            }
        };
        Ok(Response::new(v1::WhoAmIResponse {
            issuer: identity.issuer,
            subject: identity.subject,
            kind: kind.to_owned(),
            agent,
            roles,
        }))
    }
}

const fn role_name(role: OperatorRole) -> &'static str {
    match role {
        OperatorRole::Viewer => "viewer",
        OperatorRole::Approver => "approver",
        OperatorRole::OnCall => "on-call",
        OperatorRole::Admin => "admin",
    }
}
