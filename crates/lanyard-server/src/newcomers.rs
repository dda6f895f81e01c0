//! Turns for connections on which nobody that the broker knows has called yet (T43, T44).
//!
//! A handshake, the form of a token and its signature cost the broker more than the peer that sends
//! them. So long as a connection is new, it waits for turns: a few of its own, a few of its
//! address, a few of all. A turn comes back at once where the caller turns out to be known, and a
//! moment later where not, so that a peer whom nobody knows is served at a slow pace, and a
//! thousand agents that come again after a restart are not. Connections of known callers wait for
//! nobody, until somebody calls on them who is not known, or is not accepted.
//!
//! A request has its message before it has a turn: nobody waits for the bytes of another peer.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::AUTHORIZATION;
use http_body::{Body as _, Frame, SizeHint};
use lanyard_proto::MAX_MESSAGE_BYTES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::lanes::{Lanes, Turn};
use crate::peer::PeerAddress;
use crate::refusal;
use crate::request_bodies::{is_grpc, refused, size_after};
use crate::shares::{Full, Share, Shares};

/// Handshakes of new connections, each of which counts until a known caller is heard of, and a
/// second otherwise; one address has an eighth of them.
///
/// # Limit
/// - for: all new connections of a listener together, but the kill plane's
/// - unit: handshakes
/// - beyond: the handshake waits for its turn
/// - test: `t43_handshakes_of_strangers_wait_for_their_turn_and_known_callers_give_it_back`
const MAX_HANDSHAKES: usize = 512;
/// Requests on new connections, each of which counts until it is answered, 3 s at most, and a
/// second longer where nobody known has sent it; one address has a sixteenth of them. Kill orders
/// have as many of their own.
///
/// # Limit
/// - for: all new connections of a listener together, but the kill plane's
/// - unit: requests
/// - beyond: the request waits for its turn
/// - test: `t43_requests_of_strangers_wait_for_their_turn_and_those_of_known_callers_do_not`
const MAX_REQUESTS: usize = 512;
/// Requests of one new connection that have a turn at a time.
///
/// # Limit
/// - for: a new connection
/// - unit: requests
/// - beyond: the request waits for its turn
/// - test: `t43_one_new_connection_takes_two_turns`
const MAX_REQUESTS_PER_CONNECTION: usize = 2;
/// Requests that are received or wait for their turn; one address has a sixteenth of them. Kill
/// orders have as many of their own.
///
/// # Limit
/// - for: all new connections of a listener together, but the kill plane's
/// - unit: requests
/// - beyond: the request is refused with `RESOURCE_EXHAUSTED` (HTTP 429)
/// - test: `t43_so_many_requests_wait_for_their_turn_and_no_more`
const MAX_WAITING: u64 = 8_192;
/// The bytes of the requests that are received, wait for their turn or have it; one address has an
/// eighth of them. Kill orders have as many of their own.
///
/// # Limit
/// - for: all new connections of a listener together, but the kill plane's
/// - unit: bytes
/// - beyond: the request is refused with `RESOURCE_EXHAUSTED` (HTTP 429)
/// - test: `t43_bodies_of_strangers_wait_in_a_bounded_part_of_the_memory`
const MAX_WAITING_BYTES: u64 = 16 * 1024 * 1024;
/// The most bytes of a request that are received before it has a turn: the largest message, and its
/// frame.
///
/// # No limit
/// A longer request is received further once it has its turn.
const MAX_RECEIVED_BYTES: usize = MAX_MESSAGE_BYTES + 1024;
/// The method whose request is a stream. Its caller is verified before any of the stream is read,
/// so nothing is received ahead.
const STREAMED: &str = "/lanyard.v1.PlanService/SubmitPlan";
/// The longest time that a request may take to be received and to have its turn.
///
/// # Limit
/// - for: a request on a new connection
/// - unit: of time
/// - beyond: the request is refused with `RESOURCE_EXHAUSTED` (HTTP 429)
/// - test: `t43_a_request_waits_for_its_turn_only_so_long`
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);
/// The time for which a request keeps its turn at most, because its identity may have to wait or
/// another system may be asked.
const HELD_FOR: Duration = Duration::from_secs(3);
/// The time for which a request without room waits for its refusal.
const TURNED_AWAY_AFTER: Duration = Duration::from_secs(5);
/// The time for which a stranger's request keeps its turn after its end, and a handshake after
/// which no known caller came.
const REFUSED_FOR: Duration = Duration::from_secs(1);
/// The time for which a request for a public page keeps its turn after its end.
const ANSWERED_FOR: Duration = Duration::from_millis(50);
/// The bytes that a header field takes in memory besides its name and value.
const FIELD_BYTES: usize = 100;
/// Pages for probes, which cost no more than a refusal and need no turn.
const PROBES: &[&str] = &["/livez", "/readyz", "/readyz/kill"];
/// Paths that give kill orders.
const KILLS: &[&str] = &["/lanyard.v1.KillService/EngageKill", "/v1/kill"];
/// The prefix of the paths of alerts and security events, which may give kill orders.
const SIGNALS: &str = "/v1/hooks/";

/// True if a known caller has called on a connection; among its requests' extensions.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    known: watch::Sender<bool>,
    own: Arc<Semaphore>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            known: watch::Sender::new(false),
            own: Arc::new(Semaphore::new(MAX_REQUESTS_PER_CONNECTION)),
        }
    }
}

impl Standing {
    /// Notes that a known caller has called.
    pub(crate) fn vouch(&self) {
        self.known
            .send_if_modified(|known| !std::mem::replace(known, true));
    }

    /// Notes that an unknown or refused caller has called. Known callers have to be heard of again.
    pub(crate) fn lose(&self) {
        self.known
            .send_if_modified(|known| std::mem::replace(known, false));
    }

    fn is_known(&self) -> bool {
        *self.known.borrow()
    }

    /// Waits for this, or until a known caller has called.
    async fn unless_known<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        let mut known = self.known.subscribe();
        tokio::select! {
            // The sender is held here, so that this ends only where somebody is known.
            _ = known.wait_for(|known| *known) => None,
            waited = wait => Some(waited),
        }
    }
}

/// The turn of one request or handshake. It ends once a known caller is heard of on the connection,
/// and otherwise `keeps` after this is dropped, whatever ended the request.
struct Taken {
    turn: Option<(Option<OwnedSemaphorePermit>, Turn)>,
    standing: Standing,
    keeps: Duration,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        // A runtime that ends takes the turns with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (standing, keeps) = (self.standing.clone(), self.keeps);
            runtime.spawn(async move {
                let _over = standing.unless_known(tokio::time::sleep(keeps)).await;
                drop(turn);
            });
        }
    }
}

/// The turns of one listener.
#[derive(Debug, Clone)]
pub(crate) struct Newcomers {
    handshakes: Arc<Lanes<Option<IpAddr>>>,
    /// The turns of kill orders and signals, which wait for no other requests.
    kills: RequestQueue,
    others: RequestQueue,
}

/// The turns of requests, with the requests that wait.
#[derive(Debug, Clone)]
struct RequestQueue {
    requests: Arc<Lanes<Option<IpAddr>>>,
    waiting: Shares<Option<IpAddr>>,
    bytes: Shares<Option<IpAddr>>,
}

impl Default for Newcomers {
    fn default() -> Self {
        Self::new(
            MAX_HANDSHAKES,
            MAX_REQUESTS,
            (MAX_WAITING, MAX_WAITING_BYTES),
        )
    }
}

impl Newcomers {
    /// Makes the turns. One address, which may be a proxy for many, gets a part of them.
    fn new(handshakes: usize, requests: usize, (waiting, bytes): (u64, u64)) -> Self {
        let turns = || RequestQueue {
            requests: Arc::new(Lanes::new(requests, requests / 16)),
            waiting: Shares::new(waiting, waiting / 16),
            bytes: Shares::new(bytes, bytes / 8),
        };
        Self {
            handshakes: Arc::new(Lanes::new(handshakes, handshakes / 8)),
            kills: turns(),
            others: turns(),
        }
    }

    /// Waits until a connection of this peer may begin. Its turn ends once a known caller has
    /// called on it.
    pub(crate) async fn admit(&self, peer: PeerAddress, standing: &Standing) {
        let turn = self.handshakes.take(&Some(peer.network())).await;
        drop(Taken {
            turn: Some((None, turn)),
            standing: standing.clone(),
            keeps: REFUSED_FOR,
        });
    }

    fn of(&self, path: &str) -> &RequestQueue {
        let is_kill = KILLS.contains(&path) || path.starts_with(SIGNALS);
        if is_kill { &self.kills } else { &self.others }
    }
}

impl RequestQueue {
    /// Receives the message of a request, and waits for its turn.
    async fn take(
        &self,
        peer: Option<IpAddr>,
        standing: &Standing,
        request: &mut Request,
    ) -> Result<(Taken, Share<Option<IpAddr>>), Full> {
        let _waits = self.waiting.take(peer, 1)?;
        let mut bytes = self.bytes.take(peer, size_of_head(request))?;
        if request.uri().path() != STREAMED {
            let mut body = std::mem::take(request.body_mut());
            match Received::of(&mut body, &mut bytes).await {
                Ok(received) => *request.body_mut() = Body::new(received.followed_by(body)),
                Err(full) => {
                    *request.body_mut() = body;
                    return Err(full);
                }
            }
        }
        // A connection waits for itself before its address waits for it, and neither once its
        // caller is known.
        let turn = standing.unless_known(async {
            // Nobody closes the semaphore.
            let own = Arc::clone(&standing.own).acquire_owned().await.ok();
            (own, self.requests.take(&peer).await)
        });
        let taken = Taken {
            turn: turn.await,
            standing: standing.clone(),
            keeps: REFUSED_FOR,
        };
        Ok((taken, bytes))
    }
}

/// The memory that a request's head takes, in bytes.
fn size_of_head(request: &Request) -> u64 {
    let fields = request.headers().iter();
    let bytes: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES)
        .sum();
    bytes as u64
}

/// Makes a request on a new connection wait for its turn.
pub(crate) async fn paced(
    State(newcomers): State<Newcomers>,
    mut request: Request,
    next: Next,
) -> Response {
    if PROBES.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let extensions = request.extensions();
    let standing = extensions.get::<Standing>().cloned().unwrap_or_default();
    let peer = extensions.get::<PeerAddress>().map(PeerAddress::network);
    let (is_grpc, shows_a_token) = (
        is_grpc(request.headers()),
        request.headers().contains_key(AUTHORIZATION),
    );
    let mut taken = None;
    if !standing.is_known() {
        let turns = newcomers.of(request.uri().path()).clone();
        let turn = timeout(WAIT_TIMEOUT, turns.take(peer, &standing, &mut request));
        match turn.await {
            Ok(Ok(turn)) => taken = Some(turn),
            Ok(Err(_)) => {
                // Whoever is refused at once tries again at once. What is not read of a body keeps
                // its peer from sending more.
                let unread = request.into_body();
                tokio::time::sleep(TURNED_AWAY_AFTER).await;
                drop(unread);
                return refused(&refusal::no_room(), is_grpc);
            }
            Err(_) => return refused(&refusal::no_room(), is_grpc),
        }
    }
    let mut answer = pin!(next.run(request));
    let within = timeout(HELD_FOR, standing.unless_known(answer.as_mut()));
    let response = match within.await {
        Ok(Some(response)) => response,
        // The caller is known, or waits for something else than this broker: others have the turn.
        Ok(None) | Err(_) => {
            taken = None;
            answer.await
        }
    };
    let outcome = Outcome::of(&response);
    if outcome == Outcome::NotAccepted {
        standing.lose();
    }
    // Whoever shows a token and is nobody that is known has cost a signature.
    if let Some((taken, _bytes)) = &mut taken
        && outcome == Outcome::Answered
        && !shows_a_token
    {
        taken.keeps = ANSWERED_FOR;
    }
    response
}

/// The body of a request whose beginning was received already.
struct Received {
    /// The beginning in one piece: frames of a byte each would take a hundred times as much memory.
    beginning: Bytes,
    /// The frame that followed and is not data: trailers, or the reason why no more comes.
    then: Option<Result<Frame<Bytes>, axum::Error>>,
    rest: Body,
}

impl Received {
    /// Receives a body to its end, or one message of it.
    async fn of(body: &mut Body, share: &mut Share<Option<IpAddr>>) -> Result<Self, Full> {
        let (mut beginning, mut then) = (BytesMut::new(), None);
        while beginning.len() <= MAX_RECEIVED_BYTES
            && let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
        {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => {
                    share.grow(data.len() as u64)?;
                    beginning.extend_from_slice(&data);
                }
                Ok(Err(trailers)) => then = Some(Ok(trailers)),
                Err(error) => then = Some(Err(error)),
            }
            if then.is_some() {
                break;
            }
        }
        Ok(Self {
            beginning: beginning.freeze(),
            then,
            rest: Body::empty(),
        })
    }

    fn followed_by(self, rest: Body) -> Self {
        Self { rest, ..self }
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.beginning.is_empty() {
            let beginning = std::mem::take(&mut self.beginning);
            return Poll::Ready(Some(Ok(Frame::data(beginning))));
        }
        match self.then.take() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.is_empty() && self.then.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        size_after(self.beginning.len(), &self.rest.size_hint())
    }
}

/// The result of a request, by its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    Refused,
    /// The caller was not accepted.
    NotAccepted,
}

impl Outcome {
    fn of(response: &Response) -> Self {
        // A refusal of gRPC is an answer of HTTP (PROTOCOL-HTTP2.md, "Trailers-Only").
        let of_grpc = tonic::Status::from_header_map(response.headers());
        let of_grpc = of_grpc.map_or(tonic::Code::Ok, |status| status.code());
        let status = response.status();
        if status == http::StatusCode::UNAUTHORIZED || of_grpc == tonic::Code::Unauthenticated {
            Self::NotAccepted
        } else if status.is_client_error() || of_grpc != tonic::Code::Ok {
            Self::Refused
        } else {
            Self::Answered
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use axum::{Extension, Router};
    use futures_util::FutureExt as _;
    use http::StatusCode;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::time::{Instant, advance};
    use tokio_stream::{self as stream, StreamExt as _};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);
    const PLENTY: (u64, u64) = (1_600, 1_600);

    fn peer(last: u8) -> PeerAddress {
        PeerAddress(SocketAddr::from(([192, 0, 2, last], 1)))
    }

    /// A router for tests: `/known` is called by a known caller, `/stranger` is refused, `/forged`
    /// is not accepted, `/page` is public, and `/slow` is answered after a minute.
    fn router(newcomers: Newcomers) -> Router {
        let known = |Extension(standing): Extension<Standing>| async move { standing.vouch() };
        let slow = || tokio::time::sleep(Duration::from_secs(60));
        Router::new()
            .route("/known", post(known))
            .route("/stranger", post(|| async { StatusCode::FORBIDDEN }))
            .route("/forged", post(|| async { StatusCode::UNAUTHORIZED }))
            .route("/page", post(|| async {}))
            .route("/slow", post(slow))
            .route("/v1/kill", post(|| async {}))
            .route("/readyz", post(|| async {}))
            .layer(from_fn_with_state(newcomers, paced))
    }

    async fn call(router: &Router, standing: &Standing, from: u8, path: &str) -> StatusCode {
        let mut request = Request::post(path).body(axum::body::Body::empty()).unwrap();
        request.extensions_mut().insert(standing.clone());
        request.extensions_mut().insert(peer(from));
        let service = TowerToHyperService::new(router.clone());
        service.call(request).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn t43_handshakes_of_strangers_wait_for_their_turn_and_known_callers_give_it_back() {
        let newcomers = Newcomers::new(16, 16, PLENTY);
        let (one, two) = (Standing::default(), Standing::default());
        newcomers.admit(peer(1), &one).await;
        newcomers.admit(peer(1), &two).await;
        let mut third = Box::pin(newcomers.admit(peer(1), &two));
        assert!((&mut third).now_or_never().is_none());
        newcomers.admit(peer(2), &two).await;
        // Time stands still: nobody's turn is over by itself.
        let begun = Instant::now();
        one.vouch();
        third.await;
        assert!(begun.elapsed() < REFUSED_FOR);
        newcomers.admit(peer(1), &two).await;
        assert!(begun.elapsed() >= REFUSED_FOR);
    }

    #[tokio::test(start_paused = true)]
    async fn t43_requests_of_strangers_wait_for_their_turn_and_those_of_known_callers_do_not() {
        // One of each address at a time.
        let router = router(Newcomers::new(16, 16, PLENTY));
        let (stranger, known) = (Standing::default(), Standing::default());
        assert_eq!(call(&router, &known, 1, "/known").await, StatusCode::OK);
        let refused = call(&router, &stranger, 1, "/stranger").await;
        assert_eq!(refused, StatusCode::FORBIDDEN);
        let begun = Instant::now();
        let new = Standing::default();
        let mut waits = Box::pin(call(&router, &new, 1, "/known"));
        assert!((&mut waits).now_or_never().is_none());
        // Neither who is known there nor who comes from elsewhere waits for that.
        assert_eq!(call(&router, &known, 1, "/stranger").await.as_u16(), 403);
        assert_eq!(call(&router, &stranger, 2, "/page").await, StatusCode::OK);
        assert!(begun.elapsed() < MOMENT);
        assert_eq!(waits.await, StatusCode::OK);
        assert!(begun.elapsed() >= REFUSED_FOR);
        // A page costs less, and whoever is not accepted has to say again who they are.
        let begun = Instant::now();
        assert_eq!(call(&router, &stranger, 1, "/page").await, StatusCode::OK);
        assert_eq!(call(&router, &known, 1, "/forged").await.as_u16(), 401);
        assert!(begun.elapsed() < MOMENT);
        assert_eq!(call(&router, &known, 1, "/page").await, StatusCode::OK);
        assert!((ANSWERED_FOR..REFUSED_FOR).contains(&begun.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn t43_one_new_connection_takes_two_turns() {
        let router = router(Newcomers::new(16, 64, PLENTY));
        let (one, two) = (Standing::default(), Standing::default());
        let mut held: Vec<_> = (0..4)
            .map(|_| Box::pin(call(&router, &one, 1, "/slow")))
            .collect();
        for request in &mut held {
            assert!(request.now_or_never().is_none());
        }
        // Of the four turns of the address two are left.
        let begun = Instant::now();
        assert_eq!(call(&router, &two, 1, "/page").await, StatusCode::OK);
        assert!(begun.elapsed() < MOMENT);
        // The others of a connection go on once its caller is known.
        one.vouch();
        let last = held.pop().unwrap();
        assert_eq!(last.await, StatusCode::OK);
        assert!(begun.elapsed() <= Duration::from_secs(61));
    }

    #[tokio::test(start_paused = true)]
    async fn t43_a_request_waits_for_its_turn_only_so_long() {
        let router = router(Newcomers::new(16, 16, PLENTY));
        let (one, two) = (Standing::default(), Standing::default());
        let mut slow = Box::pin(call(&router, &one, 1, "/slow"));
        assert!((&mut slow).now_or_never().is_none());
        let begun = Instant::now();
        let refused = call(&router, &two, 1, "/page").await;
        assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(begun.elapsed().as_secs(), WAIT_TIMEOUT.as_secs());
        advance(Duration::from_secs(60)).await;
        assert_eq!(slow.await, StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn t43_so_many_requests_wait_for_their_turn_and_no_more() {
        // One of each address has a turn, and two wait for it.
        let router = router(Newcomers::new(16, 16, (32, 1_600)));
        let [one, two, three] = std::array::from_fn(|_| Standing::default());
        let mut slow = Box::pin(call(&router, &one, 1, "/slow"));
        assert!((&mut slow).now_or_never().is_none());
        let mut waits = [
            Box::pin(call(&router, &two, 1, "/page")),
            Box::pin(call(&router, &two, 1, "/page")),
        ];
        for waits in &mut waits {
            assert!(waits.now_or_never().is_none());
        }
        let begun = Instant::now();
        assert_eq!(call(&router, &three, 2, "/page").await, StatusCode::OK);
        assert!(begun.elapsed() < MOMENT);
        let refused = call(&router, &three, 1, "/page").await;
        assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
        // Not at once, so that nobody is refused ten thousand times a second.
        assert_eq!(begun.elapsed().as_secs(), TURNED_AWAY_AFTER.as_secs());
        drop(slow);
        for waits in waits {
            assert_eq!(waits.await, StatusCode::OK);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn t43_bodies_of_strangers_wait_in_a_bounded_part_of_the_memory() {
        let router = router(Newcomers::new(16, 64, (1_600, 80)));
        let send = |from: u8, body: Body| {
            let mut request = Request::post("/page").body(body).unwrap();
            request.extensions_mut().insert(Standing::default());
            request.extensions_mut().insert(peer(from));
            let service = TowerToHyperService::new(router.clone());
            async move { service.call(request).await.unwrap().status() }
        };
        // A body that does not end takes memory and no turn.
        let unending = || {
            let begun = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"12345678"))]);
            Body::from_stream(begun.chain(stream::pending()))
        };
        let mut held: Vec<_> = (0..6).map(|_| Box::pin(send(1, unending()))).collect();
        let first = held.first_mut().unwrap();
        assert!(first.now_or_never().is_none());
        let begun = Instant::now();
        assert_eq!(send(1, "1".into()).await, StatusCode::OK);
        assert_eq!(send(2, "123".into()).await, StatusCode::OK);
        assert!(begun.elapsed() < MOMENT);
        let too_much = send(1, "123".into()).await;
        assert_eq!(too_much, StatusCode::TOO_MANY_REQUESTS);
        drop(held);
        assert_eq!(send(1, "123".into()).await, StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn t43_a_plan_is_not_received_before_its_caller_is_known_and_keeps_no_turn_after_that() {
        let known = |Extension(standing): Extension<Standing>, body: Body| async move {
            standing.vouch();
            axum::body::to_bytes(body, usize::MAX).await.unwrap();
        };
        let newcomers = Newcomers::new(16, 16, PLENTY);
        let router = Router::new()
            .route(STREAMED, post(known))
            .route("/page", post(|| async {}))
            .layer(from_fn_with_state(newcomers, paced));
        let (chunks, body) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(1);
        let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(body));
        let mut request = Request::post(STREAMED).body(body).unwrap();
        request.extensions_mut().insert(Standing::default());
        request.extensions_mut().insert(peer(1));
        let service = TowerToHyperService::new(router.clone());
        let submitted = tokio::spawn(async move { service.call(request).await.unwrap() });
        for _ in 0..3 {
            // More than strangers may have in memory, and it goes through.
            let chunk = Bytes::from(vec![0; PLENTY.1 as usize]);
            chunks.send(Ok(chunk)).await.unwrap();
        }
        let begun = Instant::now();
        let page = call(&router, &Standing::default(), 1, "/page").await;
        assert_eq!(page, StatusCode::OK);
        assert!(begun.elapsed() < MOMENT);
        drop(chunks);
        assert_eq!(submitted.await.unwrap().status(), StatusCode::OK);
    }

    #[tokio::test(start_paused = true)]
    async fn t43_whoever_ends_a_request_its_turn_is_kept_and_one_that_lasts_gives_it_back() {
        let router = router(Newcomers::new(16, 16, PLENTY));
        let [one, two, three] = std::array::from_fn(|_| Standing::default());
        let mut taken_back = Box::pin(call(&router, &one, 1, "/slow"));
        assert!((&mut taken_back).now_or_never().is_none());
        drop(taken_back);
        let begun = Instant::now();
        assert_eq!(call(&router, &two, 1, "/page").await, StatusCode::OK);
        assert!(begun.elapsed() >= REFUSED_FOR);
        advance(REFUSED_FOR).await;
        let begun = Instant::now();
        let mut slow = Box::pin(call(&router, &one, 1, "/slow"));
        assert!((&mut slow).now_or_never().is_none());
        let page = call(&router, &three, 1, "/page");
        let (slow, page) = tokio::join!(slow, async {
            let status = page.await;
            (status, begun.elapsed())
        });
        assert_eq!((slow, page.0), (StatusCode::OK, StatusCode::OK));
        assert!((HELD_FOR..HELD_FOR + REFUSED_FOR * 2).contains(&page.1));
    }

    #[tokio::test(start_paused = true)]
    async fn t48_kills_and_probes_do_not_wait_for_strangers_who_want_something_else() {
        let router = router(Newcomers::new(16, 16, PLENTY));
        let [one, two, three] = std::array::from_fn(|_| Standing::default());
        let mut slow = Box::pin(call(&router, &one, 1, "/slow"));
        assert!((&mut slow).now_or_never().is_none());
        let begun = Instant::now();
        let mut waits = Box::pin(call(&router, &two, 1, "/page"));
        assert!((&mut waits).now_or_never().is_none());
        for path in ["/v1/kill", "/readyz"] {
            let answered = call(&router, &three, 1, path).await;
            assert_eq!(answered, StatusCode::OK, "{path}");
        }
        assert!(begun.elapsed() < MOMENT);
    }

    #[tokio::test]
    async fn t43_a_body_of_very_many_frames_takes_no_more_memory_than_its_bytes() {
        let frames = (0..1_000).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(b"1")));
        let mut body = Body::from_stream(stream::iter(frames));
        let shares = Shares::new(2_000, 1_000);
        let mut share = shares.of(None);
        let received = Received::of(&mut body, &mut share).await.unwrap();
        assert_eq!(received.beginning.len(), 1_000);
        assert_eq!(share.of_owner(), 1_000);
        let whole = axum::body::to_bytes(Body::new(received), usize::MAX);
        assert_eq!(whole.await.unwrap(), vec![b'1'; 1_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn t43_a_known_caller_on_the_same_connection_lets_the_others_go_on() {
        let router = router(Newcomers::new(16, 16, PLENTY));
        let (one, two) = (Standing::default(), Standing::default());
        let mut slow = Box::pin(call(&router, &one, 1, "/slow"));
        assert!((&mut slow).now_or_never().is_none());
        let mut waits = Box::pin(call(&router, &two, 1, "/page"));
        assert!((&mut waits).now_or_never().is_none());
        two.vouch();
        assert_eq!(waits.await, StatusCode::OK);
        assert!((&mut slow).now_or_never().is_none());
    }
}
