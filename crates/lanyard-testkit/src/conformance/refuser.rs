//! A server that refuses every request and repeats a secret. Only a real client on a real
//! connection can show that no text of an answer reaches errors or logs (T50).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

/// The secret, of letters and digits only, so that filters for other characters let it pass.
pub const CANARY: &str = "canary0SecretThatNobodyMayRepeat";

/// Answers every HTTP/1.1 request with this status line and body, until the process ends.
///
/// # Panics
/// When the server cannot listen.
#[must_use]
pub fn start(status: &'static str, content_type: &'static str, body: String) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Clients that disconnect are no fault of this server.
            drop(answer(&client, (status, content_type), &body));
        }
    });
    address
}

fn answer(
    client: &TcpStream,
    (status, content_type): (&str, &str),
    body: &str,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let mut client = client;
    write!(
        client,
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
