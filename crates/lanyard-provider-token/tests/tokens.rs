//! Tokens as a resource server sees them: verified with another library from the JWKS, forged in
//! every way that the header allows, and introspected.
#![expect(
    clippy::expect_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic"
)]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use lanyard_charter::TargetKind;
use lanyard_charter::kinds::TokenCredential;
use lanyard_core::provider::{MintRequest, PrepareError, Provider, Revocation};
use lanyard_provider_token::introspection::{Answer, LeaseView, answer};
use lanyard_provider_token::status::Lists;
use lanyard_provider_token::{Claims, Jwks, Keyring, MAX_TOKEN_LIFE, TokenProvider, VerifyError};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;
use tempfile::TempDir;

const ISSUER: &str = "https://lanyard.acme.example";
const NOW: Timestamp = ManualClock::START;

struct Bench {
    keyring: Arc<Keyring>,
    provider: TokenProvider,
    ids: Ids,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let keyring = Arc::new(Keyring::load_or_create(dir.path(), NOW).expect("keyring"));
        Self {
            provider: TokenProvider::new(
                ISSUER.to_owned(),
                Arc::clone(&keyring),
                Arc::new(Lists::new(1)),
            ),
            keyring,
            ids: Ids::seeded(1),
            dir,
        }
    }

    fn request(&self) -> MintRequest {
        let task = world::task(&self.ids, NOW);
        world::request(TargetKind::TOKEN, self.ids.lease(), &task, NOW)
    }

    async fn token(&self, request: &MintRequest) -> String {
        let prepared = self.provider.prepare(request).expect("prepared");
        let minted = self
            .provider
            .mint(request, &prepared)
            .await
            .expect("minted");
        assert_eq!(minted.expires, request.expires);
        let token = minted.credential.get::<TokenCredential>();
        token.expect("a token").jwt.expose().clone()
    }

    /// Signs any payload with the real key.
    async fn sign(&self, payload: &str) -> String {
        let request = self.request();
        let mut prepared = self.provider.prepare(&request).expect("prepared");
        payload.clone_into(&mut prepared.document);
        let minted = self
            .provider
            .mint(&request, &prepared)
            .await
            .expect("minted");
        let token = minted.credential.get::<TokenCredential>();
        token.expect("a token").jwt.expose().clone()
    }

    fn verify(&self, token: &str) -> Result<Claims, VerifyError> {
        self.keyring.verify(token, ISSUER, NOW)
    }
}

/// An Ed25519 verifier on ring for jsonwebtoken.
struct Ed25519Verifier(Vec<u8>);

impl signature::Verifier<Vec<u8>> for Ed25519Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, &self.0)
            .verify(message, signature)
            .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Ed25519Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

static ON_RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| match algorithm {
        Algorithm::EdDSA => Ok(Box::new(Ed25519Verifier(key.try_get_as_bytes()?.to_vec()))),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Verifies a token as a resource server does that knows nothing of Lanyard.
fn verify_elsewhere(token: &str, jwks: &Jwks) -> Result<Claims, jsonwebtoken::errors::Error> {
    // Fails if another test of this process installed it first.
    ON_RING.install_default().ok();
    let set: JwkSet =
        serde_json::from_value(serde_json::to_value(jwks).expect("json")).expect("a JWK set");
    let header = jsonwebtoken::decode_header(token)?;
    let jwk = set
        .find(&header.kid.expect("kid"))
        .expect("a published key");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["https://ledger.acme.example"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // The sample tokens are dated 2027.
    validation.validate_exp = false;
    jsonwebtoken::decode(token, &DecodingKey::from_jwk(jwk)?, &validation).map(|data| data.claims)
}

#[tokio::test]
async fn another_library_verifies_a_token_from_the_jwks_across_a_rotation() {
    let bench = Bench::new();
    let request = bench.request();
    let old = bench.token(&request).await;
    bench.keyring.rotate(NOW).expect("rotated");
    let mut later = bench.request();
    later.now = NOW + Duration::from_secs(600);
    later.expires = later.now + world::TTL;
    let new = bench.token(&later).await;
    let jwks = bench.keyring.jwks(later.now);
    let kid = |token| jsonwebtoken::decode_header(token).expect("header").kid;
    assert_ne!(kid(&old), kid(&new));
    for (token, request) in [(&old, &request), (&new, &later)] {
        let claims = verify_elsewhere(token, &jwks).expect("valid");
        assert_eq!(claims.jti, request.lease);
    }
    let stranger = Bench::new().token(&request).await;
    let forged = format!(
        "{}.{}",
        old.rsplit_once('.').expect("parts").0,
        stranger.rsplit_once('.').expect("parts").1
    );
    assert!(verify_elsewhere(&forged, &jwks).is_err());
}

#[tokio::test]
async fn a_token_has_the_claims_of_rfc_9068_and_those_of_its_lease() {
    let bench = Bench::new();
    let mut request = bench.request();
    request.role = Role::Apply;
    request.plan_digest = Some("9f2c".to_owned());
    let token = bench.token(&request).await;
    let header = jsonwebtoken::decode_header(&token).expect("header");
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let claims = bench.verify(&token).expect("ours");
    assert_eq!(
        serde_json::to_value(&claims).expect("json"),
        serde_json::json!({
            "iss": ISSUER,
            "sub": "terraformer",
            "aud": "https://ledger.acme.example",
            "client_id": "terraformer",
            "iat": 1_800_000_000,
            "exp": 1_800_000_600,
            "jti": request.lease,
            "scope": "ledger.read",
            "status": {"status_list": {
                "idx": 0,
                "uri": "https://lanyard.acme.example/oauth2/status-lists/00000000000000000000000000000001-0",
            }},
            "task": request.task,
            "charter": "payments-terraform",
            "revision": request.revision,
            "grant": "read-ledger",
            "role": "apply",
            "environment": "staging",
            "plan": "9f2c",
        })
    );
    let prepared = bench.provider.prepare(&request).expect("prepared");
    let payload = token.split('.').nth(1).expect("payload");
    assert_eq!(payload, URL_SAFE_NO_PAD.encode(prepared.document));
    assert_eq!(prepared.worst_expiry, request.expires);
}

// T1 T3 T4 T5
#[tokio::test]
async fn t01_t03_t04_t05_the_header_cannot_choose_key_or_algorithm() {
    let bench = Bench::new();
    let token = bench.token(&bench.request()).await;
    let kid = bench.keyring.jwks(NOW).keys[0].kid.clone();
    let (header, rest) = token.split_once('.').expect("parts");
    assert_eq!(
        URL_SAFE_NO_PAD.decode(header).expect("header"),
        format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}"}}"#).as_bytes()
    );
    let long = "k".repeat(10_000);
    for (header, expected) in [
        (
            format!(r#"{{"typ":"at+jwt","alg":"none","kid":"{kid}"}}"#),
            VerifyError::Header,
        ),
        (
            format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{kid}"}}"#),
            VerifyError::Header,
        ),
        (
            format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}"}}"#),
            VerifyError::Header,
        ),
        (
            r#"{"typ":"at+jwt","alg":"EdDSA"}"#.to_owned(),
            VerifyError::Header,
        ),
        (
            format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}","jku":"https://x"}}"#),
            VerifyError::Header,
        ),
        (
            format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}","crit":["b64"]}}"#),
            VerifyError::Header,
        ),
        (
            format!(r#"{{"typ":"at+jwt","alg":"none","alg":"EdDSA","kid":"{kid}"}}"#),
            VerifyError::Header,
        ),
        (
            r#"{"typ":"at+jwt","alg":"EdDSA","kid":"../../key"}"#.to_owned(),
            VerifyError::UnknownKey,
        ),
        (
            format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{long}"}}"#),
            VerifyError::UnknownKey,
        ),
        // The right members in another order differ from the signed text.
        (
            format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#),
            VerifyError::Signature,
        ),
    ] {
        let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(&header));
        assert_eq!(bench.verify(&forged), Err(expected), "{header}");
    }
    for text in ["", "a.b", "a.b.c.d", "!.!.!", &"a".repeat(20_000)] {
        assert_eq!(bench.verify(text), Err(VerifyError::NotCompact));
    }
}

// T9 T13
#[tokio::test]
async fn a_token_has_a_size_limit() {
    let bench = Bench::new();
    let of = |header: usize| {
        let header = URL_SAFE_NO_PAD.encode(format!("{{{}}}", " ".repeat(header - 2)));
        let token = format!("{header}.e30.AAAA");
        (token.len(), bench.verify(&token).unwrap_err())
    };
    assert_eq!(of(12_281), (16 * 1024, VerifyError::Header));
    assert_eq!(of(12_282), (16 * 1024 + 1, VerifyError::NotCompact));
}

#[tokio::test]
async fn t09_t13_only_our_own_claims_in_their_time_are_accepted() {
    let bench = Bench::new();
    let request = bench.request();
    let token = bench.token(&request).await;
    let verify = |issuer, now| bench.keyring.verify(&token, issuer, now);
    assert!(verify(ISSUER, NOW).is_ok());
    let second = Duration::from_secs(1);
    assert!(verify(ISSUER, request.expires.before(second)).is_ok());
    assert_eq!(verify(ISSUER, request.expires), Err(VerifyError::Expired));
    let early = NOW.before(Duration::from_secs(31));
    assert_eq!(verify(ISSUER, early), Err(VerifyError::NotYet));
    for issuer in [
        "https://lanyard.acme.example/",
        "https://Lanyard.acme.example",
    ] {
        assert_eq!(verify(issuer, NOW), Err(VerifyError::Claims));
    }
    for payload in ["{}", "[]", r#"{"exp":1,"exp":2}"#] {
        let signed = bench.sign(payload).await;
        assert_eq!(bench.verify(&signed), Err(VerifyError::Claims), "{payload}");
    }
}

#[tokio::test]
async fn introspection_is_inactive_at_once_and_whenever_the_lease_is_not_known_to_be_live() {
    let bench = Bench::new();
    let request = bench.request();
    let claims = bench.verify(&bench.token(&request).await).expect("ours");
    let live = LeaseView {
        live: true,
        valid: true,
        expires: request.expires,
    };
    let killed = LeaseView {
        live: false,
        ..live
    };
    let cut_short = LeaseView {
        expires: NOW,
        ..live
    };
    let ask = |lease, now| answer(claims.clone(), lease, now);
    assert_eq!(
        ask(Some(live), NOW),
        Answer::Active(Box::new(claims.clone()))
    );
    for (lease, now) in [
        (Some(killed), NOW),
        (Some(cut_short), NOW),
        (Some(live), request.expires),
        (None, NOW),
    ] {
        assert_eq!(ask(lease, now), Answer::Inactive);
    }
    assert_eq!(
        serde_json::to_string(&ask(None, NOW)).expect("json"),
        r#"{"active":false}"#
    );
    let body = serde_json::to_value(ask(Some(live), NOW)).expect("json");
    assert_eq!(body["active"], true);
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(body["jti"], request.lease.to_string());
    assert_eq!(body["scope"], "ledger.read");
}

#[tokio::test]
async fn an_impossible_token_is_refused_before_signing() {
    let bench = Bench::new();
    let mut long = bench.request();
    long.expires = NOW + MAX_TOKEN_LIFE + Duration::from_millis(1);
    assert_eq!(
        bench.provider.prepare(&long),
        Err(PrepareError::Unsupported(
            "a token lives at most 24 hours".to_owned()
        ))
    );
    let task = world::task(&bench.ids, NOW);
    let other = world::request(TargetKind::AWS, bench.ids.lease(), &task, NOW);
    assert_eq!(
        bench.provider.prepare(&other),
        Err(PrepareError::Unsupported(
            "a token target mints no aws credentials".to_owned()
        ))
    );
    let nothing = bench.provider.revoke(&Revocation::default()).await;
    assert!(nothing.outcomes.is_empty());
}

// T49
#[tokio::test]
async fn t49_debug_and_errors_show_neither_key_nor_token() {
    let bench = Bench::new();
    let request = bench.request();
    let prepared = bench.provider.prepare(&request).expect("prepared");
    let minted = bench
        .provider
        .mint(&request, &prepared)
        .await
        .expect("minted");
    let shown = format!("{:?} {minted:?} {:?}", bench.provider, bench.keyring);
    let signature = bench.token(&request).await;
    assert!(!shown.contains(signature.rsplit_once('.').expect("parts").1));
    let file = std::fs::read_dir(bench.dir.path())
        .expect("directory")
        .map(|entry| entry.expect("entry").path())
        .next()
        .expect("a key");
    let seed = &std::fs::read(file).expect("key")[16..48];
    let as_list = format!("{seed:?}");
    let as_hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    for form in [as_list, as_hex, URL_SAFE_NO_PAD.encode(seed)] {
        assert!(!shown.contains(&form));
    }
}
