//! CharterService.

use lanyard_core::identity::OperatorRole;
use lanyard_proto::v1;
use lanyard_proto::v1::charter_service_server::CharterService;
use tonic::{Request, Response, Status};

use super::Services;

#[tonic::async_trait]
impl CharterService for Services {
    async fn list_charters(
        &self,
        request: Request<v1::ListChartersRequest>,
    ) -> Result<Response<v1::ListChartersResponse>, Status> {
        self.operator(&request, OperatorRole::Viewer)?;
        let charters = self
            .0
            .engine
            .charters()
            .all()
            .iter()
            .map(|charter| v1::Charter {
                name: charter.name.to_string(),
                revision: charter.revision.to_string(),
                purpose: charter.purpose.clone(),
                grants: charter.grants.keys().map(ToString::to_string).collect(),
            })
            .collect();
        Ok(Response::new(v1::ListChartersResponse {
            charters,
            problems: self.0.charters.problems(),
        }))
    }
}
