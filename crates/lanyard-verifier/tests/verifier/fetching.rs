//! Fetching over HTTP, against servers that misbehave (T10).

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use lanyard_verifier::{Fetch as _, FetchError, Https};

/// Starts a server that answers each of its connections with these bytes.
fn server(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/document", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 1024];
        assert!(stream.read(&mut asked).unwrap() > 0);
        // The write fails if the client has seen enough and closed the connection.
        stream.write_all(&answer).ok();
        // Read until the client closes: an endless answer stays open.
        while stream.read(&mut asked).is_ok_and(|read| read > 0) {}
    });
    url
}

async fn fetched(answer: &str) -> Result<Vec<u8>, FetchError> {
    let url = server(answer.as_bytes().to_vec());
    Https::trusting(None).unwrap().fetch(&url, 100).await
}

#[tokio::test]
async fn t10_an_invalid_document_is_refused() {
    let good = fetched("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
    assert_eq!(good.unwrap(), b"hello");
    let elsewhere =
        "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    let status = fetched(elsewhere).await;
    assert!(
        matches!(status, Err(FetchError::Status { status: 302, .. })),
        "{status:?}"
    );
    let status = fetched("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    assert!(
        matches!(status, Err(FetchError::Status { status: 500, .. })),
        "{status:?}"
    );
    let large = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n{}",
        "x".repeat(101)
    );
    let size = fetched(&large).await;
    assert!(
        matches!(size, Err(FetchError::Size { most: 100, .. })),
        "{size:?}"
    );
    let chunk = format!("{:x}\r\n{}\r\n", 60, "x".repeat(60));
    let endless = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}");
    let size = fetched(&endless).await;
    assert!(matches!(size, Err(FetchError::Size { .. })), "{size:?}");
}

#[tokio::test]
async fn t10_a_silent_server_times_out() {
    let slow = fetched("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe").await;
    assert!(matches!(slow, Err(FetchError::Silent { .. })), "{slow:?}");
}
