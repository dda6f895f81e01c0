//! Security events as transmitters send them: some end sessions, some are accepted without effect,
//! some are refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_identity::RejectedToken;
use lanyard_identity::jwks::Jwks;
use lanyard_identity::security_event::{
    RejectedEvent, SESSION_REVOKED, SecurityEvent, Transmitter, Unused, VERIFICATION, verify,
};
use lanyard_vocabulary::time::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://login.acme.example";
const BASE: &str = "https://schemas.openid.net/secevent/";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn heard(typ: &str, claims: &Value) -> Result<SecurityEvent, RejectedEvent> {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": b64(key().public_key())});
    let transmitter = Transmitter {
        name: "idp".to_owned(),
        issuer: ISSUER.to_owned(),
        audience: "lanyard".to_owned(),
        keys: Jwks::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap(),
    };
    let header = json!({"alg": "EdDSA", "kid": "one", "typ": typ}).to_string();
    let message = format!("{}.{}", b64(header), b64(claims.to_string()));
    let token = format!("{message}.{}", b64(key().sign(message.as_bytes())));
    let now = Timestamp::from_secs(NOW);
    verify(std::slice::from_ref(&transmitter), &token, now).map(|(_, event)| event)
}

fn claims(events: &Value, more: Value) -> Value {
    let mut claims =
        json!({"iss": ISSUER, "aud": "lanyard", "iat": NOW, "jti": "e-1", "events": events});
    let Value::Object(more) = more else {
        panic!("not an object")
    };
    claims.as_object_mut().unwrap().extend(more);
    claims
}

fn said(events: &Value, more: Value) -> Result<SecurityEvent, RejectedEvent> {
    heard("secevent+jwt", &claims(events, more))
}

/// Verifies an event, and returns the subject whose session is over as `issuer#subject`.
fn revoked(subject: Value, event: Value) -> Result<String, RejectedEvent> {
    let more = json!({ "sub_id": subject });
    match said(&json!({ SESSION_REVOKED: event }), more)? {
        SecurityEvent::SessionRevoked { subject, .. } => Ok(subject.to_string()),
        SecurityEvent::Unused(why) => Ok(why.to_string()),
        SecurityEvent::Verification => panic!("a session is over"),
    }
}

#[test]
fn d30_events_of_other_types_are_accepted_without_effect() {
    for kind in [
        "ssf/event-type/stream-updated",
        "caep/event-type/credential-change",
        "caep/event-type/device-compliance-change",
        "caep/event-type/token-claims-change",
        "caep/event-type/assurance-level-change",
        "caep/event-type/session-established",
        "caep/event-type/session-presented",
        "caep/event-type/risk-level-change",
        "risc/event-type/account-disabled",
        "risc/event-type/sessions-revoked",
    ] {
        let kind = format!("{BASE}{kind}");
        for subject in [
            json!(null),
            json!({"format": "opaque", "id": "stream-1"}),
            json!("odd"),
        ] {
            let event = said(
                &json!({ &kind: {"status": "paused"} }),
                json!({ "sub_id": subject }),
            );
            let expected = SecurityEvent::Unused(Unused::Types(vec![kind.clone()]));
            assert_eq!(event, Ok(expected), "{kind}");
        }
    }
    let own = said(
        &json!({"urn:acme:event": {}, "x".repeat(5000): {}}),
        json!({}),
    );
    let Ok(SecurityEvent::Unused(why)) = own else {
        panic!("{own:?}")
    };
    assert!(why.to_string().len() < 500, "{why}");
    let verification = said(&json!({ VERIFICATION: {"state": "s"} }), json!({}));
    assert_eq!(verification, Ok(SecurityEvent::Verification));
    // An event of a supported type has its effect whatever other events stand beside it.
    let user = json!({"format": "iss_sub", "iss": ISSUER, "sub": "alice"});
    let both = json!({ "urn:acme:event": {}, SESSION_REVOKED: {}, VERIFICATION: {} });
    let both = said(&both, json!({ "sub_id": user }));
    assert!(
        matches!(both, Ok(SecurityEvent::SessionRevoked { .. })),
        "{both:?}"
    );
}

#[test]
fn d30_a_subject_is_read_in_each_form_that_names_an_agent() {
    let user = json!({"format": "iss_sub", "iss": ISSUER, "sub": "alice"});
    let draft = json!({"subject_type": "iss-sub", "iss": ISSUER, "sub": "alice"});
    let email = json!({"format": "email", "email": "alice@acme.example"});
    let whole = format!("{ISSUER}#alice");
    for (subject, event) in [
        (user.clone(), json!({})),
        (draft.clone(), json!({})),
        (
            json!({"format": "complex", "user": user, "device": {"format": "opaque", "id": "d"}}),
            json!({}),
        ),
        (
            json!({"user": draft, "session": {"format": "opaque", "id": "s"}}),
            json!({}),
        ),
        (
            json!({"format": "aliases", "identifiers": [email, user]}),
            json!({}),
        ),
        // Drafts of CAEP put the subject into the event, and give the reason in one language.
        (
            json!(null),
            json!({"subject": user, "reason_admin": "policy"}),
        ),
    ] {
        assert_eq!(
            revoked(subject.clone(), event).as_deref(),
            Ok(whole.as_str()),
            "{subject}"
        );
    }
    for (subject, form) in [
        (email.clone(), "`email`"),
        (json!({"format": "opaque", "id": "x"}), "`opaque`"),
        (
            json!({"format": "phone_number", "phone_number": "+1"}),
            "`phone_number`",
        ),
        (
            json!({"format": "aliases", "identifiers": [email]}),
            "`aliases`",
        ),
        (
            json!({"format": "complex", "device": {"format": "opaque", "id": "d"}}),
            "without a user",
        ),
        (json!({"format": "complex", "user": email}), "`email`"),
        (json!({"format": "urn:acme:form", "x": 1}), "another one"),
    ] {
        let why = revoked(subject.clone(), json!({})).unwrap();
        assert!(
            why.contains("its subject is of the form") && why.contains(form),
            "{subject}: {why}"
        );
        assert!(!why.contains("alice@"), "{why}");
    }
}

#[test]
fn d30_malformed_events_are_refused_with_the_code_of_the_rfc() {
    let bad = Err(RejectedEvent::Subject);
    for subject in [
        json!(null),
        json!("alice"),
        json!({}),
        json!({"format": "iss_sub", "iss": ISSUER}),
        json!({"format": "iss_sub", "iss": ISSUER, "sub": 7}),
        json!({"format": 7, "iss": ISSUER, "sub": "alice"}),
        json!({"format": "complex", "user": "alice"}),
        json!({"format": "complex", "user": {"format": "complex", "user": {"format": "email"}}}),
        json!({"format": "aliases", "identifiers": "alice"}),
    ] {
        assert_eq!(revoked(subject.clone(), json!({})), bad, "{subject}");
    }
    assert_eq!(RejectedEvent::Subject.code(), "invalid_request");
    let event = json!({ VERIFICATION: {} });
    for (more, name) in [
        (json!({"events": {}}), "events"),
        (json!({"events": []}), "events"),
        (json!({"events": {VERIFICATION: null}}), "events"),
        (json!({"events": {VERIFICATION: "x"}}), "events"),
        (json!({"events": null}), "events"),
        (json!({"jti": null}), "jti"),
        (json!({"jti": 7}), "jti"),
        (json!({"jti": ""}), "jti"),
        (json!({"iat": null}), "iat"),
        (json!({"iat": "now"}), "iat"),
        (json!({"iss": null}), "iss"),
        (json!({"aud": null}), "aud"),
    ] {
        let refused = said(&event, more.clone()).unwrap_err();
        assert_eq!(refused.code(), "invalid_request", "{more}");
        assert!(
            refused.to_string().contains(&format!("`{name}`")),
            "{more}: {refused}"
        );
    }
    let later = said(&event, json!({"iat": NOW + 31}));
    assert_eq!(later, Err(RejectedEvent::Future));
    for (more, code) in [
        (json!({"iss": "https://evil.example"}), "invalid_issuer"),
        (json!({"aud": "other"}), "invalid_audience"),
        (json!({"aud": ["a", "b"]}), "invalid_audience"),
        (json!({"aud": {}}), "invalid_audience"),
    ] {
        assert_eq!(said(&event, more).unwrap_err().code(), code);
    }
    for more in [
        json!({"iat": NOW as f64 + 0.25}),
        json!({"aud": ["other", "lanyard"]}),
        json!({"exp": null, "txn": 7, "toe": "x"}),
    ] {
        assert_eq!(said(&event, more), Ok(SecurityEvent::Verification));
    }
    for typ in ["secevent+jwt", "application/secevent+jwt", "SecEvent+JWT"] {
        assert!(heard(typ, &claims(&event, json!({}))).is_ok(), "{typ}");
    }
    for typ in ["JWT", "at+jwt", "logout+jwt", ""] {
        let refused = heard(typ, &claims(&event, json!({})));
        assert_eq!(
            refused,
            Err(RejectedEvent::Token(RejectedToken::Type)),
            "{typ}"
        );
    }
}
