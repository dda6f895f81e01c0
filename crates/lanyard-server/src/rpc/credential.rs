//! CredentialService.

use lanyard_core::id::LeaseId;
use lanyard_core::lease::{Lease, Progress, Stage, StopCause};
use lanyard_core::provider::{Credential, Revocability};
use lanyard_core::time::{Timestamp, Ttl};
use lanyard_engine::mint::Ask;
use lanyard_identity::Verified;
use lanyard_proto::v1;
use lanyard_proto::v1::credential_service_server::CredentialService;
use tonic::{Request, Response, Status};

use super::{SEES_ORDERS, Services, duration, leases, parsed, request_id, time, timeline};
use crate::gated::Gated;
use crate::refusal;

#[tonic::async_trait]
impl CredentialService for Services {
    async fn issue_credential(
        &self,
        request: Request<v1::IssueCredentialRequest>,
    ) -> Result<Response<v1::IssueCredentialResponse>, Status> {
        let caller = self.agent(&request).await?;
        let request = request.into_inner();
        let plan = Some(request.plan_id).filter(|id| !id.is_empty());
        let ask = Ask {
            task: parsed("task_id", &request.task_id)?,
            grant: parsed("grant", &request.grant)?,
            ttl: request.ttl.map(ttl).transpose()?,
            plan: plan.map(|id| parsed("plan_id", &id)).transpose()?,
            request: request_id(request.request_id)?,
        };
        if request.validate_only {
            self.0
                .engine
                .validate(caller, &ask)
                .await
                .map_err(|error| self.refused(error))?;
            return Ok(Response::new(v1::IssueCredentialResponse::default()));
        }
        let issued = self
            .0
            .engine
            .issue(caller, ask)
            .await
            .map_err(|error| self.refused(error))?;
        let lifetime = issued.expires.since(self.0.engine.now());
        let mut response = Response::new(v1::IssueCredentialResponse {
            lifetime: duration(lifetime),
            lease_id: issued.lease.to_string(),
            expire_time: time(issued.expires),
            revocability: Some(revocability(issued.revocability)),
            credential: Some(credential(&issued.credential)),
            record: issued.intent.0,
        });
        response.extensions_mut().insert(Gated::new(issued.release));
        Ok(response)
    }

    async fn release_lease(
        &self,
        request: Request<v1::ReleaseLeaseRequest>,
    ) -> Result<Response<v1::ReleaseLeaseResponse>, Status> {
        let caller = self.agent(&request).await?;
        let id = parsed("id", &request.into_inner().id)?;
        self.0
            .engine
            .release_lease(&caller.identity, id)
            .await
            .map_err(|error| self.refused(error))?;
        Ok(Response::new(v1::ReleaseLeaseResponse {}))
    }

    async fn list_leases(
        &self,
        request: Request<v1::ListLeasesRequest>,
    ) -> Result<Response<v1::ListLeasesResponse>, Status> {
        let whose = match self.agent_or_operator(&request, SEES_ORDERS).await? {
            Verified::Agent(caller) => Some(caller.identity),
            Verified::Operator(..) => None,
        };
        let listed = leases::list(&self.0.engine, whose, request.into_inner());
        Ok(Response::new(listed.await?))
    }

    async fn get_lease(
        &self,
        request: Request<v1::GetLeaseRequest>,
    ) -> Result<Response<v1::GetLeaseResponse>, Status> {
        let caller = self.agent_or_operator(&request, SEES_ORDERS).await?;
        let id: LeaseId = parsed("id", &request.into_inner().id)?;
        let found = self.0.engine.query(|state| {
            let lease = state.leases().get(id)?;
            let may = match &caller {
                Verified::Agent(caller) => lease.task.identity == caller.identity,
                Verified::Operator(..) => true,
            };
            may.then(|| message(lease))
        });
        // The same answer for a lease of another agent and for one that never was (T15).
        let lease = found.await.map_err(refusal::commit)?;
        let lease = lease.ok_or_else(|| refusal::not_found("lease in the books"))?;
        Ok(Response::new(v1::GetLeaseResponse { lease: Some(lease) }))
    }

    async fn list_holders(
        &self,
        request: Request<v1::ListHoldersRequest>,
    ) -> Result<Response<v1::ListHoldersResponse>, Status> {
        self.operator_with(&request, SEES_ORDERS).await?;
        let holders = leases::holders(&self.0.engine).await?;
        Ok(Response::new(v1::ListHoldersResponse { holders }))
    }
}

fn ttl(span: prost_types::Duration) -> Result<Ttl, Status> {
    u32::try_from(span.seconds)
        .ok()
        .filter(|_| span.nanos == 0)
        .and_then(|secs| Ttl::from_secs(secs).ok())
        .ok_or_else(|| refusal::invalid("ttl", "expected whole seconds, one at least"))
}

fn revocability(revocability: Revocability) -> v1::Revocability {
    v1::Revocability {
        mechanism: revocability.mechanism,
        worst_case: revocability.worst_case.and_then(duration),
        source: revocability.source,
    }
}

fn credential(credential: &Credential) -> v1::Credential {
    use v1::credential::Kind;
    let kind = match credential {
        Credential::Token { jwt } => Kind::Token(v1::TokenCredential {
            jwt: jwt.expose().clone(),
        }),
        Credential::Aws {
            access_key_id,
            secret_access_key,
            session_token,
            region,
        } => Kind::Aws(v1::AwsCredential {
            access_key_id: access_key_id.clone(),
            secret_access_key: secret_access_key.expose().clone(),
            session_token: session_token.expose().clone(),
            region: region.clone(),
        }),
        Credential::Kubernetes {
            server,
            certificate_authority,
            tls_server_name,
            proxy_url,
            namespace,
            token,
        } => Kind::Kubernetes(v1::KubernetesCredential {
            server: server.clone(),
            certificate_authority: certificate_authority.clone(),
            tls_server_name: tls_server_name.clone(),
            proxy_url: proxy_url.clone(),
            namespace: namespace.clone(),
            token: token.expose().clone(),
        }),
        Credential::Vault {
            address,
            namespace,
            certificate_authority,
            token,
        } => Kind::Vault(v1::VaultCredential {
            address: address.clone(),
            namespace: namespace.clone(),
            certificate_authority: certificate_authority.clone(),
            token: token.expose().clone(),
        }),
        Credential::VaultSecret { path, data } => Kind::VaultSecret(v1::VaultSecretCredential {
            path: path.clone(),
            data: data
                .iter()
                .map(|(field, value)| (field.clone(), value.expose().clone()))
                .collect(),
        }),
        Credential::GitHub {
            host,
            api,
            owner,
            repositories,
            token,
        } => Kind::Github(v1::GitHubCredential {
            host: host.clone(),
            api: api.clone(),
            owner: owner.clone(),
            repositories: repositories.iter().cloned().collect(),
            token: token.expose().clone(),
        }),
    };
    v1::Credential { kind: Some(kind) }
}

/// How a stage is called on the wire.
pub(super) const fn state(progress: Progress) -> v1::LeaseState {
    match progress {
        Progress::Fenced => v1::LeaseState::Fenced,
        Progress::Requested => v1::LeaseState::Requested,
        Progress::Acknowledged(_) => v1::LeaseState::Acknowledged,
        Progress::PresumedDead(_) => v1::LeaseState::PresumedDead,
        Progress::ProvedDead(_) => v1::LeaseState::ProvedDead,
        Progress::Expired(_) => v1::LeaseState::Expired,
    }
}

pub(super) fn message(lease: &Lease) -> v1::Lease {
    let (state, ends) = match lease.stage {
        Stage::Intent => (v1::LeaseState::Intent, None),
        Stage::Issued { .. } => (v1::LeaseState::Issued, None),
        Stage::Stopping { cause, progress } => (state(progress), Some(cause)),
    };
    let kill = ends.and_then(StopCause::kill);
    let worst = Some(lease.worst_expiry).filter(|at| *at != Timestamp::NEVER);
    v1::Lease {
        id: lease.id.to_string(),
        task_id: lease.task.id.to_string(),
        charter: lease.task.charter.to_string(),
        grant: lease.entry.grant.to_string(),
        role: lease.entry.role.to_string(),
        target: lease.entry.target.to_string(),
        environment: lease.task.environment.to_string(),
        agent: lease.task.agent.to_string(),
        state: state.into(),
        expire_time: time(lease.expires),
        kill_id: kill.map(|id| id.to_string()).unwrap_or_default(),
        request_time: time(lease.asked),
        worst_expire_time: worst.and_then(time),
        approval_id: lease.approval.map(|id| id.to_string()).unwrap_or_default(),
        cause: ends.map(timeline::cause_of).unwrap_or_default(),
    }
}
