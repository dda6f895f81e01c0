//! A bare server to compare issuing with: it takes the same call over the same TLS, and answers
//! with fixed bytes, signed if required.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Result, bail};
use lanyard_proto::v1;
use lanyard_proto::v1::credential_service_server::{CredentialService, CredentialServiceServer};
use ring::signature::Ed25519KeyPair;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

struct Echo(Option<Ed25519KeyPair>);

#[tonic::async_trait]
impl CredentialService for Echo {
    async fn issue_credential(
        &self,
        request: Request<v1::IssueCredentialRequest>,
    ) -> Result<Response<v1::IssueCredentialResponse>, Status> {
        let request = request.into_inner();
        let mut jwt = "x".repeat(600);
        if let Some(pair) = &self.0 {
            let signature = pair.sign(jwt.as_bytes());
            jwt.push(char::from(
                signature.as_ref().first().map_or(b'x', |byte| byte & 0x7f),
            ));
        }
        let kind = v1::credential::Kind::Token(v1::TokenCredential { jwt });
        Ok(Response::new(v1::IssueCredentialResponse {
            lease_id: request.task_id,
            credential: Some(v1::Credential { kind: Some(kind) }),
            ..Default::default()
        }))
    }

    async fn release_lease(
        &self,
        _request: Request<v1::ReleaseLeaseRequest>,
    ) -> Result<Response<v1::ReleaseLeaseResponse>, Status> {
        Err(Status::not_found("this is an echo"))
    }

    async fn list_leases(
        &self,
        _request: Request<v1::ListLeasesRequest>,
    ) -> Result<Response<v1::ListLeasesResponse>, Status> {
        Err(Status::not_found("this is an echo"))
    }

    async fn get_lease(
        &self,
        _request: Request<v1::GetLeaseRequest>,
    ) -> Result<Response<v1::GetLeaseResponse>, Status> {
        Err(Status::not_found("this is an echo"))
    }

    async fn list_holders(
        &self,
        _request: Request<v1::ListHoldersRequest>,
    ) -> Result<Response<v1::ListHoldersResponse>, Status> {
        Err(Status::not_found("this is an echo"))
    }
}

pub(crate) async fn run(listen: SocketAddr, directory: &Path, sign: bool) -> Result<()> {
    let pair = if sign {
        let pkcs8 = std::fs::read(directory.join("dev-issuer.pk8"))?;
        match Ed25519KeyPair::from_pkcs8(&pkcs8) {
            Ok(pair) => Some(pair),
            Err(error) => bail!("the key cannot be read: {error}"),
        }
    } else {
        None
    };
    let certificate = std::fs::read(directory.join("dev-tls.pem"))?;
    let key = std::fs::read(directory.join("dev-tls.key"))?;
    let identity = Identity::from_pem(certificate, key);
    Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))?
        .add_service(CredentialServiceServer::new(Echo(pair)))
        .serve(listen)
        .await?;
    Ok(())
}
