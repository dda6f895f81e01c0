//! Bodies under way: peers must send what they announced, and take what they asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::traffic::{Exchange, Traffic};

/// The part of a body that earns another second, in bytes.
const SECOND: usize = 1024;

/// The reason why the rest of a request's body does not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body of the request came too slowly")]
    Slow,
    #[error("the body of the request broke off")]
    Broken(#[source] hyper::Error),
}

/// The body of a request. It may keep its reader waiting for a bounded time, which grows with what
/// arrives.
pub(super) struct Received {
    body: Incoming,
    traffic: Arc<Traffic>,
    most: Duration,
    left: Duration,
    waiting: Option<(Pin<Box<Sleep>>, Instant)>,
}

impl Received {
    pub(super) const fn new(body: Incoming, traffic: Arc<Traffic>, most: Duration) -> Self {
        Self {
            body,
            traffic,
            most,
            left: most,
            waiting: None,
        }
    }

    /// Credits what arrived against the time waited.
    fn came(&mut self, bytes: usize) {
        if let Some((_, since)) = self.waiting.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        let earned = Duration::from_secs(1).mul_f64(bytes as f64 / SECOND as f64);
        self.left = self.left.saturating_add(earned).min(self.most);
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = Pin::new(&mut self.body);
        if let Poll::Ready(frame) = body.poll_frame(context) {
            if let Some(Ok(frame)) = &frame {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.traffic.asked_for(bytes);
                self.came(bytes);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)));
        }
        let left = self.left;
        let (until, _) = self
            .waiting
            .get_or_insert_with(|| (Box::pin(sleep(left)), Instant::now()));
        ready!(until.as_mut().poll(context));
        Poll::Ready(Some(Err(BodyError::Slow)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer. While data is there and nobody asks for it, the answer waits for its
/// peer.
pub(super) struct Answered {
    body: Body,
    exchange: Exchange,
}

impl Answered {
    pub(super) fn new(body: Body, exchange: Exchange) -> Self {
        exchange.waits_for_peer();
        Self { body, exchange }
    }
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.exchange.waits_for_us();
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.exchange.waits_for_peer();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
