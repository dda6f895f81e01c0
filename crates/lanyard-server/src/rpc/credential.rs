//! CredentialService.

use lanyard_charter::kinds::{
    AwsCredential, Credential, GitHubCredential, KubernetesCredential, TokenCredential,
    VaultCredential, VaultSecretCredential,
};
use lanyard_core::provider::Revocability;
use lanyard_engine::mint::IssueRequest;
use lanyard_identity::Verified;
use lanyard_proto::v1;
use lanyard_proto::v1::credential_service_server::CredentialService;
use lanyard_vocabulary::id::LeaseId;
use lanyard_vocabulary::time::Ttl;
use tonic::{Request, Response, Status};

use super::{SEES_ORDERS, Services, duration, leases, time};
use crate::fields::{parsed, request_id};
use crate::gated::Gated;
use crate::refusal;
use crate::refused::Refused;

#[tonic::async_trait]
impl CredentialService for Services {
    async fn issue_credential(
        &self,
        request: Request<v1::IssueCredentialRequest>,
    ) -> Result<Response<v1::IssueCredentialResponse>, Status> {
        let caller = self.agent(&request).await?;
        let request = request.into_inner();
        let plan = Some(request.plan_id).filter(|id| !id.is_empty());
        let ask = IssueRequest {
            task: parsed("task_id", &request.task_id)?,
            grant: parsed("grant", &request.grant)?,
            ttl: request.ttl.map(ttl).transpose()?,
            plan: plan.map(|id| parsed("plan_id", &id)).transpose()?,
            request: request_id(request.request_id)?,
        };
        if request.validate_only {
            self.0
                .engine
                .mints()
                .validate(&caller, &ask)
                .await
                .map_err(|error| self.refused(error))?;
            return Ok(Response::new(v1::IssueCredentialResponse::default()));
        }
        let issued = self
            .0
            .engine
            .mints()
            .issue(&caller, &ask)
            .await
            .map_err(|error| self.refused(error))?;
        let lifetime = issued.expires.since(self.0.engine.clock().now());
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
            .expiry()
            .release(&caller.identity, id)
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
        let found = self.0.engine.context().query(|state| {
            let lease = state.leases().get(id)?;
            let may = match &caller {
                Verified::Agent(caller) => lease.task.identity == caller.identity,
                Verified::Operator(..) => true,
            };
            may.then(|| leases::message(lease))
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

fn ttl(span: prost_types::Duration) -> Result<Ttl, Refused> {
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
    let kind = if let Some(TokenCredential { jwt }) = credential.get() {
        Kind::Token(v1::TokenCredential {
            jwt: jwt.expose().clone(),
        })
    } else if let Some(aws) = credential.get::<AwsCredential>() {
        Kind::Aws(v1::AwsCredential {
            access_key_id: aws.access_key_id.clone(),
            secret_access_key: aws.secret_access_key.expose().clone(),
            session_token: aws.session_token.expose().clone(),
            region: aws.region.clone(),
        })
    } else if let Some(kubernetes) = credential.get::<KubernetesCredential>() {
        Kind::Kubernetes(v1::KubernetesCredential {
            server: kubernetes.server.clone(),
            certificate_authority: kubernetes.certificate_authority.clone(),
            tls_server_name: kubernetes.tls_server_name.clone(),
            proxy_url: kubernetes.proxy_url.clone(),
            namespace: kubernetes.namespace.clone(),
            token: kubernetes.token.expose().clone(),
        })
    } else if let Some(vault) = credential.get::<VaultCredential>() {
        Kind::Vault(v1::VaultCredential {
            address: vault.address.clone(),
            namespace: vault.namespace.clone(),
            certificate_authority: vault.certificate_authority.clone(),
            token: vault.token.expose().clone(),
        })
    } else if let Some(VaultSecretCredential { path, data }) = credential.get() {
        Kind::VaultSecret(v1::VaultSecretCredential {
            path: path.clone(),
            data: data
                .iter()
                .map(|(field, value)| (field.clone(), value.expose().clone()))
                .collect(),
        })
    } else if let Some(github) = credential.get::<GitHubCredential>() {
        Kind::Github(v1::GitHubCredential {
            host: github.host.clone(),
            api: github.api.clone(),
            owner: github.owner.clone(),
            repositories: github.repositories.iter().cloned().collect(),
            token: github.token.expose().clone(),
        })
    } else {
        let values = credential.values().into_iter();
        let secrets = credential.secrets().into_iter();
        Kind::Other(v1::OtherCredential {
            kind: credential.kind().to_string(),
            values: values
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            secrets: secrets
                .map(|(name, value)| (name.to_owned(), value.expose().clone()))
                .collect(),
        })
    };
    v1::Credential { kind: Some(kind) }
}
