//! Tokens that others signed are judged by the system's time, and a kill by any time that may be
//! the right one (S3, S50).
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_engine::clock::{Clock as _, SystemClock, TimeSource};
use lanyard_identity::jwks::Jwks;
use lanyard_identity::verifier::{KILL_GRACE, PeopleRule, Purpose};
use lanyard_identity::{CLOCK_SKEW, Issuer, IssuerKind, Keys, Verifier};
use lanyard_testkit::machine::Machine;
use lanyard_vocabulary::identity::Method;
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::time::Timestamp;
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

const ISSUER: &str = "https://issuer.acme.example";
const TOKEN_LIFETIME: Duration = Duration::from_secs(300);

struct Source(Arc<Machine>);

impl TimeSource for Source {
    fn wall(&self) -> u64 {
        self.0.wall()
    }

    fn since_boot(&self) -> u64 {
        self.0.since_boot()
    }

    fn boot_id(&self) -> Option<String> {
        Some(self.0.boot_id())
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn verifier() -> Verifier {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": b64(key().public_key())});
    let keys = Jwks::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    let issuer = Issuer {
        name: ISSUER.to_owned(),
        kind: IssuerKind::Operators,
        keys: Keys::fixed(keys),
        audience: None,
        method: Method::Oidc,
        claims: BTreeSet::new(),
        groups_claim: "groups".into(),
        roles: [("oncall".to_owned(), [OperatorRole::OnCall].into())].into(),
        people: PeopleRule::default(),
        sponsor: None,
    };
    Verifier::new("lanyard".to_owned(), vec![issuer])
}

/// Makes a token at an issuer whose clock is right.
fn token(issued: Timestamp) -> String {
    let claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": "lanyard", "jti": "1", "groups": ["oncall"],
        "iat": issued.as_secs(), "exp": (issued + TOKEN_LIFETIME).as_secs(),
    });
    let header = json!({"alg": "EdDSA", "kid": "one"});
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = key().sign(message.as_bytes());
    format!("{message}.{}", b64(signature))
}

fn is_taken(token: &str, purpose: Purpose, now: Timestamp) -> bool {
    verifier().verify(token, None, purpose, now).is_ok()
}

/// Starts the broker with one error of the clock, lets `passed` go by, and sets the clock to
/// another error.
fn met(at_start: i64, later: i64, passed: Duration) -> (Arc<Machine>, SystemClock) {
    let machine = Arc::new(Machine::default());
    let last = machine.truth();
    machine.reboot(Duration::from_secs(120));
    machine.set_off(at_start);
    let clock = SystemClock::over(Arc::new(Source(Arc::clone(&machine))));
    clock.resume(last, None);
    clock.now();
    machine.pass(passed);
    machine.set_off(later);
    (machine, clock)
}

#[test]
fn s03_an_identity_is_accepted_again_once_the_clock_is_right() {
    let (machine, clock) = met(0, 2 * 3600 * 1000, Duration::from_secs(8));
    let fresh = token(machine.truth());
    assert!(!is_taken(&fresh, Purpose::Change, clock.system()));
    machine.set_off(0);
    assert!(is_taken(&fresh, Purpose::Change, clock.system()));
}

#[test]
fn s50_a_kill_is_accepted_with_a_clock_that_is_ten_years_off() {
    const TEN_YEARS: i64 = 10 * 365 * 24 * 3600 * 1000;
    for off in [TEN_YEARS, -TEN_YEARS, 14 * 3600 * 1000] {
        // The clock jumped while the broker ran; and it was wrong when the machine was started.
        for at_start in [0, off] {
            let (machine, clock) = met(at_start, off, Duration::from_secs(8));
            let fresh = token(machine.truth());
            let times = clock.times_for_a_kill(Some(machine.truth()));
            assert!(
                times
                    .into_iter()
                    .any(|now| is_taken(&fresh, Purpose::Kill, now)),
                "{off} ms off, {at_start} at the start"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s03_identity_times_are_judged_by_the_system_clock_and_kills_by_any(
        at_start in prop_oneof![Just(0_i64), -3_600_000_i64..400_000_000],
        later in prop_oneof![Just(0_i64), -400_000_000_i64..400_000_000],
        passed in 0_u64..7200,
        age in 0_u64..90_000,
    ) {
        let (machine, clock) = met(at_start, later, Duration::from_secs(passed));
        let issued = Timestamp::from_secs(machine.truth().as_secs().saturating_sub(age));
        let system = clock.system();
        let shown = token(issued);
        let is_good = issued <= system + CLOCK_SKEW && system <= issued + TOKEN_LIFETIME + CLOCK_SKEW;
        prop_assert_eq!(is_taken(&shown, Purpose::Change, system), is_good);
        // A login of the last hours engages a kill whatever the wall clock says.
        let is_recent = age < (TOKEN_LIFETIME + KILL_GRACE).as_secs() - 3600;
        let times = clock.times_for_a_kill(Some(issued));
        let kills = times.into_iter().any(|now| is_taken(&shown, Purpose::Kill, now));
        if is_recent {
            prop_assert!(kills, "{} ms off, {} at the start, age {}", later, at_start, age);
        }
    }
}
