//! Tokens that prove an identity, and tokens that do not.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeSet;

use lanyard_identity::break_glass::{BREAK_GLASS_TYPE, BreakGlass};
use lanyard_identity::jwks::{Jwks, PublicKey};
use lanyard_identity::security_event::{self, EVENT_TYPE, Transmitter, VERIFICATION};
use lanyard_identity::ticket::TICKET_TYPE;
use lanyard_identity::verifier::{PeopleRule, Purpose};
use lanyard_identity::{Issuer, IssuerKind, Keys, RejectedToken, Tickets, Verified, Verifier};
use lanyard_vocabulary::identity::{Confirmation, Method};
use lanyard_vocabulary::operator::OperatorRole;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::Timestamp;
use proptest::prelude::*;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ISSUER: &str = "https://issuer.acme.example";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn jwk(kid: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(key().public_key())})
}

fn verifier() -> Verifier {
    let keys = Jwks::parse(json!({"keys": [jwk("one")]}).to_string().as_bytes()).unwrap();
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

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": "lanyard", "iat": NOW.as_secs(), "exp": NOW.as_secs() + 60,
        "jti": "1", "groups": ["oncall"]})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": "one"})
}

fn sign(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let signature = key().sign(message.as_bytes());
    format!("{message}.{}", b64(signature))
}

fn token(claims: &Value) -> String {
    sign(&header().to_string(), &claims.to_string())
}

fn outcome(token: &str) -> Result<Verified, RejectedToken> {
    let accepted = verifier().verify(token, None, Purpose::Change, NOW);
    accepted.map(|accepted| accepted.who)
}

#[test]
fn a_good_token_gives_the_operator_with_its_roles() {
    let Verified::Operator(operator, _) = outcome(&token(&claims())).unwrap() else {
        panic!("not an operator")
    };
    assert_eq!(operator.identity.subject, "alice");
    assert!(operator.is(OperatorRole::OnCall) && !operator.is(OperatorRole::Approver));
}

#[test]
fn t1_t2_the_header_does_not_choose_the_algorithm() {
    for alg in ["none", "None", "HS256", "ES256", "RS256", "EdDSA512", ""] {
        let header = json!({"alg": alg, "kid": "one"}).to_string();
        assert!(
            outcome(&sign(&header, &claims().to_string())).is_err(),
            "{alg}"
        );
    }
    let unsigned = format!(
        "{}.{}.",
        b64(json!({"alg": "none", "kid": "one"}).to_string()),
        b64(claims().to_string())
    );
    assert_eq!(outcome(&unsigned), Err(RejectedToken::Algorithm("none")));
}

#[test]
fn t3_a_hostile_kid_finds_nothing() {
    for kid in [
        "../../etc/passwd",
        "' OR 1=1 --",
        "One",
        "one\u{0}",
        &"k".repeat(10_000),
    ] {
        let header = json!({"alg": "EdDSA", "kid": kid}).to_string();
        assert!(outcome(&sign(&header, &claims().to_string())).is_err());
    }
}

#[test]
fn t4_t5_headers_that_bring_their_own_key_or_rules_are_refused() {
    for name in ["jwk", "jku", "x5u", "x5c", "crit", "b64", "enc", "zip"] {
        for value in [json!([name]), json!(null)] {
            let mut header = header();
            header[name] = value;
            assert_eq!(
                outcome(&sign(&header.to_string(), &claims().to_string())),
                Err(RejectedToken::Parameter(name))
            );
        }
    }
    let twice = r#"{"alg":"none","alg":"EdDSA","kid":"one"}"#;
    assert_eq!(
        outcome(&sign(twice, &claims().to_string())),
        Err(RejectedToken::Header)
    );
    let duplicate = claims()
        .to_string()
        .replacen('{', r#"{"sub":"mallory","#, 1);
    assert_eq!(
        outcome(&sign(&header().to_string(), &duplicate)),
        Err(RejectedToken::Twice)
    );
    assert_eq!(
        outcome(r#"{"payload":"x","signature":"y"}"#),
        Err(RejectedToken::Form)
    );
    assert_eq!(outcome("a.b.c.d.e"), Err(RejectedToken::Form));
}

#[test]
fn t8_the_audience_is_this_broker_alone() {
    for aud in [
        json!("other"),
        json!(["lanyard", "other"]),
        json!(["lanyard", 1]),
        json!([]),
    ] {
        assert_eq!(
            outcome(&token(&with("aud", aud))),
            Err(RejectedToken::Audience)
        );
    }
    for absent in [without("aud"), with("aud", json!(null))] {
        assert_eq!(outcome(&token(&absent)), Err(RejectedToken::Missing("aud")));
    }
    let odd = outcome(&token(&with("aud", json!({"a": 1}))));
    let (name, is) = ("aud", "an object");
    assert!(
        matches!(odd, Err(RejectedToken::ClaimType { name: n, is: i, .. }) if (n, i) == (name, is)),
        "{odd:?}"
    );
    assert!(outcome(&token(&with("aud", json!(["lanyard"])))).is_ok());
}

#[test]
fn t9_t14_names_are_compared_byte_for_byte() {
    for issuer in [
        "https://issuer.acme.example/",
        "https://ISSUER.acme.example",
        "https://x@issuer.acme.example",
    ] {
        assert_eq!(
            outcome(&token(&with("iss", json!(issuer)))),
            Err(RejectedToken::Issuer)
        );
    }
    let composed = outcome(&token(&with("sub", json!("caf\u{e9}")))).unwrap();
    let decomposed = outcome(&token(&with("sub", json!("cafe\u{301}")))).unwrap();
    assert_ne!(composed.identity(), decomposed.identity());
}

#[test]
fn t12_an_unbound_token_is_accepted_for_five_minutes_only() {
    let old = token(&with("iat", json!(NOW.as_secs() - 400)));
    assert_eq!(outcome(&old), Err(RejectedToken::Times));
    let key = Confirmation::Key("k".to_owned());
    let held = verifier().verify(&old, Some(&key), Purpose::Change, NOW);
    assert!(held.is_ok());
}

#[test]
fn t12_a_bound_token_is_accepted_with_its_key_only() {
    let key = |digest: &str| Some(Confirmation::Key(digest.to_owned()));
    let verify = |cnf: Value, key: Option<Confirmation>| {
        let token = token(&with("cnf", cnf));
        let verified = verifier().verify(&token, key.as_ref(), Purpose::Change, NOW);
        verified.err()
    };
    let lost = Some(RejectedToken::Possession);
    assert_eq!(verify(json!({"jkt": "a"}), key("a")), None);
    assert_eq!(verify(json!({"jkt": "a"}), key("b")), lost);
    assert_eq!(verify(json!({"jkt": "a"}), None), lost);
    assert_eq!(verify(json!({"x5t#S256": "a"}), key("a")), lost);
    assert_eq!(verify(json!({"kid": "a"}), key("a")), lost);
}

#[test]
fn t13_impossible_times_are_refused() {
    let now = NOW.as_secs();
    for (name, value) in [
        ("exp", now - 31),
        ("exp", now + 90_000),
        ("nbf", now + 31),
        ("iat", now + 31),
    ] {
        assert_eq!(
            outcome(&token(&with(name, json!(value)))),
            Err(RejectedToken::Times),
            "{name}"
        );
    }
    assert_eq!(
        outcome(&token(&without("exp"))),
        Err(RejectedToken::Missing("exp"))
    );
    assert_eq!(
        outcome(&token(&with("exp", json!(-1)))),
        Err(RejectedToken::Times)
    );
}

#[test]
fn an_expired_token_can_still_engage_a_kill() {
    let mut late = with("exp", json!(NOW.as_secs() - 3600));
    late["iat"] = json!(NOW.as_secs() - 7200);
    assert!(
        verifier()
            .verify(&token(&late), None, Purpose::Kill, NOW)
            .is_ok()
    );
    assert_eq!(outcome(&token(&late)), Err(RejectedToken::Times));
    late["exp"] = json!(NOW.as_secs() - 13 * 3600);
    late["iat"] = json!(NOW.as_secs() - 14 * 3600);
    assert!(
        verifier()
            .verify(&token(&late), None, Purpose::Kill, NOW)
            .is_err()
    );
}

#[test]
fn es256_is_understood() {
    let random = ring::rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
        .unwrap();
    let point = pair.public_key().as_ref();
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "e", "x": b64(&point[1..33]), "y": b64(&point[33..])});
    let keys = Jwks::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    let message = b"message";
    let signature = pair.sign(&random, message).unwrap();
    let es256 = lanyard_identity::jwks::Algorithm::Es256;
    assert!(keys.verifies("e", es256, message, signature.as_ref()));
    assert!(!keys.verifies("e", es256, b"another", signature.as_ref()));
}

proptest! {
    #[test]
    fn a_token_that_was_changed_is_refused(at in 0_usize..400, with in any::<u8>()) {
        let good = token(&claims());
        let mut bytes = good.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = with;
        if let Ok(changed) = String::from_utf8(bytes) && changed != good {
            prop_assert!(outcome(&changed).is_err());
        }
    }

    // T49
    #[test]
    fn hostile_tokens_never_panic_and_are_never_repeated(text in "\\PC{0,300}") {
        let error = outcome(&text).unwrap_err();
        let shown = format!("{error} {error:?}");
        prop_assert!(text.len() < 12 || !shown.contains(&text));
    }
}

fn tickets(withdrawn: &[&str]) -> Tickets {
    let keys = Jwks::parse(json!({"keys": [jwk("one")]}).to_string().as_bytes()).unwrap();
    let withdrawn = withdrawn.iter().map(|&id| id.to_owned()).collect();
    Tickets::new("lanyard".to_owned(), keys, withdrawn)
}

fn ticket_claims() -> Value {
    let month = 30 * 24 * 3600;
    json!({"aud": "lanyard", "iat": NOW.as_secs() - month, "exp": NOW.as_secs() + month, "jti": "safe-3",
        "scope": {"charter": "payments"}})
}

fn ticket(claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "kid": "one", "typ": TICKET_TYPE});
    sign(&header.to_string(), &claims.to_string())
}

#[test]
fn a_ticket_covers_its_scope_and_can_be_shown_again() {
    let text = ticket(&ticket_claims());
    assert!(Tickets::is_one(&text));
    for _ in 0..2 {
        let found = tickets(&[]).verify(&text, NOW).unwrap();
        assert_eq!((found.id.as_str(), found.key.as_str()), ("safe-3", "one"));
        assert!(found.covers(&Scope::Charter("payments".parse().unwrap())));
        assert!(!found.covers(&Scope::Charter("other".parse().unwrap())));
        assert!(!found.covers(&Scope::All));
    }
}

#[test]
fn a_ticket_that_is_late_withdrawn_or_of_another_kind_is_refused() {
    let with = |name: &str, value: Value| {
        let mut claims = ticket_claims();
        claims[name] = value;
        tickets(&[]).verify(&ticket(&claims), NOW).unwrap_err()
    };
    assert_eq!(with("exp", json!(NOW.as_secs() - 1)), RejectedToken::Times);
    let decade = NOW.as_secs() + 10 * 366 * 24 * 3600;
    assert_eq!(with("exp", json!(decade)), RejectedToken::Times);
    assert_eq!(with("aud", json!("other")), RejectedToken::Audience);
    assert_eq!(with("more", json!(1)), RejectedToken::Claims);
    assert_eq!(with("scope", json!("nothing")), RejectedToken::Claims);
    let text = ticket(&ticket_claims());
    assert_eq!(
        tickets(&["safe-3"]).verify(&text, NOW),
        Err(RejectedToken::Replayed)
    );
    // A ticket is not accepted as an identity, nor an identity as a ticket.
    assert_eq!(outcome(&text), Err(RejectedToken::Type));
    assert!(!Tickets::is_one(&token(&claims())));
    assert_eq!(
        tickets(&[]).verify(&token(&claims()), NOW),
        Err(RejectedToken::Type)
    );
    let mut broken = text;
    broken.pop();
    broken.push('A');
    assert!(tickets(&[]).verify(&broken, NOW).is_err());
}

/// T11: keys that were fetched too long ago verify kills only.
#[test]
fn t11_keys_fetched_too_long_ago_verify_kills_only() {
    let issuer = Issuer {
        name: ISSUER.to_owned(),
        kind: IssuerKind::Operators,
        keys: Keys::unknown(),
        audience: None,
        method: Method::Oidc,
        claims: BTreeSet::new(),
        groups_claim: "groups".into(),
        roles: [].into(),
        people: PeopleRule::default(),
        sponsor: None,
    };
    let verifier = Verifier::new("lanyard".to_owned(), vec![issuer]);
    let stale = Some(RejectedToken::StaleKeys);
    let text = token(&claims());
    assert_eq!(
        verifier.verify(&text, None, Purpose::Kill, NOW).err(),
        stale
    );
    let keys = || Jwks::parse(json!({"keys": [jwk("one")]}).to_string().as_bytes()).unwrap();
    verifier.renew(
        ISSUER,
        keys(),
        NOW.before(std::time::Duration::from_secs(1)),
    );
    assert_eq!(
        verifier.verify(&text, None, Purpose::Change, NOW).err(),
        stale
    );
    assert!(verifier.verify(&text, None, Purpose::Kill, NOW).is_ok());
    verifier.renew(ISSUER, keys(), NOW);
    assert!(verifier.verify(&text, None, Purpose::Change, NOW).is_ok());
}

/// Returns whether a verifier that copies the claim `team` accepts a token with this key id and
/// these claims.
fn taken(kid: &str, claims: &Value) -> bool {
    let set = json!({"keys": [jwk(kid)]}).to_string();
    let Ok(keys) = Jwks::parse(set.as_bytes()) else {
        return false;
    };
    let issuer = Issuer {
        name: ISSUER.to_owned(),
        kind: IssuerKind::Agents,
        keys: Keys::fixed(keys),
        audience: None,
        method: Method::Oidc,
        claims: ["team".to_owned()].into(),
        groups_claim: "groups".into(),
        roles: [].into(),
        people: PeopleRule::default(),
        sponsor: None,
    };
    let verifier = Verifier::new("lanyard".to_owned(), vec![issuer]);
    let token = sign(
        &json!({"alg": "EdDSA", "kid": kid}).to_string(),
        &claims.to_string(),
    );
    verifier.verify(&token, None, Purpose::Change, NOW).is_ok()
}

#[test]
fn t44_the_fields_of_a_token_have_length_limits() {
    let of = |length: usize| "x".repeat(length);
    assert!(taken(&of(128), &claims()) && !taken(&of(129), &claims()));
    let subject = |length| taken("one", &with("sub", json!(of(length))));
    assert!(subject(1024) && !subject(1025));
    let team = |length| taken("one", &with("team", json!(of(length))));
    assert!(team(512) && !team(513));
    // The length of the whole token counts: the padding claim is not copied.
    let padded = |more: usize| token(&with("pad", json!(of(more))));
    let limit = 16 * 1024;
    let fits = (11_000..).take_while(|more| padded(*more).len() <= limit);
    let most = fits.last().unwrap();
    assert!(outcome(&padded(most)).is_ok());
    let long = padded(most + 1);
    let bytes = long.len();
    assert_eq!(outcome(&long), Err(RejectedToken::TooLong { bytes, limit }));
}

#[test]
fn t44_the_times_of_a_token_have_bounds() {
    let now = NOW.as_secs();
    // Five minutes, and thirty seconds of skew.
    assert!(outcome(&token(&with("iat", json!(now - 330)))).is_ok());
    assert!(outcome(&token(&with("iat", json!(now - 331)))).is_err());
    let day = 24 * 3600;
    assert!(outcome(&token(&with("exp", json!(now + day)))).is_ok());
    assert!(outcome(&token(&with("exp", json!(now + day + 1)))).is_err());
}

#[test]
fn t44_a_key_set_has_bounds() {
    let set = |keys: usize| {
        let keys: Vec<_> = (0..keys).map(|at| jwk(&format!("k{at}"))).collect();
        json!({ "keys": keys }).to_string()
    };
    assert!(Jwks::parse(set(64).as_bytes()).is_ok());
    assert!(Jwks::parse(set(65).as_bytes()).is_err());
    let one = set(1);
    let of = |length: usize| format!("{one}{}", " ".repeat(length - one.len()));
    assert!(Jwks::parse(of(256 * 1024).as_bytes()).is_ok());
    assert!(Jwks::parse(of(256 * 1024 + 1).as_bytes()).is_err());
}

#[test]
fn t44_a_ticket_has_bounds() {
    let year = 366 * 24 * 3600;
    let taken = |expires: u64, id: &str| {
        let mut claims = ticket_claims();
        claims["iat"] = json!(NOW.as_secs());
        claims["exp"] = json!(expires);
        claims["jti"] = json!(id);
        tickets(&[]).verify(&ticket(&claims), NOW).is_ok()
    };
    let end = NOW.as_secs() + year;
    assert!(taken(end, &"t".repeat(128)));
    assert!(!taken(end + 1, "t"));
    assert!(!taken(end, &"t".repeat(129)));
}

#[test]
fn t44_a_signature_of_a_break_glass_key_is_good_for_ten_minutes() {
    let public = PublicKey::parse(&jwk("one")).unwrap();
    let kid = public.thumbprint();
    let keys = BreakGlass::new("lanyard".to_owned(), [("ann".to_owned(), public)]);
    let header = json!({"alg": "EdDSA", "kid": kid, "typ": BREAK_GLASS_TYPE}).to_string();
    let now = NOW.as_secs();
    let taken = |life: u64| {
        let claims = json!({"aud": "lanyard", "iat": now, "exp": now + life, "jti": "1"});
        keys.verify(&sign(&header, &claims.to_string()), NOW)
            .is_ok()
    };
    assert!(taken(600) && !taken(601));
}

#[test]
fn t44_the_id_of_a_security_event_has_a_bound() {
    let transmitter = Transmitter {
        name: "idp".to_owned(),
        issuer: ISSUER.to_owned(),
        audience: "lanyard".to_owned(),
        keys: Jwks::parse(json!({"keys": [jwk("one")]}).to_string().as_bytes()).unwrap(),
    };
    let header = json!({"alg": "EdDSA", "kid": "one", "typ": EVENT_TYPE}).to_string();
    let taken = |length: usize| {
        let claims = json!({"iss": ISSUER, "aud": "lanyard", "iat": NOW.as_secs(), "jti": "e".repeat(length),
            "events": {VERIFICATION: {}}});
        let token = sign(&header, &claims.to_string());
        security_event::verify(std::slice::from_ref(&transmitter), &token, NOW).is_ok()
    };
    assert!(taken(256) && !taken(257));
}
