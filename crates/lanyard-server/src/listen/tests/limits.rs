//! Tests of peers that keep a connection busy with nothing (T43).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::Limits;
use super::{PATIENT, SHORT, listening};

/// The time after which a test gives up.
const AT_LAST: Duration = Duration::from_secs(20);

/// The connection preface of HTTP/2 with these settings, each an identifier and a value (RFC 9113
/// sections 3.4 and 6.5).
fn preface(settings: &[(u16, u32)]) -> Vec<u8> {
    let pairs = settings.iter().flat_map(|(of, value)| {
        let pair = [&of.to_be_bytes()[..], &value.to_be_bytes()];
        pair.concat()
    });
    let settings = frame(4, 0, 0, &pairs.collect::<Vec<_>>());
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// A complete `GET` of a path, on the first stream.
fn asking(path: &str) -> Vec<u8> {
    // Method and scheme of the static table, then the path as a literal (RFC 7541 appendix A and
    // section 6.2.2).
    let length = u8::try_from(path.len()).unwrap();
    let head = [&[0x82, 0x86, 0x04, length][..], path.as_bytes()].concat();
    frame(1, 0b101, 1, &head)
}

/// Sends bytes, and returns what arrives until the listener closes, as it must.
async fn until_closed(address: SocketAddr, sent: &[u8]) -> Vec<u8> {
    let closed = tokio::time::timeout(AT_LAST, closed(address, sent));
    closed.await.expect("the connection was kept")
}

async fn closed(address: SocketAddr, sent: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let sent = sent.to_vec();
    let writing = tokio::spawn(async move {
        // The listener may close before it took everything.
        drop(writer.write_all(&sent).await);
        writer
    });
    let mut came = Vec::new();
    let mut part = [0; 4096];
    // A reset is an end as well.
    while let Ok(bytes @ 1..) = reader.read(&mut part).await {
        came.extend_from_slice(&part[..bytes]);
    }
    drop(writing.await);
    came
}

/// The types of the HTTP/2 frames received.
fn kinds(mut came: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, ..] = came {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        kinds.push(*kind);
        came = came.get(9 + length..).unwrap_or_default();
    }
    kinds
}

const GOAWAY: u8 = 7;

#[tokio::test]
async fn t43_a_peer_that_asks_for_nothing_is_not_kept() {
    let limits = Limits {
        first: SHORT,
        closing: SHORT,
        ..PATIENT
    };
    let (address, _open) = listening(limits, None).await;
    assert!(until_closed(address, b"").await.is_empty());
    until_closed(address, b"PRI * HT").await;
    let said = until_closed(address, &preface(&[])).await;
    assert!(kinds(&said).contains(&GOAWAY), "{said:?}");
}

#[tokio::test]
async fn t43_a_head_that_drips_is_not_waited_for() {
    let limits = Limits {
        head: SHORT,
        ..PATIENT
    };
    let (address, _open) = listening(limits, None).await;
    until_closed(address, b"GET / HTTP/1.1\r\nhost: it\r\nx-").await;
}

#[tokio::test]
async fn t43_a_handshake_that_drips_is_not_waited_for() {
    let limits = Limits {
        handshake: SHORT,
        ..PATIENT
    };
    let (acceptor, _) = super::certificates::shown();
    let (address, _open) = listening(limits, Some(acceptor)).await;
    until_closed(address, &[22, 3, 1]).await;
}

#[tokio::test]
async fn t43_a_watcher_that_went_away_is_noticed() {
    let limits = Limits {
        ping: SHORT,
        pong: SHORT,
        ..PATIENT
    };
    let (address, _open) = listening(limits, None).await;
    until_closed(address, &[preface(&[]), asking("/endless")].concat()).await;
}

#[tokio::test]
async fn t43_an_idle_peer_is_not_kept() {
    let limits = Limits {
        idle: SHORT,
        closing: SHORT,
        ..PATIENT
    };
    let (address, _open) = listening(limits, None).await;
    let said = until_closed(address, b"GET / HTTP/1.1\r\nhost: it\r\n\r\n").await;
    assert!(said.starts_with(b"HTTP/1.1 200"), "{said:?}");
    let said = until_closed(address, &[preface(&[]), asking("/")].concat()).await;
    assert!(kinds(&said).contains(&GOAWAY), "{said:?}");
}

#[tokio::test]
async fn t43_a_peer_that_takes_no_answer_is_cut_off() {
    let limits = Limits {
        stalled: SHORT,
        ..PATIENT
    };
    let (address, _open) = listening(limits, None).await;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let sent = [preface(&[(INITIAL_WINDOW_SIZE, 0)]), asking("/")].concat();
    let said = until_closed(address, &sent).await;
    assert!(!kinds(&said).contains(&0), "a window of nothing took data");
}

#[tokio::test]
async fn t43_a_connection_grows_only_so_old() {
    let limits = Limits {
        age: SHORT,
        finishing: SHORT,
        ..PATIENT
    };
    let (address, _open) = listening(limits, None).await;
    let sent = [preface(&[]), asking("/endless")].concat();
    let said = until_closed(address, &sent).await;
    assert!(kinds(&said).contains(&GOAWAY), "{said:?}");
}

#[tokio::test]
async fn t43_a_body_that_drips_is_given_up() {
    let limits = Limits {
        body: SHORT,
        ..PATIENT
    };
    let (address, _open) = listening(limits, None).await;
    let sent = b"POST /echo HTTP/1.1\r\nhost: it\r\ncontent-length: 10\r\n\r\n1";
    let said = String::from_utf8(until_closed(address, sent).await).unwrap();
    assert!(said.starts_with("HTTP/1.1 400"), "{said}");
    assert!(said.contains("came too slowly"), "{said}");
}

#[tokio::test]
async fn t43_what_no_request_asked_for_is_taken_only_so_long() {
    let (address, _open) = listening(PATIENT, None).await;
    const PINGS: usize = 64 * 1024;
    let flood = frame(6, 0, 0, &[0; 8]).repeat(PINGS);
    until_closed(address, &[preface(&[]), flood].concat()).await;
}

#[tokio::test]
async fn what_is_asked_for_comes_whole_before_the_end() {
    let (address, close) = listening(PATIENT, None).await;
    let mut peer = TcpStream::connect(address).await.unwrap();
    let asked =
        b"POST /echo HTTP/1.1\r\nhost: it\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n";
    peer.write_all(asked).await.unwrap();
    // The listener says when it waits for the body, and is closed then.
    let mut goes_on = *b"HTTP/1.1 100 Continue\r\n\r\n";
    peer.read_exact(&mut goes_on).await.unwrap();
    assert!(goes_on.starts_with(b"HTTP/1.1 100"));
    close.send_replace(true);
    peer.write_all(b"1234567890").await.unwrap();
    let mut said = String::new();
    peer.read_to_string(&mut said).await.unwrap();
    assert!(said.ends_with("1234567890"), "{said}");
}

#[tokio::test]
async fn t43_a_request_has_so_many_header_fields() {
    let (address, _open) = listening(PATIENT, None).await;
    let status = async |fields: usize| {
        let more = "x: y\r\n".repeat(fields - 2);
        let asked = format!("GET / HTTP/1.1\r\nhost: it\r\nconnection: close\r\n{more}\r\n");
        let said = until_closed(address, asked.as_bytes()).await;
        String::from_utf8_lossy(&said)
            .lines()
            .next()
            .map(str::to_owned)
    };
    assert!(status(100).await.is_some_and(|line| line.contains("200")));
    assert!(status(101).await.is_none_or(|line| line.contains("431")));
}
