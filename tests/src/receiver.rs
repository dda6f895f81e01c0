//! The other side of a webhook.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use anyhow::Result;

/// The headers, their names in lower case, and the body.
pub type Message = (Vec<(String, String)>, String);

fn received(stream: &std::net::TcpStream) -> Result<Message> {
    let mut reader = BufReader::new(stream);
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            if name == "content-length" {
                length = value.parse()?;
            }
            headers.push((name, value));
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((headers, String::from_utf8(body)?))
}

/// A receiver that loses the first message on the way, and what it hears.
///
/// # Errors
/// As of the system.
pub fn receiver() -> Result<(std::net::SocketAddr, mpsc::Receiver<Message>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (told, hears) = mpsc::channel();
    std::thread::spawn(move || {
        for (count, stream) in listener.incoming().flatten().enumerate() {
            let Ok(request) = received(&stream) else {
                continue;
            };
            let status = if count == 0 {
                "500 Oops"
            } else {
                "204 No Content"
            };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            if (&stream).write_all(answer.as_bytes()).is_err() || told.send(request).is_err() {
                return;
            }
        }
    });
    Ok((address, hears))
}
