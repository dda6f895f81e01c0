//! The bodies of requests that are in memory: one budget of bytes for all of them, and a share of
//! it for each address that peers come from (T44). The peer is not known by more than its address
//! here: bodies are read before callers are verified.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body as _, Frame, SizeHint};
use parking_lot::Mutex;
use tonic::Status;

use crate::peer::PeerAddress;
use crate::refusal;
use crate::refused::Refused;
use crate::shares::{Share, Shares};

/// The bodies of requests that are in memory at a time; one address may hold half of it. What is
/// made of a body takes about as much again.
///
/// # Limit
/// - for: all peers of a listener together
/// - unit: bytes
/// - beyond: the request is refused with `RESOURCE_EXHAUSTED` (HTTP 429); the kill plane has a
///   budget of its own
/// - test: `s07_bodies_of_strangers_take_a_bounded_part_of_the_memory_and_leave_room_for_others`
const MAX_BODY_BYTES: u64 = 40 * 1024 * 1024;
/// The bodies of requests to the kill plane that are in memory at a time; one address may hold half
/// of it.
///
/// # Limit
/// - for: all peers of the kill plane together
/// - unit: bytes
/// - beyond: the request is refused with `RESOURCE_EXHAUSTED` (HTTP 429)
/// - test: `s07_bodies_of_strangers_take_a_bounded_part_of_the_memory_and_leave_room_for_others`
const MAX_KILL_BODY_BYTES: u64 = 16 * 1024 * 1024;
/// Requests that are not answered yet, with or without a body; one address may have half of them. A
/// watch is answered when it begins.
///
/// # Limit
/// - for: all peers of a listener together
/// - unit: requests
/// - beyond: the request is refused with `RESOURCE_EXHAUSTED` (HTTP 429); the kill plane counts its
///   own
/// - test: `s07_requests_that_are_not_answered_are_bounded_and_leave_room_for_other_addresses`
const MAX_REQUESTS: u64 = 4_096;

/// The budget of one listener.
#[derive(Debug, Clone)]
pub(crate) struct BodyBudget {
    bytes: Shares<Option<IpAddr>>,
    requests: Shares<Option<IpAddr>>,
}

impl BodyBudget {
    /// The budget of an ordinary listener.
    pub(crate) fn of_all() -> Self {
        Self::new(MAX_BODY_BYTES, MAX_REQUESTS)
    }

    /// The budget of the kill plane.
    pub(crate) fn of_kills() -> Self {
        Self::new(MAX_KILL_BODY_BYTES, MAX_REQUESTS)
    }

    /// Makes a budget. One address, which may be a proxy for many, gets half, as with connections.
    fn new(bytes: u64, requests: u64) -> Self {
        Self {
            bytes: Shares::new(bytes, bytes / 2),
            requests: Shares::new(requests, requests / 2),
        }
    }
}

/// The bytes of one request. They count until the request is answered and its body is dropped,
/// because the handler may hold them until then.
#[derive(Debug)]
struct BodyShare {
    share: Share<Option<IpAddr>>,
    refused: bool,
}

/// Counts the body of a request while it is read, and ends it if there is no room.
pub(crate) async fn metered(
    State(budget): State<BodyBudget>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<PeerAddress>();
    let peer = peer.map(PeerAddress::network);
    let Ok(_place) = budget.requests.take(peer, 1) else {
        return refused(&refusal::no_room(), is_grpc(request.headers()));
    };
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let share = budget.bytes.of(peer);
    let held = Arc::new(Mutex::new(BodyShare {
        share,
        refused: false,
    }));
    let counted = Arc::clone(&held);
    let request = request.map(|inner| {
        Body::new(Metered {
            inner,
            held: counted,
        })
    });
    let response = next.run(request).await;
    if held.lock().refused && !is_grpc(response.headers()) {
        return refusal::refused(&refusal::no_memory());
    }
    response
}

/// The refusal of a request that nothing was read of.
pub(crate) fn refused(why: &Refused, is_grpc: bool) -> Response {
    if is_grpc {
        Status::from(why.clone()).into_http()
    } else {
        refusal::refused(why)
    }
}

/// The size of a body that follows this many bytes.
pub(crate) fn size_after(bytes: usize, body: &SizeHint) -> SizeHint {
    let bytes = bytes as u64;
    let mut hint = SizeHint::new();
    hint.set_lower(body.lower().saturating_add(bytes));
    if let Some(upper) = body.upper() {
        hint.set_upper(upper.saturating_add(bytes));
    }
    hint
}

/// True if these headers are those of a gRPC message.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

struct Metered {
    inner: Body,
    held: Arc<Mutex<BodyShare>>,
}

impl http_body::Body for Metered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => 0,
        };
        let mut held = self.held.lock();
        if let Err(full) = held.share.grow(bytes as u64) {
            if !held.refused {
                tracing::warn!(%full, "the body of a request was refused: too many bytes of bodies are in memory");
            }
            held.refused = true;
            drop(held);
            self.inner = Body::empty();
            return Poll::Ready(Some(Err(axum::Error::new(Status::from(
                refusal::no_memory(),
            )))));
        }
        drop(held);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use http::StatusCode;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    type Chunks = Sender<Result<Frame<Bytes>, axum::Error>>;

    /// A body whose frames arrive when the test sends them.
    struct Sent(Receiver<Result<Frame<Bytes>, axum::Error>>);

    impl http_body::Body for Sent {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            self.0.poll_recv(context)
        }
    }

    fn request(address: [u8; 4]) -> (Chunks, Request) {
        let (sender, receiver) = channel(1);
        let mut request = Request::post("/").body(Body::new(Sent(receiver))).unwrap();
        let peer = PeerAddress(SocketAddr::from((address, 1)));
        request.extensions_mut().insert(peer);
        (sender, request)
    }

    /// A service that answers with the length of a body.
    fn service(budget: &BodyBudget) -> TowerToHyperService<Router> {
        let router = Router::new()
            .route(
                "/",
                post(|body: Bytes| async move { body.len().to_string() }),
            )
            .layer(from_fn_with_state(budget.clone(), metered));
        TowerToHyperService::new(router)
    }

    fn chunk(bytes: usize) -> Result<Frame<Bytes>, axum::Error> {
        Ok(Frame::data(Bytes::from(vec![0; bytes])))
    }

    #[tokio::test]
    async fn s07_bodies_of_strangers_take_a_bounded_part_of_the_memory_and_leave_room_for_others() {
        let budget = BodyBudget::new(100, 100);
        let service = service(&budget);
        let mut open = Vec::new();
        for _ in 0..5 {
            let (sender, request) = request([10, 0, 0, 1]);
            let service = service.clone();
            let answer = tokio::spawn(async move { service.call(request).await.unwrap() });
            sender.send(chunk(10)).await.unwrap();
            // The second one is taken only when the first one has been read.
            sender.send(chunk(0)).await.unwrap();
            sender.reserve().await.unwrap();
            open.push((sender, answer));
        }
        // The address has its half, each body for a part of its own, and none of them is done.
        let (sender, one_more) = request([10, 0, 0, 1]);
        sender.send(chunk(1)).await.unwrap();
        drop(sender);
        let refused = service.call(one_more).await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let (sender, other) = request([10, 0, 0, 2]);
        sender.send(chunk(50)).await.unwrap();
        drop(sender);
        let served = service.call(other).await.unwrap();
        assert_eq!(served.status(), StatusCode::OK);
        for (sender, answer) in open {
            drop(sender);
            assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
        }
        budget.bytes.take(Some([10, 0, 0, 1].into()), 50).unwrap();
    }

    #[tokio::test]
    async fn s07_requests_that_are_not_answered_are_bounded_and_leave_room_for_other_addresses() {
        let budget = BodyBudget::new(100, 8);
        let service = service(&budget);
        let mut open = Vec::new();
        for _ in 0..4 {
            let (sender, request) = request([10, 0, 0, 1]);
            let service = service.clone();
            let answer = tokio::spawn(async move { service.call(request).await.unwrap() });
            // Whoever takes the first one is being served.
            sender.send(chunk(0)).await.unwrap();
            sender.send(chunk(0)).await.unwrap();
            open.push((sender, answer));
        }
        let (_sender, one_more) = request([10, 0, 0, 1]);
        let refused = service.call(one_more).await.unwrap();
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        let (_sender, mut one_more) = request([10, 0, 0, 1]);
        let grpc = http::HeaderValue::from_static("application/grpc");
        one_more.headers_mut().insert(CONTENT_TYPE, grpc);
        let refused = service.call(one_more).await.unwrap();
        let exhausted = tonic::Code::ResourceExhausted as i32;
        let code = refused.headers().get("grpc-status").unwrap();
        assert_eq!(code.to_str().unwrap(), exhausted.to_string());
        let (sender, other) = request([10, 0, 0, 2]);
        drop(sender);
        let served = service.call(other).await.unwrap();
        assert_eq!(served.status(), StatusCode::OK);
        for (sender, answer) in open {
            drop(sender);
            assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
        }
        let (sender, again) = request([10, 0, 0, 1]);
        drop(sender);
        assert_eq!(service.call(again).await.unwrap().status(), StatusCode::OK);
    }
}
