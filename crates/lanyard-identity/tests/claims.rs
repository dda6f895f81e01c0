//! Headers and claims as issuers write them. Each is accepted, ignored, or makes the token be
//! refused with a reason that names it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_identity::jwks::Jwks;
use lanyard_identity::jws::{MAX_TOKEN_BYTES, issued_at, type_of};
use lanyard_identity::verifier::{ClaimPath, PeopleRule, Purpose};
use lanyard_identity::{Issuer, IssuerKind, Keys, RejectedToken, Verified, Verifier};
use lanyard_vocabulary::identity::Method;
use lanyard_vocabulary::operator::{Login, Operator, OperatorRole};
use lanyard_vocabulary::time::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ISSUER: &str = "https://login.acme.example";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn verifier(kind: IssuerKind, groups_claim: ClaimPath) -> Verifier {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": b64(key().public_key())});
    let keys = Jwks::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    let issuer = Issuer {
        name: ISSUER.to_owned(),
        kind,
        keys: Keys::fixed(keys),
        audience: None,
        method: Method::Oidc,
        claims: ["team".to_owned()].into(),
        groups_claim,
        roles: [
            ("oncall".to_owned(), [OperatorRole::OnCall].into()),
            ("On call, EMEA".to_owned(), [OperatorRole::Viewer].into()),
        ]
        .into(),
        people: PeopleRule::default(),
        sponsor: None,
    };
    Verifier::new("lanyard".to_owned(), vec![issuer])
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": "lanyard", "iat": NOW.as_secs(), "exp": NOW.as_secs() + 240,
        "jti": "1", "groups": ["oncall"]})
}

/// Returns the claims with these changes; null removes a claim.
fn with(more: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    members.retain(|_, value| !value.is_null());
    claims
}

fn sign(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(payload));
    let signature = key().sign(message.as_bytes());
    format!("{message}.{}", b64(signature))
}

fn token(payload: &str) -> String {
    sign(r#"{"alg":"EdDSA","kid":"one","typ":"JWT"}"#, payload)
}

fn verified_at(path: ClaimPath, token: &str) -> Result<(Operator, Login), RejectedToken> {
    let verifier = verifier(IssuerKind::Operators, path);
    let accepted = verifier.verify(token, None, Purpose::Change, NOW)?;
    let Verified::Operator(operator, login) = accepted.who else {
        return Err(RejectedToken::Form);
    };
    Ok((operator, login))
}

fn verified(token: &str) -> Result<(Operator, Login), RejectedToken> {
    verified_at("groups".into(), token)
}

fn path(names: &[&str]) -> ClaimPath {
    ClaimPath::of(names.iter().map(|&name| name.to_owned()).collect()).unwrap()
}

/// Verifies a person with these claims, and returns the reason why they have no role.
fn no_role(path: ClaimPath, claims: &Value) -> String {
    let (operator, login) = verified_at(path, &token(&claims.to_string())).unwrap();
    assert_eq!(operator.roles, BTreeSet::new());
    login.no_role.unwrap()
}

#[test]
fn d27_times_with_fractions_and_exponents_are_believed() {
    let now = NOW.as_secs();
    let body = with(json!({"iat": null, "exp": null})).to_string();
    let body = body.strip_suffix('}').unwrap();
    for (iat, exp) in [
        (format!("{now}.811"), format!("{}.5", now + 240)),
        (format!("{now}.0"), format!("{}.0", now + 240)),
        ("1.8e9".to_owned(), "1.80000024e+09".to_owned()),
        (
            "1.800000000123456789e9".to_owned(),
            "18000002.4E2".to_owned(),
        ),
    ] {
        let claims = format!(r#"{body},"iat":{iat},"exp":{exp},"nbf":{iat},"auth_time":{iat}}}"#);
        let token = token(&claims);
        let (operator, login) = verified(&token).unwrap();
        assert!(operator.is(OperatorRole::OnCall), "{iat}");
        assert_eq!(
            (login.at, issued_at(&token)),
            (Some(NOW), Some(NOW)),
            "{iat}"
        );
    }
    // An impossible time is refused in every notation.
    for (name, value) in [
        ("exp", json!(now * 1000)),
        ("exp", json!(-1)),
        ("exp", json!(now as f64 - 31.5)),
        ("iat", json!(-1)),
        ("iat", json!(now as f64 + 31.5)),
        ("nbf", json!(1e30)),
    ] {
        let refused = verified(&token(&with(json!({ name: value })).to_string())).err();
        assert_eq!(refused, Some(RejectedToken::Times), "{name}: {value}");
    }
}

#[test]
fn d27_a_claim_that_is_needed_and_of_another_type_is_named() {
    let text = "1800000000.528239";
    for (name, value, is) in [
        ("exp", json!(text), "a text"),
        ("iat", json!(text), "a text"),
        ("nbf", json!([1]), "a list"),
        ("iss", json!(7), "a number"),
        ("sub", json!(7), "a number"),
        ("aud", json!(7), "a number"),
        ("aud", json!(true), "a truth value"),
    ] {
        let refused = verified(&token(&with(json!({ name: value })).to_string()));
        let refused = refused.err().unwrap();
        assert!(
            matches!(refused, RejectedToken::ClaimType { name: n, is: i, .. } if (n, i) == (name, is)),
            "{name}: {refused:?}"
        );
        let line = refused.to_string();
        assert!(
            line.contains(&format!("`{name}` is {is}")) && !line.contains(text),
            "{line}"
        );
    }
    for name in ["exp", "sub", "aud"] {
        let refused = verified(&token(&with(json!({ name: null })).to_string())).err();
        assert_eq!(refused, Some(RejectedToken::Missing(name)));
    }
    // A binding that cannot be read was not met.
    for cnf in [
        json!("key"),
        json!([]),
        json!({}),
        json!({"jkt": 7}),
        json!({"jwk": {"kty": "EC"}}),
    ] {
        let refused = verified(&token(&with(json!({ "cnf": cnf })).to_string())).err();
        assert_eq!(refused, Some(RejectedToken::Possession), "{cnf}");
    }
}

#[test]
fn d27_optional_claims_of_a_wrong_type_are_ignored() {
    for (name, value) in [
        ("jti", json!(7)),
        ("jti", json!("")),
        ("acr", json!(1)),
        ("acr", json!(["pwd"])),
        ("auth_time", json!("1800000000")),
        ("auth_time", json!({})),
        ("azp", json!("another-client")),
        ("nonce", json!(7)),
        ("amr", json!("pwd")),
        ("email_verified", json!("true")),
        ("address", json!({"country": "CH"})),
        ("at_hash", json!(false)),
        ("team", json!(["a", "b"])),
        ("sponsor", json!([])),
        ("nbf", json!(null)),
        ("ver", json!(2.0)),
    ] {
        let token = token(&with(json!({ name: value })).to_string());
        let (operator, login) = verified(&token).unwrap();
        assert!(operator.is(OperatorRole::OnCall), "{name}");
        assert_eq!((login.at, login.acr), (None, None), "{name}: {value}");
        // An agent's token is accepted as well. A configured claim that is not text is ignored.
        let accepted = verifier(IssuerKind::Agents, "groups".into())
            .verify(&token, None, Purpose::Change, NOW)
            .unwrap();
        let Verified::Agent(caller) = accepted.who else {
            unreachable!("{name}")
        };
        assert!(caller.evidence.claims.is_empty(), "{name}");
    }
}

#[test]
fn d27_t5_a_claim_twice_is_refused_at_any_depth() {
    let body = with(json!({"groups": null})).to_string();
    for (name, more) in [
        ("groups", r#""groups":["oncall"],"groups":["admin"]"#),
        ("sub", r#""sub":"mallory""#),
        ("escaped", r#""\u0073ub":"mallory""#),
        (
            "nested",
            r#""realm_access":{"roles":["oncall"],"roles":["admin"]}"#,
        ),
        ("unknown", r#""x":{"y":[{"z":1,"z":1}]}"#),
    ] {
        let twice = format!("{},{more}}}", body.strip_suffix('}').unwrap());
        assert_eq!(
            verified(&token(&twice)).err(),
            Some(RejectedToken::Twice),
            "{name}"
        );
    }
    for bad in ["[]", "\"claims\"", "{", "{} {}", "null"] {
        assert_eq!(
            verified(&token(bad)).err(),
            Some(RejectedToken::Claims),
            "{bad}"
        );
    }
}

#[test]
fn d29_unknown_parameters_of_a_header_are_ignored() {
    for (name, value) in [
        ("cty", json!("json")),
        ("pi.atm", json!("2")),
        ("nonce", json!("x".repeat(40))),
        ("x5t", json!("abc")),
        ("x5t#S256", json!(7)),
        ("typ", json!("at+jwt")),
        ("typ", json!("application/at+jwt")),
        ("typ", json!("Application/JWT")),
        ("typ", json!("jwt")),
        ("typ", json!(null)),
        ("ver", json!({"a": [1]})),
        ("svt", json!(["x"])),
        ("iss", json!("https://evil.example")),
        ("alg", json!("Ed25519")),
        ("kid", json!(null)),
    ] {
        let mut header = json!({"alg": "EdDSA", "kid": "one", "typ": "JWT"});
        header[name] = value.clone();
        let token = sign(&header.to_string(), &claims().to_string());
        let (operator, _) = verified(&token).unwrap();
        assert_eq!(operator.identity.issuer, ISSUER, "{name}: {value}");
        assert_eq!(type_of(&token).as_deref(), header["typ"].as_str());
    }
}

#[test]
fn d29_t4_t5_header_parameters_that_bring_keys_or_rules_are_refused_by_name() {
    for name in ["crit", "jku", "jwk", "x5u", "x5c", "b64", "enc", "zip"] {
        for value in [
            json!("https://evil.example"),
            json!([]),
            json!(false),
            json!(null),
        ] {
            let mut header = json!({"alg": "EdDSA", "kid": "one"});
            header[name] = value;
            let token = sign(&header.to_string(), &claims().to_string());
            let refused = verified(&token).err().unwrap();
            assert_eq!(refused, RejectedToken::Parameter(name));
            assert!(refused.to_string().contains(&format!("`{name}`")));
            assert_eq!(type_of(&token), None);
        }
    }
    for (header, refused) in [
        (r#"{"kid":"one"}"#, RejectedToken::Algorithm("nothing")),
        (
            r#"{"alg":"none","kid":"one"}"#,
            RejectedToken::Algorithm("none"),
        ),
        (
            r#"{"alg":"HS256","kid":"one"}"#,
            RejectedToken::Algorithm("HS256"),
        ),
        (
            r#"{"alg":"RS512","kid":"one"}"#,
            RejectedToken::Algorithm("RS512"),
        ),
        (
            r#"{"alg":"eddsa","kid":"one"}"#,
            RejectedToken::Algorithm("something else"),
        ),
        (r#"{"alg":7,"kid":"one"}"#, RejectedToken::Header),
        (r#"{"alg":"EdDSA","kid":7}"#, RejectedToken::Header),
        (
            r#"{"alg":"EdDSA","kid":"one","typ":7}"#,
            RejectedToken::Header,
        ),
        (
            r#"{"alg":"EdDSA","kid":"one","kid":"one"}"#,
            RejectedToken::Header,
        ),
        (
            r#"{"alg":"EdDSA","kid":"one","x":1,"x":1}"#,
            RejectedToken::Header,
        ),
        (
            r#"{"alg":"EdDSA","kid":"one","typ":"logout+jwt"}"#,
            RejectedToken::Type,
        ),
        (
            r#"{"alg":"EdDSA","kid":"one","typ":"secevent+jwt"}"#,
            RejectedToken::Type,
        ),
        (r#"{"alg":"ES256","kid":"one"}"#, RejectedToken::Signature),
        (r#"{"alg":"ESP256","kid":"one"}"#, RejectedToken::Signature),
        (r#"{"alg":"EdDSA","kid":"two"}"#, RejectedToken::Signature),
        (r#"{"alg":"EdDSA","kid":""}"#, RejectedToken::Signature),
        (
            r#"{"alg":"EdDSA","kid":"one","cty":"JWT"}"#,
            RejectedToken::Parameter("cty"),
        ),
        (
            r#"{"alg":"EdDSA","kid":"one","cty":"application/jwt"}"#,
            RejectedToken::Parameter("cty"),
        ),
    ] {
        let token = sign(header, &claims().to_string());
        assert_eq!(verified(&token).err(), Some(refused), "{header}");
    }
}

#[test]
fn d13_a_text_is_one_group_whole() {
    let of = |groups: Value| {
        let (operator, login) =
            verified(&token(&with(json!({ "groups": groups })).to_string())).unwrap();
        (operator, login.no_role)
    };
    assert!(of(json!("oncall")).0.is(OperatorRole::OnCall));
    assert!(of(json!("On call, EMEA")).0.is(OperatorRole::Viewer));
    // A text that seems to name several groups names none of them: otherwise whoever names a group
    // could choose other people's groups.
    for several in [
        "oncall,viewers",
        "viewers oncall",
        "oncall;x",
        "[oncall, x]",
        r#"["oncall"]"#,
    ] {
        let (operator, no_role) = of(json!(several));
        assert!(operator.roles.is_empty() && operator.groups.contains(several));
        let no_role = no_role.unwrap();
        assert!(
            no_role.contains(
                "one text, which counts as one group: if it stands for several groups, have"
            ),
            "{no_role}"
        );
        assert!(!no_role.contains("viewers"), "{no_role}");
    }
    let (operator, _) = of(json!(["oncall", 7, null, {"name": "oncall"}]));
    assert!(operator.is(OperatorRole::OnCall) && operator.groups.len() == 1);
}

#[test]
fn d13_the_configured_claim_path_finds_the_groups() {
    let realm = json!({"realm_access": {"roles": ["oncall", "offline_access"]}, "groups": null});
    let client = json!({"resource_access": {"my.client": {"roles": ["oncall"]}}, "groups": null});
    let named = json!({"https://acme.example/groups": ["oncall"], "groups": null});
    let colons = json!({"cognito:groups": "oncall", "groups": null});
    for (names, claims) in [
        (&["realm_access", "roles"][..], &realm),
        (&["resource_access", "my.client", "roles"], &client),
        (&["https://acme.example/groups"], &named),
        (&["cognito:groups"], &colons),
    ] {
        let token = token(&with(claims.clone()).to_string());
        let (operator, login) = verified_at(path(names), &token).unwrap();
        assert!(operator.is(OperatorRole::OnCall), "{names:?}");
        assert_eq!(login.no_role, None);
    }
    assert_eq!(ClaimPath::of(Vec::new()), None);
    // A dot is part of a name: no dotted claim name is read as a path.
    let line = no_role(path(&["realm_access.roles"]), &with(realm));
    assert!(
        line.contains("the token has no claim `realm_access.roles`"),
        "{line}"
    );
    assert!(
        line.contains("write `groups_claim: [realm_access, roles]`"),
        "{line}"
    );
}

#[test]
fn d13_a_missing_role_is_explained_with_the_claim_and_its_value() {
    let maps = "maps groups of this issuer to the roles viewer, on-call, and none of those found";
    for (groups, said) in [
        (json!(["a", "b", "c"]), "claim `groups` has 3 groups"),
        (json!(["a"]), "claim `groups` has 1 group;"),
        (json!([]), "claim `groups` has no group;"),
        (
            json!("secret-group"),
            "claim `groups` is one text, which counts as one group;",
        ),
        (json!("  "), "claim `groups` is an empty text"),
        (
            json!(7),
            "claim `groups` is a number, and must be a list of texts or one text",
        ),
        (json!({"oncall": true}), "claim `groups` is an object"),
        (json!(true), "claim `groups` is a truth value"),
        (
            json!([{"name": "oncall"}, 7]),
            "claim `groups` has no group, and entries that are not text and are ignored (a number, an object)",
        ),
        (
            json!(null),
            "the token has no claim `groups`: have the identity provider put the groups into its ID tokens",
        ),
    ] {
        let line = no_role("groups".into(), &with(json!({ "groups": groups })));
        assert!(line.contains(said) && line.contains(maps), "{line}");
        assert!(!line.contains("secret-group"), "{line}");
    }
    let roles = path(&["realm_access", "roles"]);
    for (realm, said) in [
        (json!(null), "the token has no claim `realm_access`"),
        (
            json!({}),
            "`realm_access` of the token has no member `roles`",
        ),
        (
            json!(["roles"]),
            "`realm_access` of the token is a list, so that it has no member `roles`",
        ),
        (
            json!({"roles": {}}),
            "`roles` in claim `realm_access` is an object",
        ),
        (
            json!({"roles": ["a"]}),
            "`roles` in claim `realm_access` has 1 group",
        ),
    ] {
        let line = no_role(roles.clone(), &with(json!({ "realm_access": realm })));
        assert!(line.contains(said), "{line}");
    }
}

#[test]
fn d13_entra_group_overage_is_reported() {
    for overage in [
        json!({"groups": null, "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph"}}}),
        json!({"groups": null, "hasgroups": true}),
        json!({"groups": null, "hasgroups": "true"}),
        json!({"groups": [], "_claim_names": {"groups": "src1"}}),
    ] {
        let line = no_role("groups".into(), &with(overage));
        assert!(
            line.contains("too many (overage, over 200 at Entra ID)"),
            "{line}"
        );
        assert!(line.contains("`groups_claim: roles`"), "{line}");
    }
    for none in [
        json!({"groups": null, "_claim_names": {"address": "src1"}}),
        json!({"groups": null, "hasgroups": false}),
        json!({"groups": ["a"], "hasgroups": true}),
    ] {
        let line = no_role("groups".into(), &with(none));
        assert!(!line.contains("overage"), "{line}");
    }
}

#[test]
fn d12_a_token_of_two_hundred_groups_is_read_and_a_longer_one_says_by_how_much() {
    let guid = |at: usize| format!("{at:08x}-1111-2222-3333-444444444444");
    let of = |count: usize| {
        let groups: Vec<_> = (1..count).map(guid).chain(["oncall".to_owned()]).collect();
        token(
            &with(json!({"groups": groups, "name": "Alice Example", "rh": "0.".repeat(40)}))
                .to_string(),
        )
    };
    let entra = of(200);
    assert!(entra.len() > 10_000, "{}", entra.len());
    let (operator, _) = verified(&entra).unwrap();
    assert!(operator.is(OperatorRole::OnCall) && operator.groups.len() == 200);
    let long = of(400);
    let (bytes, limit) = (long.len(), MAX_TOKEN_BYTES);
    let refused = verified(&long).err().unwrap();
    assert_eq!(refused, RejectedToken::TooLong { bytes, limit });
    let line = refused.to_string();
    assert!(
        line.contains(&format!("{bytes} bytes, the limit is {limit}")),
        "{line}"
    );
    assert!(line.contains("fewer groups"), "{line}");
}
