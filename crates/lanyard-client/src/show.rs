//! What a call shows of who makes it, as gRPC metadata.

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

/// The longest token that goes with a call, which has to fit into the head of a request: a broker reads 32 KiB, with the proof
/// and all other fields in it, and cannot say why where a head is longer.
///
/// # Limit
/// - for: a call of the broker
/// - unit: bytes
/// - beyond: the call is not made; the message says how long the token is, and what to do
/// - test: `d12_a_token_that_no_request_can_carry_is_told_by_its_length`
const MAX_CARRIED_TOKEN_BYTES: usize = 30 * 1024;

/// What a call shows.
pub(crate) enum Shown {
    /// A token that is used up by it.
    Once(Token),
    /// A token, and a proof that its key is at hand.
    Bound { token: Token, key: Arc<ProofKey> },
    /// Nothing: TLS did.
    Nothing,
}

/// Puts it on one call.
pub(crate) struct Shows {
    shown: Shown,
    context: Arc<Context>,
}

impl Shows {
    /// Gets ready for one call: renews the session where it ends soon.
    pub(crate) async fn of(context: &Arc<Context>) -> Result<Self, ClientError> {
        let shown = match &context.identity {
            Identity::Key(_) => Shown::Once(Token::new(context.token()?)),
            Identity::TokenFile { .. } => {
                let token = context.token()?;
                let key = context.key(&mut *context.held.lock().await)?;
                Shown::Bound {
                    token: Token::new(token),
                    key,
                }
            }
            Identity::Login { .. } | Identity::Enrolled { .. } | Identity::Aws { .. } => {
                let (token, key) = context.session().await?;
                Shown::Bound { token, key }
            }
            Identity::Certificate { .. } => Shown::Nothing,
        };
        Ok(Self {
            shown,
            context: Arc::clone(context),
        })
    }

    /// The headers for one call, by the path of its method, which has no query: RFC 9449 section 4.2.
    pub(crate) fn headers(&self, path: &str) -> Result<HeaderMap, Status> {
        let mut headers = HeaderMap::new();
        let (scheme, token) = match &self.shown {
            Shown::Nothing => return Ok(headers),
            Shown::Once(token) => ("Bearer", token),
            Shown::Bound { token, key } => {
                let url = format!("{}{path}", self.context.endpoint);
                let aim = Aim {
                    method: "POST",
                    url: &url,
                };
                let proof = key
                    .prove(&aim, Some(token))
                    .map_err(|error: ContextError| Status::internal(error.to_string()))?;
                let proof = proof.parse().map_err(|_| Status::internal("no header"))?;
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
        let mut header = HeaderValue::from_str(header.expose())
            .map_err(|_| Status::unauthenticated("the identity token holds what no header can"))?;
        header.set_sensitive(true);
        headers.insert(http::header::AUTHORIZATION, header);
        Ok(headers)
    }
}

impl Interceptor for Shows {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let method = request.extensions().get::<GrpcMethod<'_>>();
        let method = method.ok_or_else(|| Status::internal("the call has no method"))?;
        let path = format!("/{}/{}", method.service(), method.method());
        let headers = self.headers(&path)?;
        request.metadata_mut().as_mut().extend(headers);
        Ok(request)
    }
}
