//! The tower middleware: an accepted request goes on with [`Accepted`] in its extensions and
//! without its token.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::refusal::Refusal;
use crate::verifier::{DPOP, Verifier};

/// A layer that wraps a service in [`Verified`].
#[derive(Debug, Clone)]
pub struct VerifierLayer(Verifier);

impl Verifier {
    /// The middleware that admits accepted requests. Put it around the whole service, so that it
    /// sees the path that the caller asked for.
    #[must_use]
    pub fn layer(&self) -> VerifierLayer {
        VerifierLayer(self.clone())
    }
}

impl<S> Layer<S> for VerifierLayer {
    type Service = Verified<S>;

    fn layer(&self, inner: S) -> Verified<S> {
        let verifier = self.0.clone();
        Verified { verifier, inner }
    }
}

/// A service that only accepted callers reach. The request that it gets has neither `Authorization`
/// nor `DPoP`, so that nothing behind it can log a token or pass one on.
#[derive(Debug, Clone)]
pub struct Verified<S> {
    verifier: Verifier,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Verified<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: From<String> + Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Takes the service that `poll_ready` has made ready; its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let verifier = self.verifier.clone();
        let (mut head, body) = request.into_parts();
        Box::pin(async move {
            match verifier.accept(&head).await {
                Ok(accepted) => {
                    head.headers.remove(AUTHORIZATION);
                    head.headers.remove(DPOP);
                    head.extensions.insert(accepted);
                    inner.call(Request::from_parts(head, body)).await
                }
                Err(refusal) => Ok(refused(&refusal)),
            }
        })
    }
}

/// Builds the answer to a refused request, and logs the reason with its source, which the caller is
/// not told.
pub(crate) fn refused<R: From<String>>(refusal: &Refusal) -> Response<R> {
    let source = std::error::Error::source(refusal);
    let source = source.map(tracing::field::display);
    let status = refusal.status().as_u16();
    tracing::info!(%refusal, source, status, "a request is refused");
    refusal.response()
}
