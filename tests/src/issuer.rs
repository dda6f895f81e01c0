//! An OpenID provider of the tests' own, as bad as a test wants it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

/// How it answers when it is asked for its keys.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Serves this text.
    Are(String),
    /// Elsewhere, by a redirect.
    Redirected,
    /// With more than anybody wants to read.
    Endless,
    /// A byte now and then.
    Slow,
    /// Names this address.
    At(String),
}

/// The server; it answers until the test ends.
pub struct Provider {
    address: SocketAddr,
    keys: Arc<Mutex<Keys>>,
    asked: Arc<AtomicUsize>,
    gone: Arc<AtomicBool>,
}

impl Provider {
    /// Serves with the certificate that is in a development daemon's directory.
    ///
    /// # Errors
    /// As of the system, or when there is no certificate.
    pub fn start(daemon: &Path, keys: Keys) -> Result<Self> {
        let chain = CertificateDer::pem_file_iter(daemon.join("dev-tls.pem"))?;
        let chain = chain.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(daemon.join("dev-tls.key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let started = Self {
            address: listener.local_addr()?,
            keys: Arc::new(Mutex::new(keys)),
            asked: Arc::default(),
            gone: Arc::default(),
        };
        let (config, url) = (Arc::new(config), started.url());
        let (keys, asked) = (Arc::clone(&started.keys), Arc::clone(&started.asked));
        let gone = Arc::clone(&started.gone);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if gone.load(Ordering::SeqCst) {
                    continue;
                }
                let (config, url) = (Arc::clone(&config), url.clone());
                let (keys, asked) = (Arc::clone(&keys), Arc::clone(&asked));
                std::thread::spawn(move || answer(stream, config, &url, &keys, &asked));
            }
        });
        Ok(started)
    }

    /// The issuer's URL, as `iss` names it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Answers like this from now on.
    pub fn set(&self, keys: Keys) {
        if let Ok(mut held) = self.keys.lock() {
            *held = keys;
        }
    }

    /// Answers nobody any more.
    pub fn leave(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    /// How often it was asked for its keys.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    url: &str,
    keys: &Mutex<Keys>,
    asked: &AtomicUsize,
) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut stream = StreamOwned::new(connection, stream);
    let path = requested(&mut stream)?;
    let keys = keys.lock().ok()?.clone();
    let whole = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    if path.ends_with("/openid-configuration") {
        let jwks = match &keys {
            Keys::At(elsewhere) => elsewhere.clone(),
            Keys::Are(_) | Keys::Redirected | Keys::Endless | Keys::Slow => format!("{url}/jwks"),
        };
        let document = json!({"issuer": url, "jwks_uri": jwks}).to_string();
        return stream.write_all(whole("200 OK", &document).as_bytes()).ok();
    }
    asked.fetch_add(1, Ordering::SeqCst);
    match keys {
        Keys::Are(text) => stream.write_all(whole("200 OK", &text).as_bytes()).ok(),
        Keys::Redirected | Keys::At(_) => {
            let head = format!("302 Found\r\nlocation: {url}/elsewhere");
            stream.write_all(whole(&head, "").as_bytes()).ok()
        }
        Keys::Endless => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
            stream.write_all(head.as_bytes()).ok()?;
            // Until nobody reads any more.
            while stream.write_all(&[b' '; 65_536]).is_ok() {}
            Some(())
        }
        Keys::Slow => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{";
            stream.write_all(head.as_bytes()).ok()?;
            // Until nobody waits any more: then the read ends.
            let mut nothing = [0];
            stream.read(&mut nothing).ok().map(drop)
        }
    }
}

/// The path of a request, whose headers are read.
fn requested(stream: &mut impl std::io::Read) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 || line.trim().is_empty() {
            return first.split(' ').nth(1).map(str::to_owned);
        }
    }
}
