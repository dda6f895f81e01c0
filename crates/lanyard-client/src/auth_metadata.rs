//! The gRPC metadata that authenticates the caller of one call.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use tonic::service::Interceptor;
use tonic::{GrpcMethod, Request, Status};

use crate::context::Context;
use crate::context_error::ContextError;
use crate::error::ClientError;
use crate::identity::Identity;
use crate::proof::{Aim, ProofKey};
use crate::secret::Token;
use crate::session::Age;

/// Longest token that goes with a call. It has to fit into the head of a request: a broker reads
/// 32 KiB, with the proof and all other fields in it, and cannot say why where a head is longer.
///
/// # Limit
/// - for: a call of the broker
/// - unit: bytes
/// - beyond: the call is not made; the message says how long the token is, and what to do
/// - test: `d12_a_token_too_long_for_a_request_is_refused_with_its_length`
const MAX_CARRIED_TOKEN_BYTES: usize = 30 * 1024;

/// The credential that a call carries.
pub(crate) enum Authentication {
    /// A bearer token that is accepted once.
    Bearer(Token),
    /// A token, and the key that signs a proof of possession for each call.
    Bound { token: Token, key: Arc<ProofKey> },
    /// Adds nothing: the TLS client certificate authenticates.
    Certificate,
}

/// Adds the authentication to the calls of one request.
pub(crate) struct AuthMetadata {
    authentication: Authentication,
    context: Arc<Context>,
}

impl AuthMetadata {
    /// Obtains the credential for one call, and renews a session that expires soon.
    pub(crate) async fn of(context: &Arc<Context>) -> Result<Self, ClientError> {
        Self::with(context, Age::Fresh).await
    }

    /// Obtains the credential for a kill order. The broker accepts kill orders under a session that
    /// has expired, so no kill waits for an identity provider while a session is stored.
    pub(crate) async fn of_kill(context: &Arc<Context>) -> Result<Self, ClientError> {
        Self::with(context, Age::Any).await
    }

    async fn with(context: &Arc<Context>, age: Age) -> Result<Self, ClientError> {
        let authentication = match &context.identity {
            Identity::Key(_) => Authentication::Bearer(context.token()?),
            Identity::TokenFile { .. } => {
                let token = context.token()?;
                let key = context.key(&mut *context.cache.lock().await)?;
                Authentication::Bound { token, key }
            }
            Identity::Login { .. } | Identity::Enrolled { .. } | Identity::Aws { .. } => {
                let (token, key) = context.session(age).await?;
                Authentication::Bound { token, key }
            }
            Identity::Certificate { .. } => Authentication::Certificate,
        };
        Ok(Self {
            authentication,
            context: Arc::clone(context),
        })
    }

    /// Returns the headers for the method at `path`. The path has no query, as RFC 9449 section 4.2
    /// asks for the proof.
    pub(crate) fn headers(&self, path: &str) -> Result<HeaderMap, Status> {
        let mut headers = HeaderMap::new();
        let (scheme, token) = match &self.authentication {
            Authentication::Certificate => return Ok(headers),
            Authentication::Bearer(token) => ("Bearer", token),
            Authentication::Bound { token, key } => {
                let url = format!("{}{path}", self.context.called());
                let aim = Aim {
                    method: "POST",
                    url: &url,
                };
                let proof = key
                    .prove(&aim, Some(token))
                    .map_err(|error: ContextError| Status::internal(error.to_string()))?;
                let proof = proof
                    .parse()
                    .map_err(|_| Status::internal("the proof is no valid header"))?;
                headers.insert("dpop", proof);
                ("DPoP", token)
            }
        };
        let bytes = token.expose().len();
        if bytes > MAX_CARRIED_TOKEN_BYTES {
            return Err(Status::unauthenticated(format!(
                "the token has {bytes} bytes, and no request carries more than {MAX_CARRIED_TOKEN_BYTES}: have its issuer put \
                 fewer groups and claims into it"
            )));
        }
        let header = Token::new(format!("{scheme} {}", token.expose()));
        let mut header = HeaderValue::from_str(header.expose()).map_err(|_| {
            Status::unauthenticated("the identity token holds characters that a header must not")
        })?;
        header.set_sensitive(true);
        headers.insert(http::header::AUTHORIZATION, header);
        Ok(headers)
    }
}

impl Interceptor for AuthMetadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let method = request.extensions().get::<GrpcMethod<'_>>();
        let method = method.ok_or_else(|| Status::internal("the call has no method"))?;
        let path = format!("/{}/{}", method.service(), method.method());
        let headers = self.headers(&path)?;
        request.metadata_mut().as_mut().extend(headers);
        Ok(request)
    }
}
