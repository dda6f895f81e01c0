//! A listener with short limits, and peers that test them.

mod certificates;
mod limits;

use std::time::Duration;

use axum::body::Body;
use axum::routing::{get, post};
use axum::{Extension, Router};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_stream as stream;

use super::places::Places;
use super::{Door, Limits, serve};
use crate::peer::PeerAddress;
use crate::tls::PeerCertificates;

/// A limit so long that no test reaches it.
const LONG: Duration = Duration::from_secs(3600);
/// A limit so short that a test reaches it.
const SHORT: Duration = Duration::from_millis(50);

const PATIENT: Limits = Limits {
    handshake: LONG,
    first: LONG,
    head: LONG,
    idle: LONG,
    ping: LONG,
    pong: LONG,
    stalled: LONG,
    body: LONG,
    age: LONG,
    finishing: LONG,
    closing: LONG,
    look: Duration::from_millis(5),
};

/// The address and certificates of the caller.
async fn who(
    Extension(peer): Extension<PeerAddress>,
    certificates: Option<Extension<PeerCertificates>>,
) -> String {
    let shown: Vec<_> = certificates
        .iter()
        .flat_map(|shown| {
            shown
                .0
                .0
                .iter()
                .map(|it| lanyard_vocabulary::digest::hex(it))
        })
        .collect();
    format!("{} {}\n", peer.0.ip(), shown.join(" "))
}

fn router() -> Router {
    let endless =
        || async { Body::from_stream(stream::pending::<Result<String, std::io::Error>>()) };
    Router::new()
        .route("/", get(who))
        .route("/echo", post(|body: String| async { body }))
        .route("/endless", get(endless))
}

/// The address of a listener that runs until the second value is dropped.
async fn listening(
    limits: Limits,
    tls: Option<TlsAcceptor>,
) -> (std::net::SocketAddr, watch::Sender<bool>) {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let door = Door {
        tls,
        service: TowerToHyperService::new(router()),
        limits,
        newcomers: None,
    };
    let (close, closing) = watch::channel(false);
    tokio::spawn(serve(tcp, door, Places::new(8, 8), closing));
    (address, close)
}
