//! The parts of a flood: many workers that send the next call as soon as the last is answered, each
//! along a seeded sequence of calls.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_client::Context;
use lanyard_testkit::ids::Ids;
use parking_lot::Mutex;
use serde_json::json;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::stopwatch;

/// The number of times that a failed connection is tried again, with [`CONNECT_PAUSE`] in between.
const CONNECT_TRIES: u32 = 20;
const CONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Deadline of one call.
const DEADLINE: Duration = Duration::from_secs(30);

/// A connection to the daemon under test, and the context whose subject calls over it.
#[derive(Clone)]
pub(super) struct Caller {
    context: Arc<Context>,
    channel: Channel,
}

impl Caller {
    /// Connects from the address `from`, with a context of `lanyardd dev` whose subject is
    /// replaced.
    pub(super) async fn connect(directory: &Path, subject: &str, from: Ipv4Addr) -> Result<Self> {
        let context = Arc::new(context(directory, subject)?);
        // A flooded daemon may not complete the handshake in time.
        let mut again = CONNECT_TRIES;
        loop {
            match channel(directory, context.endpoint(), from).await {
                Ok(channel) => return Ok(Self { context, channel }),
                Err(error) if again == 0 => return Err(error),
                Err(_) => tokio::time::sleep(CONNECT_PAUSE).await,
            }
            again -= 1;
        }
    }

    /// Uses this connection as another subject.
    pub(super) fn as_subject(&self, directory: &Path, subject: &str) -> Result<Self> {
        Ok(Self {
            context: Arc::new(context(directory, subject)?),
            channel: self.channel.clone(),
        })
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) fn token(&self) -> Result<String> {
        Ok(self.context.token()?.expose().to_owned())
    }

    /// Returns a request with a proof of the caller's identity.
    pub(super) fn request<T>(&self, message: T) -> Result<Request<T>> {
        self.shown(message, &self.token()?)
    }

    /// Returns a request with `token` as the caller's identity.
    pub(super) fn shown<T>(&self, message: T, token: &str) -> Result<Request<T>> {
        let mut request = Request::new(message);
        request.set_timeout(DEADLINE);
        let shown = format!("Bearer {token}").parse()?;
        request.metadata_mut().insert("authorization", shown);
        Ok(request)
    }
}

/// Reads the context of `subject`, and writes it first where it does not exist.
pub(super) fn context(directory: &Path, subject: &str) -> Result<Context> {
    let path = directory
        .join("contexts")
        .join(format!("{}.json", subject.replace(':', "-")));
    if !path.exists() {
        let agent = std::fs::read_to_string(directory.join("contexts/agent.json"))?;
        // Several processes may write the file at the same time: each writes the same bytes.
        std::fs::write(&path, agent.replace("agent:router", subject))?;
    }
    Ok(Context::load(&path)?)
}

/// Opens a connection to the daemon from the address `from`.
pub(super) async fn channel(directory: &Path, endpoint: &str, from: Ipv4Addr) -> Result<Channel> {
    let authority = std::fs::read(directory.join("dev-ca.pem"))?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
    let endpoint = Endpoint::from_shared(endpoint.to_owned())?
        .tls_config(tls)?
        .local_address(Some(from.into()));
    Ok(endpoint.connect().await?)
}

/// The end of a flood and the counts of its calls, shared by its workers.
#[derive(Clone)]
pub(super) struct Flood {
    /// The number of calls, by call and outcome.
    counts: Arc<Mutex<BTreeMap<(&'static str, String), u64>>>,
    until: Instant,
}

impl Flood {
    pub(super) fn lasting(seconds: u64) -> Self {
        Self {
            counts: Arc::default(),
            until: stopwatch() + Duration::from_secs(seconds),
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        stopwatch() < self.until
    }

    /// Waits until the flood ends.
    pub(super) async fn end(&self) {
        tokio::time::sleep_until(self.until.into()).await;
    }

    /// Counts the outcome of a call; returns its answer if it succeeded.
    pub(super) fn count<T>(&self, what: &'static str, answer: Result<T, Status>) -> Option<T> {
        let (came, answer) = match answer {
            Ok(answer) => ("taken".to_owned(), Some(answer)),
            Err(status) => (format!("{:?}", status.code()), None),
        };
        self.add(what, came);
        answer
    }

    pub(super) fn add(&self, what: &'static str, came: String) {
        *self.counts.lock().entry((what, came)).or_default() += 1;
    }

    /// Prints the counts of all calls.
    pub(super) fn show(&self, who: &str) {
        let counts = self.counts.lock();
        let all: u64 = counts.values().sum();
        println!("  {who}: {all} calls");
        let mut by: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((what, came), count) in counts.iter() {
            by.entry(what).or_default().push(format!("{count} {came}"));
        }
        for (what, came) in by {
            println!("    {what:<34} {}", came.join(", "));
        }
    }
}

/// A seeded sequence of choices, so that a run can be repeated.
pub(super) struct Choices(Ids);

impl Choices {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(Ids::seeded(seed))
    }

    /// Chooses a number below `many`.
    pub(super) fn of(&self, many: usize) -> usize {
        let many = u128::try_from(many.max(1)).unwrap_or(1);
        usize::try_from(self.0.bits() % many).unwrap_or(0)
    }

    /// Chooses an element of `of`.
    pub(super) fn pick<T: Clone>(&self, of: &[T]) -> Option<T> {
        of.get(self.of(of.len())).cloned()
    }
}

/// Returns a client for plain HTTP calls from the address `from`.
pub(super) fn http(directory: &Path, from: Ipv4Addr) -> Result<reqwest::Client> {
    let authority = std::fs::read(directory.join("dev-ca.pem"))?;
    let authority = reqwest::Certificate::from_pem(&authority)?;
    reqwest::Client::builder()
        .tls_certs_only([authority])
        .local_address(Some(from.into()))
        .timeout(DEADLINE)
        .build()
        .context("no HTTP client")
}

/// Makes a key and a proof with it (RFC 9449) for one POST to `url`.
pub(super) fn dpop(url: &str) -> Result<String> {
    let random = ring::rand::SystemRandom::new();
    let made = ring::signature::Ed25519KeyPair::generate_pkcs8(&random);
    let made = made.ok().context("no key")?;
    let key = ring::signature::Ed25519KeyPair::from_pkcs8(made.as_ref());
    let key = key.ok().context("no key")?;
    let mut id = [0_u8; 16];
    ring::rand::SecureRandom::fill(&random, &mut id)
        .ok()
        .context("no random bits")?;
    let x = URL_SAFE_NO_PAD.encode(ring::signature::KeyPair::public_key(&key));
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk});
    let claims =
        json!({"jti": URL_SAFE_NO_PAD.encode(id), "iat": now()?, "htm": "POST", "htu": url});
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    Ok(format!("{signed}.{signature}"))
}

#[expect(clippy::disallowed_methods, reason = "a proof names its time of issue")]
fn now() -> Result<u64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Ok(since?.as_secs())
}
