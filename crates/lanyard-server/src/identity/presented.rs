//! The proofs of identity in a request, taken out before the handler runs.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use http_body::{Frame, SizeHint};
use lanyard_identity::verifier::Purpose;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::secret::Secret;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;

use crate::lanes::{Lanes, Turn};
use crate::newcomers::Standing;
use crate::peer::PeerAddress;
use crate::request_bodies::size_after;
use crate::tls::PeerCertificates;

/// The header with a proof of possession (RFC 9449 section 4).
const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The name prefixes of methods that only read.
const LOOKING: &[&str] = &[
    "Get", "List", "Watch", "Read", "Query", "Tail", "WhoAmI", "Inspect",
];

/// The name prefixes of methods that answer with streams.
const LASTING: &[&str] = &["Watch", "Tail"];
/// The largest piece of an answer that is passed to the connection, in bytes. The request keeps its
/// turn until the last piece is passed.
const PIECE_BYTES: usize = 16 * 1024;

/// The proofs of identity in one request.
#[derive(Clone)]
pub(crate) struct Presented(Arc<Shown>);

struct Shown {
    authorization: Option<Secret<String>>,
    proof: Option<Secret<String>>,
    method: String,
    path: String,
    certificates: Option<PeerCertificates>,
    peer: Option<IpAddr>,
    standing: Option<Standing>,
    /// The identity's turn, once the identity is known.
    turn: Mutex<Option<Turn>>,
}

/// The scheme of the token in the `authorization` header.
pub(crate) enum Scheme {
    /// A bearer token (RFC 6750).
    Bearer,
    /// A token bound to a key (RFC 9449).
    Dpop,
}

/// Adds the proofs to the request, for its handler.
pub(crate) async fn presented(mut request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let shown = Shown {
        authorization: only(request.headers(), &header::AUTHORIZATION),
        proof: only(request.headers(), &DPOP),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        certificates: extensions.get::<PeerCertificates>().cloned(),
        peer: extensions.get::<PeerAddress>().map(|peer| peer.0.ip()),
        standing: extensions.get::<Standing>().cloned(),
        turn: Mutex::default(),
    };
    let presented = Presented(Arc::new(shown));
    request.extensions_mut().insert(presented.clone());
    let response = next.run(request).await;
    let turn = presented.0.turn.lock().take();
    match turn {
        // A watch takes no turn, because it lasts; watches have a bound of their own.
        Some(turn) if !presented.lasts() => response.map(|body| Body::new(InTurn::new(body, turn))),
        Some(_) | None => response,
    }
}

/// Returns the single value of a header. Several values, or one that is not text, yield a value
/// that no verifier accepts.
fn only(headers: &HeaderMap, name: &HeaderName) -> Option<Secret<String>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    let text = first.to_str().ok().filter(|_| values.next().is_none());
    Some(Secret::new(text.unwrap_or_default().to_owned()))
}

impl Presented {
    /// The token with its scheme.
    pub(crate) fn token(&self) -> Option<(Scheme, &str)> {
        let header = self.0.authorization.as_ref()?.expose();
        let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("dpop") {
            Some((Scheme::Dpop, token))
        } else if scheme.eq_ignore_ascii_case("bearer") {
            Some((Scheme::Bearer, token))
        } else {
            Some((Scheme::Bearer, ""))
        }
    }

    pub(crate) fn proof(&self) -> Option<&str> {
        self.0.proof.as_ref().map(|proof| proof.expose().as_str())
    }

    pub(crate) fn method(&self) -> &str {
        &self.0.method
    }

    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }

    pub(crate) fn certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.0.certificates.as_ref().map(|chain| &*chain.0)
    }

    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// Frees the connection from the turns of unknown callers.
    pub(crate) fn vouch(&self) {
        if let Some(standing) = &self.0.standing {
            standing.vouch();
        }
    }

    /// Puts the connection under those turns again, until its caller is known again.
    pub(crate) fn disown(&self) {
        if let Some(standing) = &self.0.standing {
            standing.lose();
        }
    }

    /// Waits for one of the identity's turns, which the request holds until the peer has taken the
    /// answer. The number of turns is limited, so that an identity can delay only itself.
    pub(crate) async fn wait(&self, turns: &Lanes<Identity>, whose: &Identity) {
        if self.0.turn.lock().is_some() {
            return;
        }
        let turn = turns.take(whose).await;
        *self.0.turn.lock() = Some(turn);
    }

    /// Returns true if the answer is a stream.
    fn lasts(&self) -> bool {
        let method = self.0.path.rsplit('/').next().unwrap_or_default();
        LASTING.iter().any(|name| method.starts_with(name))
    }

    /// Returns the purpose of the request, by the name of its method. An unknown method counts as
    /// one that changes something.
    pub(crate) fn purpose(&self) -> Purpose {
        let method = self.0.path.rsplit('/').next().unwrap_or_default();
        let rpc = self.0.path.starts_with("/lanyard.v1.");
        if rpc && LOOKING.iter().any(|name| method.starts_with(name)) {
            Purpose::Look
        } else {
            Purpose::Change
        }
    }

    /// Returns true if the request may run although the replay cache cannot be written: the request
    /// that accepts this very damage.
    pub(crate) fn is_acceptance(&self) -> bool {
        self.0.path == "/lanyard.v1.AuditService/AcceptReason"
    }
}

/// The body of an answer in pieces. It holds the request's turn until the peer has taken nearly all
/// of it.
struct InTurn {
    body: Body,
    rest: Bytes,
    _turn: Turn,
}

impl InTurn {
    const fn new(body: Body, turn: Turn) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            _turn: turn,
        }
    }

    /// Takes the next piece of the data received so far.
    fn piece(&mut self) -> Option<Frame<Bytes>> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.rest.len().min(PIECE_BYTES);
        Some(Frame::data(self.rest.split_to(length)))
    }
}

impl http_body::Body for InTurn {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(piece) = self.piece() {
            return Poll::Ready(Some(Ok(piece)));
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        Poll::Ready(match frame.into_data() {
            Ok(data) => {
                self.rest = data;
                let piece = self.piece();
                Some(Ok(piece.unwrap_or_else(|| Frame::data(Bytes::new()))))
            }
            Err(trailers) => Some(Ok(trailers)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        size_after(self.rest.len(), &self.body.size_hint())
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::State;
    use axum::routing::post;
    use axum::{Extension, Router};
    use futures_util::FutureExt as _;
    use http_body::Body as _;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    const LARGE: usize = 100 * PIECE_BYTES + 1;

    async fn answered(
        State(turns): State<Arc<Lanes<Identity>>>,
        Extension(presented): Extension<Presented>,
        subject: String,
    ) -> Vec<u8> {
        let whose = Identity {
            issuer: "https://issuer.example".to_owned(),
            subject,
        };
        // A request that authenticates twice takes one turn.
        presented.wait(&turns, &whose).await;
        presented.wait(&turns, &whose).await;
        vec![7; LARGE]
    }

    fn router(at_once: usize) -> Router {
        let turns = Arc::new(Lanes::new(usize::MAX, at_once));
        Router::new()
            .route("/GetPlan", post(answered))
            .route("/WatchTask", post(answered))
            .layer(axum::middleware::from_fn(presented))
            .with_state(turns)
    }

    async fn called(router: &Router, path: &str, subject: &'static str) -> Response {
        let request = Request::post(path).body(Body::from(subject)).unwrap();
        let service = TowerToHyperService::new(router.clone());
        service.call(request).await.unwrap()
    }

    async fn whole(answer: Response) -> Bytes {
        axum::body::to_bytes(answer.into_body(), usize::MAX)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn s07_calls_of_one_identity_wait_for_a_turn() {
        let router = router(2);
        let mut first = called(&router, "/GetPlan", "a").await;
        let second = called(&router, "/GetPlan", "a").await;
        let mut third = Box::pin(called(&router, "/GetPlan", "a"));
        assert!((&mut third).now_or_never().is_none());
        let other = called(&router, "/GetPlan", "b").await;
        assert_eq!(whole(other).await, vec![7; LARGE]);
        // An answer that the peer does not read keeps its turn, and is passed in pieces.
        let piece = std::future::poll_fn(|context| Pin::new(first.body_mut()).poll_frame(context));
        let piece = piece.await.unwrap().unwrap();
        assert_eq!(piece.data_ref().map(Bytes::len), Some(PIECE_BYTES));
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        let third = third.await;
        let mut fourth = Box::pin(called(&router, "/GetPlan", "a"));
        assert!((&mut fourth).now_or_never().is_none());
        assert_eq!(whole(second).await.len(), LARGE);
        drop((third, fourth.await));
    }

    #[tokio::test]
    async fn s07_a_watch_keeps_no_turn() {
        let router = router(1);
        let watch = called(&router, "/WatchTask", "a").await;
        let call = called(&router, "/GetPlan", "a").await;
        drop((watch, call));
    }
}
