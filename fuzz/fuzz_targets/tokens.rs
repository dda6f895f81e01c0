//! Hostile tokens (T1 to T5, T13): as they come, as a header, and as claims that a known key
//! signed.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_identity::break_glass::{BREAK_GLASS_TYPE, BreakGlass};
use lanyard_identity::jwks::{Jwks, PublicKey};
use lanyard_identity::jws::{Jws, MAX_KEY_ID_BYTES, MAX_TOKEN_BYTES};
use lanyard_identity::security_event::{EVENT_TYPE, Transmitter, verify};
use lanyard_identity::ticket::TICKET_TYPE;
use lanyard_identity::verifier::{Claimed, PeopleRule, Purpose};
use lanyard_identity::{Issuer, IssuerKind, Keys, Tickets, Verifier, dpop};
use lanyard_vocabulary::identity::{Confirmation, Method};
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::time::Timestamp;
use libfuzzer_sys::fuzz_target;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const AUDIENCE: &str = "lanyard";

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed"));
static TICKETS: LazyLock<Tickets> =
    LazyLock::new(|| Tickets::new(AUDIENCE.to_owned(), keys(), ["withdrawn".to_owned()].into()));
static TRANSMITTERS: LazyLock<[Transmitter; 1]> = LazyLock::new(|| {
    [Transmitter {
        name: "sso".to_owned(),
        issuer: "https://sso.acme.example".to_owned(),
        audience: AUDIENCE.to_owned(),
        keys: keys(),
    }]
});

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let issuers = [
        (
            "https://issuer.acme.example",
            IssuerKind::Operators,
            Method::Oidc,
        ),
        (
            "https://agents.acme.example",
            IssuerKind::Agents,
            Method::Oidc,
        ),
        ("spiffe://acme.example", IssuerKind::Agents, Method::JwtSvid),
    ];
    let issuer = |(name, kind, method): (&str, IssuerKind, Method)| Issuer {
        name: name.to_owned(),
        kind,
        keys: Keys::fixed(keys()),
        audience: None,
        method,
        claims: ["team".to_owned()].into(),
        groups_claim: "groups".into(),
        roles: [("oncall".to_owned(), [OperatorRole::OnCall].into())].into(),
        people: PeopleRule::default(),
        sponsor: None,
    };
    Verifier::new(AUDIENCE.to_owned(), issuers.map(issuer).into())
});
static BREAK_GLASS: LazyLock<BreakGlass> = LazyLock::new(|| {
    let key: serde_json::Value = serde_json::from_str(&jwk()).expect("JSON");
    let key = PublicKey::parse(&key).expect("a good key");
    BreakGlass::new(AUDIENCE.to_owned(), [("alice".to_owned(), key)])
});
static THUMBPRINT: LazyLock<String> = LazyLock::new(|| {
    let key: serde_json::Value = serde_json::from_str(&jwk()).expect("JSON");
    PublicKey::parse(&key).expect("a good key").thumbprint()
});
static ORIGINS: LazyLock<[String; 1]> =
    LazyLock::new(|| ["https://lanyard.acme.example".to_owned()]);

fn jwk() -> String {
    let x = URL_SAFE_NO_PAD.encode(KEY.public_key());
    format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"one","x":"{x}"}}"#)
}

fn keys() -> Jwks {
    let set = format!(r#"{{"keys":[{}]}}"#, jwk());
    Jwks::parse(set.as_bytes()).expect("a set of one good key")
}

/// With these texts as header and claims, signed by the known key.
fn signed(header: &str, claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(KEY.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn read(token: &str) {
    for jws in [
        Jws::parse(token),
        Jws::parse_as(token, TICKET_TYPE),
        Jws::parse_as(token, EVENT_TYPE),
    ] {
        if let Ok(jws) = jws {
            let kid = jws.kid.unwrap_or_default();
            assert!(kid.len() <= MAX_KEY_ID_BYTES && token.len() <= MAX_TOKEN_BYTES);
        }
    }
    if let Ok(ticket) = TICKETS.verify(token, NOW) {
        assert!(Tickets::is_one(token) && !ticket.id.is_empty() && ticket.id != "withdrawn");
        assert_eq!(ticket.key, "one");
    }
    if let Ok((transmitter, _)) = verify(&*TRANSMITTERS, token, NOW) {
        assert_eq!(transmitter.name, "sso");
    }
    if let Ok((name, _)) = BREAK_GLASS.verify(token, NOW) {
        assert_eq!(name, "alice");
    }
    verified(token);
}

/// Limits count by the verified identity; the replay cache keeps a token that was accepted once
/// until it is too old.
fn verified(token: &str) {
    for purpose in [Purpose::Change, Purpose::Look, Purpose::Kill] {
        if let Ok(accepted) = VERIFIER.verify(token, None, purpose, NOW) {
            let claimed = Claimed::of(token).expect("an accepted token claims an identity");
            let identity = accepted.who.identity();
            assert_eq!(claimed.issuer, identity.issuer);
            assert_eq!(claimed.subject, identity.subject);
            assert!(purpose == Purpose::Kill || accepted.used.until >= NOW);
        }
    }
}

/// A proof for a request to open a task, without a token and with one.
fn proof(claims: &str) {
    let target = dpop::Target {
        method: "POST",
        path: "/lanyard.v1.TaskService/OpenTask",
        origins: &*ORIGINS,
    };
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{}}}"#, jwk());
    for proof in [claims, &signed(&header, claims), &signed(claims, "{}")] {
        for token in [None, Some("a token")] {
            if let Ok(proof) = dpop::check(proof, &target, token, NOW) {
                assert_eq!(proof.key, Confirmation::Key(THUMBPRINT.clone()));
                assert!(proof.until >= NOW);
            }
        }
    }
}

fuzz_target!(|text: &str| {
    read(text);
    read(&signed(text, "{}"));
    for typ in [TICKET_TYPE, EVENT_TYPE, "JWT"] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"one","typ":"{typ}"}}"#);
        read(&signed(&header, text));
    }
    let header = format!(
        r#"{{"alg":"EdDSA","kid":"{}","typ":"{BREAK_GLASS_TYPE}"}}"#,
        &*THUMBPRINT
    );
    read(&signed(&header, text));
    proof(text);
});
