//! A listener that withstands its peers (T43, T44): who is let in, for how long, and how it ends.
//!
//! It knows nothing of what is served; every request gets the address, the certificates and the
//! standing of its peer.

mod bodies;
mod connection;
mod places;
mod traffic;

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::newcomers::Newcomers;
use crate::peer::PeerAddress;
use crate::tls::{Renewal, TlsFiles};
use places::Places;

/// The largest head of a request, in bytes: a token is at most 16 KiB, and a proof or a certificate
/// may come with it.
///
/// # Limit
/// - for: a request
/// - unit: bytes
/// - beyond: the request is refused or its connection closed
/// - test: `t43_floods_are_cut_off_and_others_are_served`
const MAX_HEAD_BYTES: u32 = 32 * 1024;
/// The most bytes that a peer may send of one body before it is read: no message is larger.
///
/// # Limit
/// - for: a stream
/// - unit: bytes
/// - beyond: the peer has to wait; the connection of one that does not is closed
/// - test: `h2spec_finds_nothing`
const MAX_UNREAD_BYTES_PER_STREAM: u32 = 64 * 1024;
/// The longest time that answers under way may take when the daemon ends. Watchers reconnect
/// elsewhere.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// The time until TLS is set up.
///
/// # Limit
/// - for: a connection
/// - unit: of time
/// - beyond: the connection is closed
/// - test: `t43_a_handshake_that_drips_is_not_waited_for`
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time from the handshake to the head of the first request.
///
/// # Limit
/// - for: a connection
/// - unit: of time
/// - beyond: the connection is closed
/// - test: `t43_a_peer_that_asks_for_nothing_is_not_kept`
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The time for the head of a request over HTTP/1, and there for the pause before it.
///
/// # Limit
/// - for: a connection over HTTP/1
/// - unit: of time
/// - beyond: the connection is closed
/// - test: `t43_a_head_that_drips_is_not_waited_for`
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// The time without a request: longer than a client of gRPC waits between two questions of the same
/// errand, which then needs no new handshake.
///
/// # Limit
/// - for: a connection over HTTP/2
/// - unit: of time
/// - beyond: the connection is closed
/// - test: `t43_an_idle_peer_is_not_kept`
const IDLE_TIMEOUT: Duration = Duration::from_secs(180);
/// The time that a silent peer of HTTP/2, asked after 30 s, has to say that it is there.
///
/// # Limit
/// - for: a connection over HTTP/2
/// - unit: of time
/// - beyond: the connection is closed
/// - test: `t43_a_watcher_that_went_away_is_noticed`
const PONG_TIMEOUT: Duration = Duration::from_secs(20);
/// The time until a peer takes more of an answer that is there for it.
///
/// # Limit
/// - for: a connection
/// - unit: of time
/// - beyond: the connection is closed
/// - test: `t43_a_peer_that_takes_no_answer_is_cut_off`
const STALLED_TIMEOUT: Duration = Duration::from_secs(30);
/// The time that the body of a request may keep its reader waiting, beyond a second for each KiB of
/// it.
///
/// # Limit
/// - for: a request
/// - unit: of time
/// - beyond: the request is refused with 400
/// - test: `t43_a_body_that_drips_is_given_up`
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// The age of a connection, and up to a quarter more, so that not all come again at once. Long
/// enough that a watch is seldom disturbed, short enough that a renewed certificate or a lost load
/// balancer is noticed within the day.
///
/// # Limit
/// - for: a connection
/// - unit: of time
/// - beyond: the peer is told to come again, and what is under way may end
/// - test: `t43_a_connection_grows_only_so_old`
const MAX_CONNECTION_AGE: Duration = Duration::from_secs(4 * 3600);
/// The time for what is in the middle of something when its connection is too old: a watch comes
/// again by then.
///
/// # Limit
/// - for: a connection that is too old
/// - unit: of time
/// - beyond: the connection is closed
/// - test: `t43_a_connection_grows_only_so_old`
const FINISHING_TIMEOUT: Duration = Duration::from_secs(600);
/// The wait after an error of accept itself, such as a lack of descriptors.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The limits of a connection. Those that the protocols enforce stand beside their builders.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The time until TLS is set up.
    handshake: Duration,
    /// The time from there to the head of the first request.
    first: Duration,
    /// The time for the head of a request over HTTP/1, with the pause before it.
    head: Duration,
    /// The time without a request.
    idle: Duration,
    /// The time after which a silent peer of HTTP/2 is pinged.
    ping: Duration,
    /// The time until its answer.
    pong: Duration,
    /// The time until a peer takes more of an answer.
    stalled: Duration,
    /// The time that a request's body may keep its reader waiting, beyond a second for each KiB.
    body: Duration,
    /// The age of a connection, and up to a quarter more, so that not all peers reconnect at once.
    age: Duration,
    /// The time for requests under way when their connection is too old. A watch reconnects by then
    /// or is cut off.
    finishing: Duration,
    /// The time to close a connection without requests under way.
    closing: Duration,
    /// The interval at which these limits are checked.
    look: Duration,
}

impl Limits {
    const USUAL: Self = Self {
        handshake: HANDSHAKE_TIMEOUT,
        first: FIRST_REQUEST_TIMEOUT,
        head: HEAD_TIMEOUT,
        idle: IDLE_TIMEOUT,
        ping: Duration::from_secs(30),
        pong: PONG_TIMEOUT,
        stalled: STALLED_TIMEOUT,
        body: BODY_TIMEOUT,
        age: MAX_CONNECTION_AGE,
        finishing: FINISHING_TIMEOUT,
        closing: Duration::from_secs(5),
        look: Duration::from_secs(1),
    };
}

/// The parts that every connection of a listener is served with.
#[derive(Clone)]
struct Door {
    tls: Option<TlsAcceptor>,
    service: TowerToHyperService<axum::Router>,
    limits: Limits,
    newcomers: Option<Newcomers>,
}

/// An open listener that is not served yet.
pub(crate) struct Listener {
    tcp: std::net::TcpListener,
    tls: Option<(TlsAcceptor, Renewal)>,
}

impl Listener {
    /// Opens a listener.
    ///
    /// # Errors
    /// When the address cannot be opened, or the certificate cannot be read.
    pub(crate) async fn open(address: SocketAddr, tls: Option<&TlsFiles>) -> Result<Self> {
        let tcp = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        Ok(Self {
            tls: tls.map(TlsFiles::acceptor).transpose()?,
            // Whoever serves may do so on another runtime.
            tcp: tcp.into_std()?,
        })
    }

    /// Serves until told to close, and then briefly what is under way. New connections wait for
    /// turns if there are any for newcomers.
    ///
    /// # Errors
    /// When the runtime does not accept the socket.
    pub(crate) async fn serve(
        self,
        router: axum::Router,
        newcomers: Option<Newcomers>,
        closing: watch::Receiver<bool>,
    ) -> Result<()> {
        let tcp = TcpListener::from_std(self.tcp)?;
        tracing::info!(address = %tcp.local_addr()?, tls = self.tls.is_some(), "listening");
        let (tls, renewal) = self.tls.unzip();
        let door = Door {
            tls,
            service: TowerToHyperService::new(router.with_state(())),
            limits: Limits::USUAL,
            newcomers,
        };
        let renewed = async {
            match renewal {
                Some(renewal) => renewal.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = serve(tcp, door, Places::of_process(), closing) => {}
            () = renewed => {}
        }
        Ok(())
    }
}

async fn serve(tcp: TcpListener, door: Door, places: Places, closing: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    let mut closes = pin!(told(closing.clone()));
    loop {
        tokio::select! {
            accepted = tcp.accept() => match accepted {
                Ok((stream, peer)) => {
                    if let Some(place) = places.take(peer.ip()) {
                        let (door, closing) = (door.clone(), closing.clone());
                        connections.spawn(async move {
                            door.admit(stream, PeerAddress(peer), closing).await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = &mut closes => break,
        }
    }
    drop(tcp);
    let drained = async { while connections.join_next().await.is_some() {} };
    // What is not done by then is cut off with the set.
    drop(tokio::time::timeout(DRAIN_TIME, drained).await);
}

async fn told(mut closing: watch::Receiver<bool>) {
    // Nobody can close any more what nobody holds.
    drop(closing.wait_for(|closing| *closing).await);
}

#[cfg(test)]
mod tests;
