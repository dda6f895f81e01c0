//! Calls of other programs, forwarded to the broker with the identity of this context.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, header};
use http_body_util::Full;
use tonic::body::Body;
use tonic::codegen::Service as _;

use crate::auth_metadata::AuthMetadata;
use crate::calls::Client;
use crate::error::ClientError;
use crate::watches::ConnectionShare;

/// Headers of the caller that are forwarded. Headers that could authenticate somebody are left out.
const PASSED: [&str; 4] = ["grpc-timeout", "traceparent", "tracestate", "user-agent"];

/// The body of a streaming call. Dropping the body frees its slot on the connection.
struct Lasting {
    body: Body,
    _place: ConnectionShare,
}

impl http_body::Body for Lasting {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }
}

impl Client {
    /// Forwards one gRPC call with a complete body to the method at `path`.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`], or an error of the identity. A refusal by the broker is part
    /// of the response.
    pub async fn forward(
        &self,
        path: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Body>, ClientError> {
        let mut again = true;
        loop {
            let answer = self.pass(path, headers, body.clone()).await?;
            let unknown = answer
                .headers()
                .get("grpc-status")
                .is_some_and(|code| code == "16");
            // The broker restarted, dropped the session or ended it. One retry with a new session
            // can succeed.
            if !(again && unknown && self.context().forget_session().await?) {
                return Ok(answer);
            }
            again = false;
        }
    }

    async fn pass(
        &self,
        path: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response<Body>, ClientError> {
        let metadata = AuthMetadata::of(self.shared_context()).await?;
        let mut request = Request::new(Body::new(Full::new(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.clone();
        let own = request.headers_mut();
        own.extend(metadata.headers(path.path())?);
        own.insert(header::TE, http::HeaderValue::from_static("trailers"));
        let grpc = http::HeaderValue::from_static("application/grpc");
        own.insert(header::CONTENT_TYPE, grpc);
        for name in PASSED {
            if let Some(value) = headers.get(name) {
                own.insert(name, value.clone());
            }
        }
        // Streams last for hours. On a connection of their own they take no stream ids from unary
        // calls.
        let lasting = path
            .path()
            .rsplit('/')
            .next()
            .is_some_and(|it| it.starts_with("Watch"));
        if lasting {
            let place = self.watching().await?;
            let mut channel = place.channel.clone();
            std::future::poll_fn(|context| channel.poll_ready(context)).await?;
            let answer = channel.call(request).await?;
            return Ok(answer.map(|body| {
                Body::new(Lasting {
                    body,
                    _place: place,
                })
            }));
        }
        let mut channel = self.channel();
        std::future::poll_fn(|context| channel.poll_ready(context)).await?;
        Ok(channel.call(request).await?)
    }
}
