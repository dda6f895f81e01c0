//! One connection: its handshake, its protocol, its end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::bodies::{Answered, Received};
use super::traffic::{Traffic, Verdict};
use super::{Door, Limits, MAX_HEAD_BYTES, MAX_UNREAD_BYTES_PER_STREAM, told};
use crate::newcomers::Standing;
use crate::peer::PeerAddress;
use crate::tls::{PeerCertificates, Protocol};

/// The most header fields of a request over HTTP/1.
///
/// # Limit
/// - for: a request over HTTP/1
/// - unit: fields
/// - beyond: the request is refused with 431
/// - test: `t43_a_request_has_so_many_header_fields`
const MAX_HEADER_FIELDS: usize = 100;
/// The most streams that are open at a time on a connection of HTTP/2; the RFC advises against
/// fewer (RFC 9113 section 6.5.2).
///
/// # Limit
/// - for: a connection
/// - unit: streams
/// - beyond: a further stream is refused
/// - test: `t43_floods_are_cut_off_and_others_are_served`
const MAX_STREAMS: u32 = 128;
/// The most bytes that a peer may send of all bodies of a connection before they are read.
///
/// # Limit
/// - for: a connection
/// - unit: bytes
/// - beyond: the peer has to wait; the connection of one that does not is closed
/// - test: `h2spec_finds_nothing`
const MAX_UNREAD_BYTES_PER_CONNECTION: u32 = 256 * 1024;
/// The largest frame, in bytes; the smallest that may be announced.
///
/// # Limit
/// - for: a frame
/// - unit: bytes
/// - beyond: the connection is closed
/// - test: `h2spec_finds_nothing`
const MAX_FRAME_BYTES: u32 = 16 * 1024;
/// The most bytes of an answer that are kept until the peer takes them.
///
/// # Limit
/// - for: a stream
/// - unit: bytes
/// - beyond: the answer waits until the peer takes some of it
/// - test: `t43_a_peer_that_takes_no_answer_is_cut_off`
const MAX_UNSENT_BYTES: usize = 64 * 1024;
/// Streams that the peer has reset before they were looked at: more at once is an attack
/// (CVE-2023-44487).
///
/// # Limit
/// - for: a connection
/// - unit: streams
/// - beyond: the connection is closed
/// - test: `t43_floods_are_cut_off_and_others_are_served`
const MAX_PENDING_RESETS: usize = 20;
/// Streams that were reset because the peer broke the protocol, in a connection's life
/// (CVE-2025-8671). It counts what a client opens too much before it has heard how much it may,
/// too.
///
/// # Limit
/// - for: a connection
/// - unit: streams
/// - beyond: the connection is closed
/// - test: `t43_floods_are_cut_off_and_others_are_served`
const MAX_ERROR_RESETS: usize = 1024;

impl Door {
    /// Serves a connection to its end.
    pub(super) async fn admit(
        self,
        stream: TcpStream,
        peer: PeerAddress,
        closing: watch::Receiver<bool>,
    ) {
        // An answer is not held back for more: without this each waits for an acknowledgement.
        stream.set_nodelay(true).ok();
        let (service, limits) = (self.service, self.limits);
        let standing = Standing::default();
        let requests = |certificates| Requests {
            service,
            peer,
            standing: standing.clone(),
            certificates,
            traffic: Traffic::begun(Instant::now()),
            limits,
        };
        let Some(acceptor) = self.tls else {
            return requests(None)
                .serve(stream, Protocol::AsItBegins, closing)
                .await;
        };
        // A slow handshake holds up nobody else.
        let shaken = timeout(limits.handshake, async {
            if let Some(newcomers) = &self.newcomers {
                newcomers.admit(peer, &standing).await;
            }
            acceptor.accept(stream).await
        });
        let shaken = shaken.await;
        if let Ok(Ok(stream)) = shaken {
            let session = stream.get_ref().1;
            let certificates = PeerCertificates::of(session);
            let protocol = Protocol::of(session);
            let shown = certificates.as_ref().map_or(0, |it| it.0.len());
            tracing::debug!(peer = %peer.0, ?protocol, certificates = shown, "a connection");
            requests(certificates)
                .serve(stream, protocol, closing)
                .await;
        }
    }
}

/// The requests of one connection.
struct Requests {
    service: TowerToHyperService<axum::Router>,
    peer: PeerAddress,
    standing: Standing,
    certificates: Option<PeerCertificates>,
    traffic: Arc<Traffic>,
    limits: Limits,
}

impl Requests {
    async fn serve<S>(self, stream: S, protocol: Protocol, closing: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (peer, limits, traffic) = (self.peer, self.limits, Arc::clone(&self.traffic));
        let metered = Metered {
            stream,
            traffic: Arc::clone(&traffic),
        };
        let builder = spoken(protocol, &limits);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(metered), self));
        let mut looks = interval(limits.look);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let old = Instant::now() + aged(&limits, peer);
        let mut closes = pin!(told(closing));
        let (mut ends, mut closed) = (None, false);
        loop {
            let verdict = tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(peer = %peer.0, %error, "a connection broke");
                    }
                    return;
                }
                () = &mut closes, if !closed => {
                    closed = true;
                    Verdict::End("the daemon ends", limits.finishing)
                }
                now = looks.tick() => traffic.verdict(now, &limits, old),
            };
            match (verdict, ends) {
                (Verdict::Cut(why), _) => {
                    tracing::debug!(peer = %peer.0, why, "a connection was cut");
                    return;
                }
                (Verdict::End(why, within), None) => {
                    tracing::debug!(peer = %peer.0, why, "a connection is ended");
                    ends = Some(Instant::now() + within);
                    connection.as_mut().graceful_shutdown();
                }
                (Verdict::GoOn | Verdict::End(..), Some(end)) if Instant::now() > end => return,
                (Verdict::GoOn | Verdict::End(..), _) => {}
            }
        }
    }
}

/// The age limit of this connection: up to a quarter more than the usual one, by the peer's port.
fn aged(limits: &Limits, peer: PeerAddress) -> Duration {
    limits.age + limits.age / 4 * u32::from(peer.0.port()) / u32::from(u16::MAX)
}

/// The protocol's implementation, with its limits.
fn spoken(protocol: Protocol, limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(MAX_HEADER_FIELDS)
        .max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .initial_stream_window_size(MAX_UNREAD_BYTES_PER_STREAM)
        .initial_connection_window_size(MAX_UNREAD_BYTES_PER_CONNECTION)
        .max_send_buf_size(MAX_UNSENT_BYTES)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERROR_RESETS)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.pong);
    match protocol {
        Protocol::AsItBegins => builder,
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    }
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answered>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let exchange = self.traffic.opened();
        let traffic = Arc::clone(&self.traffic);
        let mut request = request.map(|body| Received::new(body, traffic, self.limits.body));
        let extensions = request.extensions_mut();
        extensions.insert(self.peer);
        extensions.insert(self.standing.clone());
        if let Some(certificates) = &self.certificates {
            extensions.insert(certificates.clone());
        }
        let answer = self.service.call(request);
        Box::pin(async move { Ok(answer.await?.map(|body| Answered::new(body, exchange))) })
    }
}

/// A stream that cuts off a peer which sends too much that no request asked for: pings, settings,
/// priorities.
struct Metered<S> {
    stream: S,
    traffic: Arc<Traffic>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len().saturating_sub(before);
        if self.traffic.received(bytes, Instant::now()) {
            read
        } else {
            Poll::Ready(Err(io::Error::other("more than any request asked for")))
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
