//! The body of an answer that holds a secret: its first frame goes through the release gate.
//!
//! "Handed over" means handed to the transport. So the gate's test is made where the transport asks
//! for the frame, not where the answer was put together: whatever happens in between, a kill that
//! has been answered finds the gate closed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use lanyard_engine::mint::Release;
use parking_lot::Mutex;
use tonic::Status;

use crate::refusal;
use crate::request_bodies::is_grpc;

/// The right to hand over an answer's secret, carried by the answer so that its body is gated.
#[derive(Clone)]
pub(crate) struct Gated(Arc<Mutex<Option<Release>>>);

impl Gated {
    pub(crate) fn new(release: Release) -> Self {
        Self(Arc::new(Mutex::new(Some(release))))
    }
}

/// Puts the release gate before the body of an answer that carries the right.
pub(crate) async fn gate(mut response: Response) -> Response {
    match response.extensions_mut().remove::<Gated>() {
        Some(gated) => {
            let is_grpc = is_grpc(response.headers());
            response.map(|inner| {
                Body::new(GatedBody {
                    inner,
                    gated: Some(gated),
                    is_grpc,
                })
            })
        }
        None => response,
    }
}

struct GatedBody {
    inner: Body,
    gated: Option<Gated>,
    is_grpc: bool,
}

impl http_body::Body for GatedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(gated) = self.gated.take() else {
            return Pin::new(&mut self.inner).poll_frame(context);
        };
        let frame = match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Pending => {
                self.gated = Some(gated);
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        let Some(release) = gated.0.lock().take() else {
            return Poll::Ready(None);
        };
        match release.hand_over(|| frame) {
            Ok(frame) => Poll::Ready(frame),
            Err(closed) => {
                self.inner = Body::empty();
                if !self.is_grpc {
                    // The status line has been promised: what can be said is that no answer came.
                    return Poll::Ready(Some(Err(axum::Error::new(closed))));
                }
                let mut trailers = HeaderMap::new();
                let added = Status::from(refusal::closed(&closed)).add_header(&mut trailers);
                Poll::Ready(Some(match added {
                    Ok(()) => Ok(Frame::trailers(trailers)),
                    Err(error) => Err(axum::Error::new(error)),
                }))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
