//! Scopes that a route demands of an accepted token.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::accepted::Accepted;
use crate::layer::refused;
use crate::refusal::Refusal;

/// A layer for a route whose callers need all of these scopes. The verifier's own layer goes around
/// it; a request that the verifier has not accepted is refused here too.
#[must_use]
pub fn require_scopes<T: Into<String>>(scopes: impl IntoIterator<Item = T>) -> RequireScopes {
    RequireScopes(scopes.into_iter().map(Into::into).collect())
}

/// A layer that wraps a service in [`Scoped`].
#[derive(Debug, Clone)]
pub struct RequireScopes(Arc<[String]>);

impl<S> Layer<S> for RequireScopes {
    type Service = Scoped<S>;

    fn layer(&self, inner: S) -> Scoped<S> {
        let scopes = Arc::clone(&self.0);
        Scoped { scopes, inner }
    }
}

/// A service that only callers with certain scopes reach.
#[derive(Debug, Clone)]
pub struct Scoped<S> {
    scopes: Arc<[String]>,
    inner: S,
}

impl<S> Scoped<S> {
    fn judge<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let accepted = request.extensions().get::<Accepted>();
        let accepted = accepted.ok_or(Refusal::Absent)?;
        if accepted.gives(self.scopes.iter().map(String::as_str)) {
            Ok(())
        } else {
            let needed = self.scopes.join(" ");
            Err(Refusal::Scope { needed })
        }
    }
}

impl<S, B, R> Service<Request<B>> for Scoped<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: From<String> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.judge(&request) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(refusal) => Box::pin(std::future::ready(Ok(refused(&refusal)))),
        }
    }
}
