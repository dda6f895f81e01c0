//! Enrolling a key for an agent on a machine that no platform vouches for, and replacing it.

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
use crate::{Client, ClientError, Contexts, private};

/// What the answer to a challenge begins with.
const CHALLENGE: &[u8] = b"lanyard enrolment v1\0";

/// The broker that an agent joins, and under which name that is kept.
#[derive(Debug, Clone)]
pub struct Joining<'a> {
    /// The address of the broker.
    pub endpoint: &'a str,
    /// What its certificate is held against, in PEM; the system's roots where absent.
    pub ca_file: Option<&'a Path>,
    /// The name of the context that is made.
    pub context: &'a str,
}

/// Shows an invitation, enrols a fresh key, and writes the context that uses it. The key does not leave this machine.
///
/// # Errors
/// See [`ClientError`]. A key that was made is kept: the same invitation can be shown again with it while it is good.
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
        (joining.endpoint, joining.ca_file),
        &enrolled,
    )?;
    Ok(joined)
}

/// Replaces the key of the agent of this context. The new one is on disk before the broker hears of it, so that nothing is
/// lost whatever happens in between.
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
    let kept = |source| ContextError::Kept {
        path: next.clone(),
        source,
    };
    match rotated {
        Ok(_) => {
            std::fs::rename(&next, &key_file).map_err(kept)?;
            client.context().drop_session().await?;
        }
        // The broker may have the next key from a time before, whose answer was lost.
        Err(ClientError::NotLoggedIn(why)) => {
            let old = key_file.with_extension("key.before");
            std::fs::rename(&key_file, &old).map_err(kept)?;
            std::fs::rename(&next, &key_file).map_err(kept)?;
            let mut client = Client::connect(context).await?;
            client.context().drop_session().await?;
            if client.who_am_i(v1::WhoAmIRequest {}).await.is_err() {
                std::fs::rename(&key_file, &next).map_err(kept)?;
                std::fs::rename(&old, &key_file).map_err(kept)?;
                return Err(ClientError::NotLoggedIn(why));
            }
            private::delete(&old).map_err(kept)?;
        }
        Err(other) => return Err(other),
    }
    Ok(())
}

fn answer(signer: &Signer, what: &str) -> String {
    let message = [CHALLENGE, what.as_bytes()].concat();
    URL_SAFE_NO_PAD.encode(signer.raw(&message))
}

/// The key of this file, made where there is none.
fn made(path: &Path) -> Result<Signer, ContextError> {
    let kept = |source| ContextError::Kept {
        path: PathBuf::from(path),
        source,
    };
    if let Some(folder) = path.parent() {
        private::folder(folder).map_err(kept)?;
    }
    if !path.exists() {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let made = made.map_err(|_| ContextError::System)?;
        private::create(path, made.as_ref()).map_err(kept)?;
    }
    Signer::private(path)
}
