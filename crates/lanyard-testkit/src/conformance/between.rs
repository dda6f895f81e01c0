//! What stands between a broker and a server, and answers in the server's place: load balancers, gateways and proxies, as far
//! as plain HTTP/1.1 with one request a connection goes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// What becomes of a request on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed, and nothing reaches the server.
    Reset,
    /// The server does it, and the connection is closed in place of the answer.
    LostAnswer,
    /// The server does it, and half of the answer comes back.
    HalfAnswer,
    /// This is answered, and nothing reaches the server.
    Answer {
        /// `404 Not Found`.
        status: &'static str,
        /// `text/html`.
        media: &'static str,
        /// The body.
        body: &'static str,
    },
}

impl Fault {
    /// Every fault: connections that break, a gateway that throttles, and 200, 404 and 500 with HTML, `{}` and another object.
    #[must_use]
    pub fn all() -> Vec<Self> {
        const BODIES: [(&str, &str); 3] = [
            ("text/html", "<html><body>no</body></html>"),
            ("application/json", "{}"),
            (
                "application/json",
                r#"{"kind": "Other", "data": {"id": 1}}"#,
            ),
        ];
        let mut all = vec![Self::Reset, Self::LostAnswer, Self::HalfAnswer];
        for status in [
            "200 OK",
            "404 Not Found",
            "429 Too Many Requests",
            "500 Internal Server Error",
        ] {
            let answers = BODIES.map(|(media, body)| Self::Answer {
                status,
                media,
                body,
            });
            all.extend(answers);
        }
        all
    }
}

/// The fault, and the method that it befalls; all of them where none is named.
type Set = Option<(Fault, Option<&'static str>)>;

/// A proxy before one server.
#[derive(Debug, Clone)]
pub struct Between {
    address: SocketAddr,
    fault: Arc<Mutex<Set>>,
}

impl Between {
    /// Stands before a server of this address, and lets everything through.
    ///
    /// # Panics
    /// Where it cannot listen.
    #[must_use]
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let fault: Arc<Mutex<Set>> = Arc::default();
        let set = Arc::clone(&fault);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let now = *set.lock().unwrap_or_else(PoisonError::into_inner);
                // A connection that breaks is what this is for.
                std::thread::spawn(move || drop(serve(&client, server, now)));
            }
        });
        Self { address, fault }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this goes wrong, for every method or for one.
    pub fn fail(&self, fault: Fault, method: Option<&'static str>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some((fault, method));
    }

    /// From now on everything goes through.
    pub fn clear(&self) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn serve(client: &TcpStream, server: SocketAddr, set: Set) -> std::io::Result<()> {
    let (method, request) = read(client)?;
    let befalls = |of: Option<&str>| of.is_none_or(|of| of == method);
    let fault = set.filter(|(_, of)| befalls(*of)).map(|(fault, _)| fault);
    let mut answer = match fault {
        Some(Fault::Reset) => return client.shutdown(Shutdown::Both),
        Some(Fault::Answer {
            status,
            media,
            body,
        }) => {
            let length = body.len();
            format!(
                "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .into_bytes()
        }
        Some(Fault::LostAnswer | Fault::HalfAnswer) | None => forward(server, &request)?,
    };
    match fault {
        Some(Fault::LostAnswer) => return client.shutdown(Shutdown::Both),
        Some(Fault::HalfAnswer) => answer.truncate(answer.len() / 2),
        Some(Fault::Reset | Fault::Answer { .. }) | None => {}
    }
    let mut client = client;
    client.write_all(&answer)?;
    client.shutdown(Shutdown::Both)
}

/// The method, and the request as it is passed on: the last one of its connection.
fn read(client: &TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(client);
    let (mut request, mut method, mut length) = (Vec::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if method.is_empty() {
            method = line.split(' ').next().unwrap_or_default().to_owned();
        }
        let lower = line.to_ascii_lowercase();
        if let Some(said) = lower.strip_prefix("content-length:") {
            length = said.trim().parse().unwrap_or(0);
        }
        let last = line.trim().is_empty();
        if last {
            request.extend_from_slice(b"connection: close\r\n");
        }
        if !lower.starts_with("connection:") {
            request.extend_from_slice(line.as_bytes());
        }
        if last {
            break;
        }
    }
    reader.take(length).read_to_end(&mut request)?;
    Ok((method, request))
}

fn forward(server: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(server)?;
    upstream.write_all(request)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    Ok(answer)
}
