//! SigningKeyService.

use lanyard_proto::v1;
use lanyard_proto::v1::signing_key_service_server::SigningKeyService;
use lanyard_provider_token::{KeyringError, PUBLISHED_BEFORE_USE, PublishedKey};
use lanyard_vocabulary::operator::OperatorRole;
use tonic::{Request, Response, Status};

use super::{Services, time};
use crate::fields::text;
use crate::refusal;
use crate::signing_keys::{self, ChangeError};

#[tonic::async_trait]
impl SigningKeyService for Services {
    async fn list_signing_keys(
        &self,
        request: Request<v1::ListSigningKeysRequest>,
    ) -> Result<Response<v1::ListSigningKeysResponse>, Status> {
        self.operator(&request, OperatorRole::Viewer).await?;
        let now = self.0.engine.clock().now();
        let keys = self.0.keyring.published(now);
        let keys = keys.into_iter().map(|key| self.signing_key(key)).collect();
        Ok(Response::new(v1::ListSigningKeysResponse { keys }))
    }

    async fn rotate_signing_key(
        &self,
        request: Request<v1::RotateSigningKeyRequest>,
    ) -> Result<Response<v1::RotateSigningKeyResponse>, Status> {
        let operator = self.operator(&request, OperatorRole::Admin).await?;
        let reason = text("reason", request.into_inner().reason)?;
        let made = signing_keys::rotate(&self.0, operator.identity, reason).await;
        let made = made.map_err(refused)?;
        Ok(Response::new(v1::RotateSigningKeyResponse {
            key: Some(self.signing_key(made)),
        }))
    }

    async fn revoke_signing_key(
        &self,
        request: Request<v1::RevokeSigningKeyRequest>,
    ) -> Result<Response<v1::RevokeSigningKeyResponse>, Status> {
        // Whoever may stop everything may stop what one key signed.
        let roles = [OperatorRole::OnCall, OperatorRole::Admin];
        let operator = self.operator_with(&request, &roles).await?;
        let request = request.into_inner();
        let kid = text("kid", request.kid)?;
        let reason = text("reason", request.reason)?;
        let successor = signing_keys::revoke(&self.0, &kid, operator.identity, reason).await;
        let successor = successor.map_err(refused)?;
        let now = self.0.engine.clock().now();
        Ok(Response::new(v1::RevokeSigningKeyResponse {
            successor: successor.map(|key| self.signing_key(key)),
            cached_until_time: time(now + PUBLISHED_BEFORE_USE),
        }))
    }
}

impl Services {
    fn signing_key(&self, key: PublishedKey) -> v1::SigningKey {
        let signing = self.0.keyring.signing(self.0.engine.clock().now());
        v1::SigningKey {
            signs: signing.is_some_and(|kid| kid == key.kid),
            sign_from_time: time(key.signs_from),
            sign_until_time: key.signs_until.and_then(time),
            retire_time: key.retires.and_then(time),
            kid: key.kid,
        }
    }
}

fn refused(error: ChangeError) -> Status {
    match error {
        ChangeError::Keyring(KeyringError::Unknown(_)) => refusal::not_found("signing key").into(),
        ChangeError::Keyring(error @ KeyringError::TooMany) => {
            Status::failed_precondition(error.to_string())
        }
        ChangeError::Keyring(
            error @ (KeyringError::File(_)
            | KeyringError::NoRandomness
            | KeyringError::Unwritten { .. }
            | KeyringError::Undeleted { .. }),
        ) => {
            tracing::error!(%error, "the signing keys");
            Status::internal(error.to_string())
        }
        error @ ChangeError::Unrecorded(_) => Status::unavailable(error.to_string()),
    }
}
