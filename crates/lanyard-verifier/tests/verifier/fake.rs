//! A fake broker that signs any claims, and counts requests for its documents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, Request};
use lanyard_verifier::{
    Accepted, Broker, Clock, Demands, Fetch, FetchError, Refusal, Timestamp, Verifier,
};
use parking_lot::Mutex;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://lanyard.example";
pub(crate) const LIST: &str = "https://lanyard.example/oauth2/status-lists/0f-0";
pub(crate) const KEYS: &str = "https://lanyard.example/.well-known/jwks.json";
/// The time at which each test begins.
pub(crate) const START: u64 = 1_800_000_000;
/// Number of places on a list of the tests.
const LIST_PLACES: usize = 64;

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An Ed25519 key of the fake broker.
pub(crate) struct Key {
    pub(crate) kid: String,
    pair: Ed25519KeyPair,
}

impl Key {
    pub(crate) fn named(kid: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self {
            kid: kid.to_owned(),
            pair: Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap(),
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": b64(self.pair.public_key())})
    }

    pub(crate) fn published(&self) -> Value {
        let mut jwk = self.jwk();
        jwk["kid"] = json!(self.kid);
        jwk
    }

    pub(crate) fn thumbprint(&self) -> String {
        let x = b64(self.pair.public_key());
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        b64(ring::digest::digest(
            &ring::digest::SHA256,
            members.as_bytes(),
        ))
    }

    /// Signs a compact JWS of exactly these texts.
    pub(crate) fn jws(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(payload));
        let signature = b64(self.pair.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        let header = json!({"typ": typ, "alg": "EdDSA", "kid": self.kid});
        self.jws(&header.to_string(), &claims.to_string())
    }

    /// Signs a proof of possession with these claims.
    pub(crate) fn proof(&self, claims: &Value) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.jwk()});
        self.jws(&header.to_string(), &claims.to_string())
    }
}

/// Both clocks, set by hand.
#[derive(Default)]
pub(crate) struct Time {
    ahead: Mutex<i64>,
    running: AtomicU64,
}

impl Time {
    pub(crate) fn pass(&self, span: Duration) {
        let millis = u64::try_from(span.as_millis()).unwrap();
        self.running.fetch_add(millis, Ordering::SeqCst);
    }

    /// Moves the time of day, and not the monotonic clock.
    pub(crate) fn set(&self, ahead: i64) {
        *self.ahead.lock() = ahead * 1000;
    }

    /// Seconds since the epoch.
    pub(crate) fn secs(&self) -> u64 {
        self.now().as_secs()
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let running = self.running.load(Ordering::SeqCst);
        Timestamp::from_millis((START * 1000 + running).saturating_add_signed(*self.ahead.lock()))
    }

    fn running(&self) -> Duration {
        Duration::from_millis(self.running.load(Ordering::SeqCst))
    }
}

/// The documents at the broker's addresses, and the number of requests for each.
#[derive(Default)]
pub(crate) struct Documents {
    pub(crate) at: Mutex<BTreeMap<String, Vec<u8>>>,
    asked: Mutex<BTreeMap<String, usize>>,
    /// Number of requests that have to arrive before any is answered.
    pub(crate) held_back: Mutex<Option<Arc<tokio::sync::Barrier>>>,
}

impl Documents {
    pub(crate) fn put(&self, url: &str, content: impl Into<Vec<u8>>) {
        self.at.lock().insert(url.to_owned(), content.into());
    }

    pub(crate) fn asked(&self, url: &str) -> usize {
        self.asked.lock().get(url).copied().unwrap_or_default()
    }

    pub(crate) fn all_asked(&self) -> Vec<String> {
        self.asked.lock().keys().cloned().collect()
    }
}

#[async_trait]
impl Fetch for Documents {
    async fn fetch(&self, url: &str, most: usize) -> Result<Vec<u8>, FetchError> {
        *self.asked.lock().entry(url.to_owned()).or_default() += 1;
        let barrier = self.held_back.lock().clone();
        if let Some(barrier) = barrier {
            barrier.wait().await;
        }
        let silent = || FetchError::Silent {
            url: url.to_owned(),
            why: "connection refused".to_owned(),
        };
        let found = self.at.lock().get(url).cloned().ok_or_else(silent)?;
        assert!(found.len() <= most, "a test's document is too large");
        Ok(found)
    }
}

/// The broker, its only key, and a verifier of it.
pub(crate) struct Scene {
    pub(crate) key: Key,
    pub(crate) time: Arc<Time>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) verifier: Verifier,
}

impl Scene {
    pub(crate) fn set() -> Self {
        Self::demanding(Demands::audience("tickets").reached_at("https://tickets.example"))
    }

    pub(crate) fn demanding(demands: Demands) -> Self {
        let (time, documents) = (Arc::<Time>::default(), Arc::<Documents>::default());
        let broker = Broker::named(ISSUER).unwrap();
        let scene = Self {
            key: Key::named("one"),
            verifier: Verifier::with(broker, demands, (documents.clone(), time.clone())),
            time,
            documents,
        };
        scene.publish(&[&scene.key]);
        scene.list(&[]);
        scene
    }

    pub(crate) fn publish(&self, keys: &[&Key]) {
        let keys: Vec<_> = keys.iter().map(|key| key.published()).collect();
        self.documents.put(KEYS, json!({"keys": keys}).to_string());
    }

    /// Publishes a current list on which these tokens are revoked.
    pub(crate) fn list(&self, revoked: &[usize]) {
        let claims = self.list_claims(revoked);
        let list = self.key.sign("statuslist+jwt", &claims);
        self.documents.put(LIST, list);
    }

    pub(crate) fn list_claims(&self, revoked: &[usize]) -> Value {
        let mut bits = vec![0_u8; LIST_PLACES / 8];
        for place in revoked {
            bits[place / 8] |= 1 << (place % 8);
        }
        let packed = b64(miniz_oxide::deflate::compress_to_vec_zlib(&bits, 9));
        let now = self.time.secs();
        json!({"sub": LIST, "iat": now, "exp": now + 30, "ttl": 10, "status_list": {"bits": 1, "lst": packed}})
    }

    /// Returns the claims of a valid token.
    pub(crate) fn claims(&self) -> Value {
        let now = self.time.secs();
        json!({
            "iss": ISSUER, "sub": "router", "aud": "tickets", "client_id": "router",
            "iat": now, "exp": now + 600, "jti": "L-05EKSYFMMTKJ80XZJ8XRC1XPXP",
            "scope": "tickets.read tickets.list", "task": "T-0TYM3XZBCCFE22Z8KHHVXMF9ZK",
            "charter": "ticket-router", "revision": format!("sha256:{}", "0".repeat(64)),
            "grant": "read-tickets", "role": "plan", "environment": "production",
            "status": {"status_list": {"idx": 7, "uri": LIST}},
        })
    }

    /// Returns the claims with other members; null removes one.
    pub(crate) fn claims_with(&self, changes: &Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    pub(crate) fn token(&self) -> String {
        self.key.sign("at+jwt", &self.claims())
    }

    pub(crate) fn token_with(&self, changes: &Value) -> String {
        self.key.sign("at+jwt", &self.claims_with(changes))
    }

    /// Presents a token as a bearer token.
    pub(crate) async fn shows(&self, token: &str) -> Result<Accepted, Refusal> {
        let head = head(&[("authorization", &format!("Bearer {token}"))]);
        self.verifier.accept(&head).await
    }
}

/// The head of a request for tickets.
pub(crate) fn head(headers: &[(&'static str, &str)]) -> Parts {
    let request = Request::get("https://ignored.example/tickets?page=2");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    parts.headers = HeaderMap::new();
    for (name, value) in headers {
        parts.headers.append(*name, value.parse().unwrap());
    }
    parts
}
