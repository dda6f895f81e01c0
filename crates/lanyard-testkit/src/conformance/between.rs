//! A proxy between a broker and a server, which can fail and answer in the server's place, as load
//! balancers and gateways do. It speaks plain HTTP/1.1 with one request per connection.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An answer of the proxy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Status line, such as `404 Not Found`.
    pub status: &'static str,
    /// Media type, such as `text/html`.
    pub media: &'static str,
    /// Body of the answer.
    pub body: &'static str,
}

/// A fault that meets a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The proxy neither forwards nor answers the request until it is given another fault.
    Hang,
    /// The proxy closes the connection and forwards nothing.
    Reset,
    /// The server handles the request, and the proxy closes the connection instead of answering.
    LostAnswer,
    /// The server handles the request, and the proxy returns half of the answer.
    HalfAnswer,
    /// The proxy answers by itself and forwards nothing.
    Answer(Answer),
}

/// The requests that a fault meets. An empty field matches any request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Method, such as `DELETE`.
    pub method: &'static str,
    /// Part of the path.
    pub path: &'static str,
    /// Part of the body.
    pub body: &'static str,
}

/// The error page of a gateway.
const HTML: (&str, &str) = ("text/html", "<html><body>no</body></html>");
/// A JSON object without content.
const EMPTY: (&str, &str) = ("application/json", "{}");
/// Statuses with which a foreign body could pass for an answer of the server.
const STATUSES: [&str; 3] = ["200 OK", "404 Not Found", "500 Internal Server Error"];

impl Fault {
    /// Lists every fault but a hang: broken connections, the throttling answers of the API, and the
    /// statuses 200, 404 and 500 with HTML, `{}` and the given objects of the API (media type and
    /// body).
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
    /// Matches every request of any kind.
    pub const EVERYTHING: Self = Self::method("");

    /// Matches the requests of one method.
    #[must_use]
    pub const fn method(method: &'static str) -> Self {
        Self {
            method,
            path: "",
            body: "",
        }
    }

    /// Restricts the rule to paths that contain `path`.
    #[must_use]
    pub const fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// Restricts the rule to bodies that contain `body`.
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

/// A byte stream to a server.
pub trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// Opens a connection to the server.
type Connect = Arc<dyn Fn() -> std::io::Result<Box<dyn Stream>> + Send + Sync>;

/// The active fault and its rule.
type Set = Option<(Fault, Rule)>;

/// A proxy in front of one server.
#[derive(Clone)]
pub struct Between {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    set: Set,
    /// Requests in progress, including those that hang.
    under_way: usize,
    hanging: Vec<TcpStream>,
}

/// A request as it is forwarded, with `connection: close`.
struct Request {
    method: String,
    path: String,
    whole: Vec<u8>,
}

impl Between {
    /// Starts a proxy for the server at `server`, without a fault.
    ///
    /// # Panics
    /// When the proxy cannot listen.
    #[must_use]
    pub fn start(server: SocketAddr) -> Self {
        Self::before(move || Ok(Box::new(TcpStream::connect(server)?)))
    }

    /// Starts a proxy for a server that `connect` reaches, over TLS for instance.
    ///
    /// # Panics
    /// When the proxy cannot listen.
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
                    // Broken connections are the purpose of this proxy, so errors are ignored.
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

    /// Returns the address of the proxy.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the matching requests fail from now on.
    pub fn fail(&self, fault: Fault, rule: Rule) {
        self.set(Some((fault, rule)));
    }

    /// Forwards all requests from now on.
    pub fn clear(&self) {
        self.set(None);
    }

    fn set(&self, set: Set) {
        let mut state = self.state();
        state.set = set;
        for hanging in state.hanging.drain(..) {
            // A connection whose client has gone is closed already.
            drop(hanging.shutdown(Shutdown::Both));
        }
    }

    /// True if at least one request hangs and none makes progress, so that only a timeout can end
    /// the wait.
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

    /// Holds the request until the client gives up or the fault changes.
    fn hang(&self, client: &TcpStream, set: Set) -> std::io::Result<()> {
        let (held, at) = (client.try_clone()?, client.peer_addr()?);
        {
            let mut state = self.state();
            // The fault may have changed since it was read.
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
    // Some servers close TLS without a close_notify alert. What has arrived is the answer.
    let read = server.read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    Ok(answer)
}
