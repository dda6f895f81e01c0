//! What stands between a broker and a server, and answers in the server's place: load balancers, gateways and proxies, as far
//! as plain HTTP/1.1 with one request a connection goes.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An answer that nobody behind the proxy gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// `404 Not Found`.
    pub status: &'static str,
    /// `text/html`.
    pub media: &'static str,
    /// The body.
    pub body: &'static str,
}

/// What becomes of a request on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing reaches the server, and nothing is answered, until the proxy is told something else.
    Hang,
    /// The connection is closed, and nothing reaches the server.
    Reset,
    /// The server does it, and the connection is closed in place of the answer.
    LostAnswer,
    /// The server does it, and half of the answer comes back.
    HalfAnswer,
    /// This is answered, and nothing reaches the server.
    Answer(Answer),
}

/// Which requests a fault befalls: an empty text stands for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `DELETE`.
    pub method: &'static str,
    /// A part of the path.
    pub path: &'static str,
    /// A part of the body.
    pub body: &'static str,
}

/// HTML of a gateway.
const HTML: (&str, &str) = ("text/html", "<html><body>no</body></html>");
/// JSON that says nothing.
const EMPTY: (&str, &str) = ("application/json", "{}");
/// How an answer of the server's own is taken for that of something else.
const STATUSES: [&str; 3] = ["200 OK", "404 Not Found", "500 Internal Server Error"];

impl Fault {
    /// Every fault but a hang: connections that break, the ways in which this API throttles, and 200, 404 and 500 with HTML,
    /// `{}` and these other objects of the API, each a media type and a body.
    #[must_use]
    pub fn all(throttles: &[Answer], others: &[(&'static str, &'static str)]) -> Vec<Self> {
        let mut all = vec![Self::Reset, Self::LostAnswer, Self::HalfAnswer];
        all.extend(throttles.iter().copied().map(Self::Answer));
        for status in STATUSES {
            let bodies = [HTML, EMPTY].into_iter().chain(others.iter().copied());
            all.extend(bodies.map(|(media, body)| {
                Self::Answer(Answer {
                    status,
                    media,
                    body,
                })
            }));
        }
        all
    }
}

impl Rule {
    /// Every request.
    pub const EVERYTHING: Self = Self::method("");

    /// The requests of one method.
    #[must_use]
    pub const fn method(method: &'static str) -> Self {
        Self {
            method,
            path: "",
            body: "",
        }
    }

    /// Those of them whose path has this part.
    #[must_use]
    pub const fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// Those of them whose body has this part.
    #[must_use]
    pub const fn saying(self, body: &'static str) -> Self {
        Self { body, ..self }
    }

    fn befalls(&self, request: &Request) -> bool {
        (self.method.is_empty() || self.method == request.method)
            && request.path.contains(self.path)
            && String::from_utf8_lossy(&request.whole).contains(self.body)
    }
}

/// A connection to a server.
pub trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// How the server is reached.
type Connect = Arc<dyn Fn() -> std::io::Result<Box<dyn Stream>> + Send + Sync>;

/// What goes wrong, and with which requests.
type Set = Option<(Fault, Rule)>;

/// A proxy before one server.
#[derive(Clone)]
pub struct Between {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    set: Set,
    /// How many requests are under way, those that hang among them.
    under_way: usize,
    hanging: Vec<TcpStream>,
}

/// One request as it is passed on: the last one of its connection.
struct Request {
    method: String,
    path: String,
    whole: Vec<u8>,
}

impl Between {
    /// Stands before a server of this address, and lets everything through.
    ///
    /// # Panics
    /// Where it cannot listen.
    #[must_use]
    pub fn start(server: SocketAddr) -> Self {
        Self::before(move || Ok(Box::new(TcpStream::connect(server)?)))
    }

    /// Stands before the server that is reached so: over TLS, say.
    ///
    /// # Panics
    /// Where it cannot listen.
    #[must_use]
    pub fn before(
        connect: impl Fn() -> std::io::Result<Box<dyn Stream>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let between = Self {
            address: listener.local_addr().expect("an address"),
            state: Arc::default(),
        };
        let (here, connect): (_, Connect) = (between.clone(), Arc::new(connect));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (here, connect) = (here.clone(), Arc::clone(&connect));
                here.state().under_way += 1;
                std::thread::spawn(move || {
                    // A connection that breaks is what this is for.
                    drop(here.serve(&client, &connect));
                    here.state().under_way -= 1;
                });
            }
        });
        between
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this goes wrong with these requests.
    pub fn fail(&self, fault: Fault, rule: Rule) {
        self.set(Some((fault, rule)));
    }

    /// From now on everything goes through.
    pub fn clear(&self) {
        self.set(None);
    }

    fn set(&self, set: Set) {
        let mut state = self.state();
        state.set = set;
        for hanging in state.hanging.drain(..) {
            // One whose client went away is closed already.
            drop(hanging.shutdown(Shutdown::Both));
        }
    }

    /// Whether something hangs, and nothing else is under way: there is nothing to wait for but somebody's patience.
    #[must_use]
    pub fn only_hangs(&self) -> bool {
        let state = self.state();
        !state.hanging.is_empty() && state.hanging.len() == state.under_way
    }

    fn serve(&self, client: &TcpStream, connect: &Connect) -> std::io::Result<()> {
        let request = Request::read(client)?;
        let set = self.state().set;
        let fault = set
            .filter(|(_, rule)| rule.befalls(&request))
            .map(|(fault, _)| fault);
        let mut answer = match fault {
            Some(Fault::Hang) => return self.hang(client, set),
            Some(Fault::Reset) => return client.shutdown(Shutdown::Both),
            Some(Fault::Answer(Answer {
                status,
                media,
                body,
            })) => {
                let length = body.len();
                format!(
                    "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                )
                .into_bytes()
            }
            Some(Fault::LostAnswer | Fault::HalfAnswer) | None => {
                forward(connect()?.as_mut(), &request.whole)?
            }
        };
        match fault {
            Some(Fault::LostAnswer) => return client.shutdown(Shutdown::Both),
            Some(Fault::HalfAnswer) => answer.truncate(answer.len() / 2),
            Some(Fault::Hang | Fault::Reset | Fault::Answer(_)) | None => {}
        }
        let mut client = client;
        client.write_all(&answer)?;
        client.shutdown(Shutdown::Both)
    }

    /// Until the client goes away, or the fault does.
    fn hang(&self, client: &TcpStream, set: Set) -> std::io::Result<()> {
        let (held, at) = (client.try_clone()?, client.peer_addr()?);
        {
            let mut state = self.state();
            // It may have been told something else meanwhile.
            if state.set != set {
                return client.shutdown(Shutdown::Both);
            }
            state.hanging.push(held);
        }
        let mut client = client;
        let gone = client.read(&mut [0; 1]);
        let mut state = self.state();
        state
            .hanging
            .retain(|it| it.peer_addr().is_ok_and(|peer| peer != at));
        gone.map(drop)
    }
}

impl Request {
    fn read(client: &TcpStream) -> std::io::Result<Self> {
        let mut reader = BufReader::new(client);
        let (mut whole, mut first, mut length) = (Vec::new(), String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if first.is_empty() {
                first.clone_from(&line);
            }
            let lower = line.to_ascii_lowercase();
            if let Some(said) = lower.strip_prefix("content-length:") {
                length = said.trim().parse().unwrap_or(0);
            }
            let last = line.trim().is_empty();
            if last {
                whole.extend_from_slice(b"connection: close\r\n");
            }
            if !lower.starts_with("connection:") {
                whole.extend_from_slice(line.as_bytes());
            }
            if last {
                break;
            }
        }
        reader.take(length).read_to_end(&mut whole)?;
        let mut words = first.split(' ').map(str::to_owned);
        Ok(Self {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            whole,
        })
    }
}

fn forward(server: &mut dyn Stream, request: &[u8]) -> std::io::Result<Vec<u8>> {
    server.write_all(request)?;
    server.flush()?;
    let mut answer = Vec::new();
    // A server may close without the alert that TLS has for it: what came is what it said.
    let read = server.read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    Ok(answer)
}
