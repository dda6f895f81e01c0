//! A relay that records the requests on their way to a server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

/// A running relay. Its thread ends with the process.
pub struct Recorder {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    /// Relays to `upstream`, an `http://IP:PORT` URL without path or host name. Bodies need a
    /// `content-length`.
    ///
    /// # Errors
    /// When `upstream` has another form, or no port can be opened.
    pub fn start(upstream: &str) -> Result<Self> {
        let upstream: SocketAddr = upstream
            .strip_prefix("http://")
            .context("expected an http:// URL")?
            .parse()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                // A broken connection is not this relay's fault.
                std::thread::spawn(move || drop(relay(&client, upstream, &kept)));
            }
        });
        Ok(Self { address, bodies })
    }

    /// Returns the base URL of the relay.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns, in order of arrival, the decoded fields of each recorded AWS query request whose
    /// `Action` is `action`.
    #[must_use]
    pub fn forms(&self, action: &str) -> Vec<Vec<(String, String)>> {
        let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        let forms = bodies.iter().map(|body| fields(body));
        forms
            .filter(|form| {
                form.iter()
                    .any(|(name, value)| name == "Action" && value == action)
            })
            .collect()
    }
}

fn relay(client: &TcpStream, upstream: SocketAddr, kept: &Mutex<Vec<String>>) -> Result<()> {
    let mut server = TcpStream::connect(upstream)?;
    let (mut back, mut answers) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || drop(std::io::copy(&mut answers, &mut back)));
    let mut requests = BufReader::new(client.try_clone()?);
    loop {
        let (mut head, mut length) = (Vec::new(), 0_u64);
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line)? == 0 {
                server.shutdown(std::net::Shutdown::Write)?;
                return Ok(());
            }
            head.extend_from_slice(line.as_bytes());
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = Vec::new();
        requests.by_ref().take(length).read_to_end(&mut body)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        kept.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
        server.write_all(&head)?;
        server.write_all(&body)?;
    }
}

fn fields(form: &str) -> Vec<(String, String)> {
    form.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

/// Decodes a text of application/x-www-form-urlencoded.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex = [rest.next(), rest.next()].into_iter().flatten().collect();
                let hex = String::from_utf8(hex).unwrap_or_default();
                bytes.extend(u8::from_str_radix(&hex, 16));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
