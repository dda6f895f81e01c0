//! Enrolling a key for an agent on a machine that no platform vouches for, and rotating it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_proto::v1;
use lanyard_proto::v1::identity_service_client::IdentityServiceClient;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use tonic::transport::Channel;

use crate::calls::channel;
use crate::context_error::ContextError;
use crate::endpoint::travels_safely;
use crate::identity::EnrolledIdentity;
use crate::signer::Signer;
use crate::{Broker, Client, ClientError, Contexts, secret_files};

/// Domain separation: the signature over a challenge is valid for nothing else.
const CHALLENGE: &[u8] = b"lanyard enrolment v1\0";

/// The broker that an agent joins, and the name of the context to create.
#[derive(Debug, Clone)]
pub struct Joining<'a> {
    /// Base URL of the broker.
    pub endpoint: &'a str,
    /// PEM file with the trust anchors for the broker's certificate. `None` means the system's
    /// roots.
    pub ca_file: Option<&'a Path>,
    /// Name of the context to create.
    pub context: &'a str,
}

/// Enrols a fresh key with an invitation and writes the context that uses the key. The private key
/// stays on this machine.
///
/// # Errors
/// See [`ClientError`]. The key file stays on disk after a failure, so that a retry with the same
/// invitation uses the same key.
pub async fn join(
    contexts: &Contexts,
    joining: &Joining<'_>,
    join_token: &str,
) -> Result<v1::CompleteEnrolmentResponse, ClientError> {
    if !travels_safely(joining.endpoint) {
        return Err(ContextError::Clear(joining.endpoint.to_owned()).into());
    }
    let path = contexts.path(joining.context)?;
    if path.exists() {
        return Err(ContextError::Taken(path).into());
    }
    let key_file = path.with_extension("key");
    let signer = made(&key_file)?;
    let public_key = signer.x();
    let authority = joining.ca_file.map(crate::public_file::read).transpose()?;
    let channel = channel(joining.endpoint, authority.as_deref(), None).await?;
    let mut broker = IdentityServiceClient::<Channel>::new(channel);
    let begin = v1::BeginEnrolmentRequest {
        join_token: join_token.to_owned(),
        public_key: public_key.clone(),
    };
    let challenge = broker.begin_enrolment(begin).await?.into_inner().challenge;
    let complete = v1::CompleteEnrolmentRequest {
        join_token: join_token.to_owned(),
        public_key,
        signature: answer(&signer, &challenge),
        challenge,
    };
    let joined = broker.complete_enrolment(complete).await?.into_inner();
    let enrolled = EnrolledIdentity {
        issuer: joined.issuer.clone(),
        subject: joined.subject.clone(),
        audience: joined.audience.clone(),
        key_file,
    };
    contexts.write_enrolled(
        joining.context,
        Broker {
            endpoint: joining.endpoint,
            kill_endpoint: None,
            ca_file: joining.ca_file,
        },
        &enrolled,
    )?;
    Ok(joined)
}

/// Replaces the key of the enrolled agent. The new key is on disk before the broker learns of it,
/// so a crash at any point leaves a key that the broker accepts.
///
/// # Errors
/// See [`ClientError`].
pub async fn rotate(context: &Path) -> Result<(), ClientError> {
    let mut client = Client::connect(context).await?;
    let key_file = client.context().enrolled_key()?;
    let next = key_file.with_extension("key.next");
    let (before, after) = (Signer::private(&key_file)?, made(&next)?);
    let request = v1::RotateAgentKeyRequest {
        public_key: after.x(),
        signature: answer(&after, &before.thumbprint()),
    };
    let rotated = client.rotate_agent_key(request).await;
    let storage_error = |source| ContextError::Storage {
        path: next.clone(),
        source,
    };
    match rotated {
        Ok(_) => {
            std::fs::rename(&next, &key_file).map_err(storage_error)?;
            client.context().drop_session().await?;
        }
        // An earlier rotation may have reached the broker while its answer was lost. Then the
        // broker knows `next` alone: try it, and put the old key back if the broker refuses it too.
        Err(ClientError::NotLoggedIn(why)) => {
            let old = key_file.with_extension("key.before");
            std::fs::rename(&key_file, &old).map_err(storage_error)?;
            std::fs::rename(&next, &key_file).map_err(storage_error)?;
            let mut client = Client::connect(context).await?;
            client.context().drop_session().await?;
            if client.who_am_i(v1::WhoAmIRequest {}).await.is_err() {
                std::fs::rename(&key_file, &next).map_err(storage_error)?;
                std::fs::rename(&old, &key_file).map_err(storage_error)?;
                return Err(ClientError::NotLoggedIn(why));
            }
            secret_files::delete(&old).map_err(storage_error)?;
        }
        Err(other) => return Err(other),
    }
    Ok(())
}

fn answer(signer: &Signer, what: &str) -> String {
    let message = [CHALLENGE, what.as_bytes()].concat();
    URL_SAFE_NO_PAD.encode(signer.raw(&message))
}

/// Opens the key in `path`, and generates one first if the file is missing.
fn made(path: &Path) -> Result<Signer, ContextError> {
    let storage_error = |source| ContextError::Storage {
        path: PathBuf::from(path),
        source,
    };
    if let Some(folder) = path.parent() {
        secret_files::folder(folder).map_err(storage_error)?;
    }
    if !path.exists() {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| ContextError::System)?;
        secret_files::create(path, made.as_ref()).map_err(storage_error)?;
    }
    Signer::private(path)
}
