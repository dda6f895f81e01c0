//! The loopback listener that receives the browser's redirect: one port, for one login.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::http::Refusal;
use crate::secret::Token;

/// Bytes of an HTTP request head that are read.
const HEAD_BYTES: usize = 16 * 1024;
/// Connections that are read at the same time. Browsers open some ahead of need.
const CONCURRENT_CONNECTIONS: usize = 16;
/// Time for a connection to send its request, and again to take the answer.
const CONNECTION_WAIT: Duration = Duration::from_secs(10);

const DONE: &str =
    "The answer has reached lanyard. How it went on is in the terminal; this page can be closed.\n";
const OTHER: &str = "This does not belong to the login that was begun here.\n";

/// A listening port on 127.0.0.1.
pub(super) struct Loopback {
    listener: TcpListener,
    port: u16,
}

/// The parameters of the redirect: the code or the provider's error, and the issuer.
pub(super) struct Callback {
    pub(super) code: Result<Token, Refusal>,
    pub(super) iss: Option<String>,
}

impl Loopback {
    pub(super) async fn listen() -> io::Result<Self> {
        // RFC 8252 section 8.3 asks for the address: `localhost` may resolve to another interface.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    pub(super) fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}/callback", self.port)
    }

    /// Waits for the redirect that carries `state`. Other requests are answered with 400 and change
    /// nothing, because any web page can send a browser to this port.
    pub(super) async fn callback(&self, state: &str) -> io::Result<Callback> {
        let mut reading = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if reading.len() < CONCURRENT_CONNECTIONS => {
                    let (stream, _) = accepted?;
                    reading.spawn(tokio::time::timeout(CONNECTION_WAIT, target(stream)));
                }
                Some(read) = reading.join_next(), if !reading.is_empty() => {
                    // A connection that sent no HTTP request in time is dropped.
                    let Ok(Ok(Ok((stream, target)))) = read else { continue };
                    match callback(&target, state) {
                        Some(callback) => {
                            answer(stream, "200 OK", DONE).await;
                            return Ok(callback);
                        }
                        None => answer(stream, "400 Bad Request", OTHER).await,
                    }
                }
            }
        }
    }
}

/// Reads the head of an HTTP request and returns the target of its GET.
async fn target(mut stream: TcpStream) -> io::Result<(TcpStream, Token)> {
    let mut head = zeroize::Zeroizing::new(Vec::with_capacity(HEAD_BYTES));
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() >= HEAD_BYTES || stream.read_buf(&mut *head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(io::Error::other)?;
    let target = line
        .strip_prefix("GET ")
        .and_then(|rest| rest.split(' ').next());
    let target = target.ok_or(io::ErrorKind::InvalidData)?;
    Ok((stream, Token::new(target.to_owned())))
}

/// Parses the redirect if its `state` matches: RFC 6749 section 4.1.2.
fn callback(target: &Token, state: &str) -> Option<Callback> {
    let query = target.expose().strip_prefix("/callback?")?;
    let field = |name: &str| {
        let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.into_owned());
        // RFC 6749 section 3.1 forbids repeated parameters; a repeated one counts as absent.
        value.filter(|_| found.next().is_none())
    };
    if field("state")? != state {
        return None;
    }
    let code = match (field("error"), field("code")) {
        (None, Some(code)) => Ok(Token::new(code)),
        (Some(error), _) => Err(Refusal::new(
            &error,
            &field("error_description").unwrap_or_default(),
        )),
        (None, None) => return None,
    };
    Some(Callback {
        code,
        iss: field("iss"),
    })
}

/// Sends the page to the browser. Errors are ignored, because the code has already arrived.
async fn answer(mut stream: TcpStream, status: &str, text: &str) {
    let length = text.len();
    let page = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\n\
         connection: close\r\n\r\n{text}"
    );
    let sent = async {
        stream.write_all(page.as_bytes()).await?;
        stream.shutdown().await
    };
    drop(tokio::time::timeout(CONNECTION_WAIT, sent).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str) -> Option<Callback> {
        callback(&Token::new(target.into()), "s")
    }

    #[test]
    fn only_the_redirect_with_the_state_is_accepted() {
        let taken = read("/callback?code=c&state=s&iss=https%3A%2F%2Flogin.example").unwrap();
        assert_eq!(taken.code.ok().unwrap().expose(), "c");
        assert_eq!(taken.iss.as_deref(), Some("https://login.example"));
        for odd in [
            "/",
            "/callback",
            "/callback?state=s",
            "/callback?code=c",
            "/callback?code=c&state=other",
            "/callback?code=c&state=s&state=other",
            "/callback?code=c&code=d&state=s",
            "/elsewhere?code=c&state=s",
        ] {
            assert!(read(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn a_refusal_is_one_line() {
        let taken = read("/callback?error=access_denied&error_description=no%0a%1b[2J&state=s");
        let refusal = taken.unwrap().code.err().unwrap();
        assert_eq!(refusal.line(), "no[2J");
    }

    #[tokio::test]
    async fn foreign_requests_get_400_and_do_not_end_the_login() {
        let loopback = Loopback::listen().await.unwrap();
        let port = loopback.port;
        let ask = async |target: &str| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .unwrap();
            let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text
        };
        let browser = async {
            // Browsers open a connection ahead of need, which sends nothing.
            let _silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .unwrap();
            let wrong = ask("/callback?code=evil&state=wrong").await;
            assert!(wrong.starts_with("HTTP/1.1 400"), "{wrong}");
            let right = ask("/callback?code=c&state=s").await;
            assert!(right.starts_with("HTTP/1.1 200"), "{right}");
        };
        let (callback, ()) = tokio::join!(loopback.callback("s"), browser);
        assert_eq!(callback.unwrap().code.ok().unwrap().expose(), "c");
    }
}
