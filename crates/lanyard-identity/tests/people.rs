//! A token's account where there are several issuers, and the person on whose behalf an agent acts.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanyard_identity::jwks::Jwks;
use lanyard_identity::session::Who;
use lanyard_identity::verifier::{PeopleRule, Purpose, SponsorBy, SponsorRule};
use lanyard_identity::{Issuer, IssuerKind, Keys, Verified, Verifier};
use lanyard_vocabulary::identity::{Identity, Method};
use lanyard_vocabulary::operator::{Operator, OperatorRole};
use lanyard_vocabulary::person::{Person, Sponsor};
use lanyard_vocabulary::time::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const AGENTS: &str = "https://agents.acme.example";
const PEOPLE: &str = "https://people.acme.example";
const PARTNERS: &str = "https://partners.acme.example";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn issuer(
    name: &str,
    kind: IssuerKind,
    people: PeopleRule,
    sponsor: Option<SponsorRule>,
) -> Issuer {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": b64(key().public_key())});
    let keys = Jwks::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
    Issuer {
        name: name.to_owned(),
        kind,
        keys: Keys::fixed(keys),
        audience: None,
        method: Method::Oidc,
        claims: BTreeSet::new(),
        groups_claim: "groups".into(),
        roles: [].into(),
        people,
        sponsor,
    }
}

fn in_directory(directory: &str, claim: &str) -> PeopleRule {
    PeopleRule {
        directory: Some(directory.parse().unwrap()),
        claim: Some(claim.to_owned()),
    }
}

fn rule(claim: &str, issuer: &str, by: SponsorBy) -> SponsorRule {
    SponsorRule {
        claim: claim.to_owned(),
        issuer: issuer.to_owned(),
        by,
    }
}

fn verifier(sponsor: Option<SponsorRule>) -> Verifier {
    let nobody = PeopleRule::default;
    let issuers = vec![
        issuer(AGENTS, IssuerKind::Agents, nobody(), sponsor),
        issuer(
            PEOPLE,
            IssuerKind::Operators,
            in_directory("corp", "email"),
            None,
        ),
        issuer(PARTNERS, IssuerKind::Operators, nobody(), None),
    ];
    Verifier::new("lanyard".to_owned(), issuers)
}

fn who(verifier: &Verifier, issuer: &str, more: &Value) -> Verified {
    let mut claims = json!({"iss": issuer, "sub": "s-1", "aud": "lanyard", "iat": NOW.as_secs(),
        "exp": NOW.as_secs() + 60, "jti": "1"});
    for (name, value) in more.as_object().unwrap() {
        claims
            .as_object_mut()
            .unwrap()
            .insert(name.clone(), value.clone());
    }
    let header = json!({"alg": "EdDSA", "kid": "one"}).to_string();
    let message = format!("{}.{}", b64(header), b64(claims.to_string()));
    let signature = key().sign(message.as_bytes());
    let token = format!("{message}.{}", b64(signature));
    verifier
        .verify(&token, None, Purpose::Change, NOW)
        .unwrap()
        .who
}

fn sponsor(verifier: &Verifier, more: &Value) -> Sponsor {
    match who(verifier, AGENTS, more) {
        Verified::Agent(caller) => caller.sponsor,
        Verified::Operator(..) => panic!("not a person"),
    }
}

fn operator(verifier: &Verifier, issuer: &str, more: &Value) -> Operator {
    match who(verifier, issuer, more) {
        Verified::Operator(operator, _) => operator,
        Verified::Agent(_) => panic!("not an agent"),
    }
}

#[test]
fn s01_the_sponsor_of_an_agent_is_a_person_of_the_operators_issuer() {
    let verifier = verifier(Some(rule("on_behalf_of", PARTNERS, SponsorBy::Subject)));
    let Sponsor::Person(person) = sponsor(&verifier, &json!({"on_behalf_of": "alice"})) else {
        panic!("nobody");
    };
    assert_eq!(
        (person.issuer.as_str(), person.subject.as_deref()),
        (PARTNERS, Some("alice"))
    );
    let alice = operator(&verifier, PARTNERS, &json!({"sub": "alice"})).person();
    let bob = operator(&verifier, PARTNERS, &json!({"sub": "bob"})).person();
    assert!(person.may_be(&alice) && !person.may_be(&bob));
    assert_eq!(sponsor(&verifier, &json!({})), Sponsor::Nobody);
}

#[test]
fn s01_a_sponsor_by_name_is_found_at_every_issuer_of_the_directory() {
    let verifier = verifier(Some(rule("sponsor", PEOPLE, SponsorBy::Name)));
    let Sponsor::Person(person) = sponsor(&verifier, &json!({"sponsor": "Ann@acme.example"}))
    else {
        panic!("nobody");
    };
    assert_eq!(person.subject, None);
    let with = |email: &str| {
        let claims = json!({"email": email, "email_verified": true});
        operator(&verifier, PEOPLE, &claims).person()
    };
    assert!(person.may_be(&with("ann@acme.example")));
    assert!(!person.may_be(&with("bob@acme.example")));
    // A person without a name, and a person of an issuer without a rule, may be the same person.
    assert!(person.may_be(&operator(&verifier, PEOPLE, &json!({})).person()));
    assert!(
        person
            .may_be(&operator(&verifier, PARTNERS, &json!({"email": "bob@acme.example"})).person())
    );
}

#[test]
fn s01_an_ambiguous_sponsor_is_unmapped() {
    let unmapped = |rule: Option<SponsorRule>, claims: Value| {
        let found = sponsor(&verifier(rule), &claims);
        assert!(
            matches!(found, Sponsor::Unmapped { .. }),
            "{claims}: {found:?}"
        );
    };
    unmapped(None, json!({"sponsor": "alice"}));
    unmapped(None, json!({"sponsor": null}));
    for value in [
        json!(null),
        json!(""),
        json!("  "),
        json!(7),
        json!(true),
        json!(["alice"]),
        json!({"sub": "alice"}),
        json!("a".repeat(2000)),
    ] {
        unmapped(
            Some(rule("sponsor", PEOPLE, SponsorBy::Subject)),
            json!({"sponsor": value}),
        );
    }
    unmapped(
        Some(rule(
            "sponsor",
            "https://nobody.example",
            SponsorBy::Subject,
        )),
        json!({"sponsor": "alice"}),
    );
    unmapped(
        Some(rule("sponsor", AGENTS, SponsorBy::Subject)),
        json!({"sponsor": "alice"}),
    );
}

#[test]
fn s01_a_session_does_not_forget_the_sponsor() {
    let verifier = verifier(None);
    assert!(Who::of(who(&verifier, AGENTS, &json!({"sponsor": "alice"}))).is_err());
    let old = |issuer: &str| {
        Sponsor::Person(Person {
            issuer: issuer.to_owned(),
            subject: Some("alice".to_owned()),
            directory: None,
            name: None,
        })
    };
    // Sessions of an earlier version name the sponsor by the agents' issuer.
    assert!(matches!(
        verifier.current_sponsor(old(AGENTS)),
        Sponsor::Unmapped { .. }
    ));
    assert_eq!(verifier.current_sponsor(old(PARTNERS)), old(PARTNERS));
}

#[test]
fn s33_an_unverified_name_is_ignored() {
    let verifier = verifier(None);
    let name = |more: Value| operator(&verifier, PEOPLE, &more).name;
    for verified in [json!(true), json!("true")] {
        let claims = json!({"email": "a@x", "email_verified": verified});
        assert_eq!(name(claims).as_deref(), Some("a@x"));
    }
    // Some issuers let people edit the address, and do not say whether it is verified.
    assert_eq!(name(json!({"email": "a@x"})), None);
    for verified in [json!(null), json!(1), json!("yes"), json!([true])] {
        let claims = json!({"email": "a@x", "email_verified": verified});
        assert_eq!(name(claims), None, "{verified}");
    }
    assert_eq!(name(json!({"email": "a@x", "email_verified": false})), None);
    assert_eq!(
        name(json!({"email": "a@x", "email_verified": "false"})),
        None
    );
    for email in [json!(["a@x"]), json!("")] {
        let claims = json!({"email": email, "email_verified": true});
        assert_eq!(name(claims), None, "{email}");
    }
}

#[test]
fn s33_an_earlier_person_gets_the_configured_directory() {
    let verifier = verifier(None);
    let claims = json!({"email": "a@x", "email_verified": true});
    let now = operator(&verifier, PEOPLE, &claims);
    assert_eq!(now.name.as_deref(), Some("a@x"));
    assert_eq!(verifier.with_current_roles(&now).person(), now.person());
    let earlier = Operator {
        directory: Some("old".parse().unwrap()),
        ..now.clone()
    };
    let again = verifier.with_current_roles(&earlier);
    assert_eq!((again.directory, again.name), (now.directory, None));
}

#[test]
fn s01_a_certificate_names_no_sponsor_where_the_issuer_has_a_claim_for_them() {
    let with_rule = verifier(Some(rule("on_behalf_of", PEOPLE, SponsorBy::Subject)));
    let found = with_rule.sponsor_without_claims(AGENTS);
    assert!(matches!(found, Sponsor::Unmapped { .. }), "{found:?}");
    let without = verifier(None);
    assert_eq!(without.sponsor_without_claims(AGENTS), Sponsor::Nobody);
}

#[test]
fn s01_whoever_invited_an_agent_is_its_sponsor() {
    let verifier = verifier(None);
    let at = |issuer, subject: &str, email: &str| {
        let claims = json!({"sub": subject, "email": email, "email_verified": true});
        operator(&verifier, issuer, &claims).person()
    };
    let (alice, bob) = (at(PEOPLE, "alice", "alice@x"), at(PEOPLE, "bob", "bob@x"));
    let Sponsor::Person(person) = verifier.sponsor_who_invited(alice.clone()) else {
        panic!("nobody");
    };
    assert!(person.may_be(&alice) && !person.may_be(&bob));
    // Another account of hers, and an account at an issuer without a rule.
    assert!(person.may_be(&at(PEOPLE, "alice-admin", "Alice@x")));
    assert!(person.may_be(&at(PARTNERS, "bob", "bob@x")));
    // A session keeps the sponsor.
    let kept = verifier.current_sponsor(Sponsor::Person(person.clone()));
    assert_eq!(kept, Sponsor::Person(person));
    // The name behind an earlier invitation is unknown, so it is unknown which other accounts are
    // hers.
    let earlier = Person::from(Identity {
        issuer: PEOPLE.to_owned(),
        subject: "alice".to_owned(),
    });
    let Sponsor::Person(person) = verifier.sponsor_who_invited(earlier.clone()) else {
        panic!("nobody");
    };
    assert!(person.may_be(&alice) && person.may_be(&bob));
    for issuer in [AGENTS, "https://nobody.example"] {
        let found = verifier.sponsor_who_invited(Person {
            issuer: issuer.to_owned(),
            ..earlier.clone()
        });
        assert!(matches!(found, Sponsor::Unmapped { .. }), "{found:?}");
    }
}

#[test]
fn s33_accounts_of_a_directory_without_a_name_are_not_two_people() {
    let verifier = verifier(None);
    let at = |issuer, subject: &str, email: &str| {
        let claims = json!({"sub": subject, "email": email, "email_verified": true});
        operator(&verifier, issuer, &claims).person()
    };
    let nameless = |subject: &str| {
        operator(
            &verifier,
            PEOPLE,
            &json!({"sub": subject, "email": "own@x"}),
        )
        .person()
    };
    assert!(nameless("a-1").may_be(&nameless("a-2")));
    assert!(nameless("a-1").may_be(&at(PEOPLE, "b-1", "bob@x")));
    assert!(!at(PEOPLE, "a-1", "ann@x").may_be(&at(PEOPLE, "b-1", "bob@x")));
    // Without a directory each account counts as a person of its own.
    assert!(!at(PARTNERS, "a-1", "ann@x").may_be(&at(PARTNERS, "a-2", "ann@x")));
}

#[test]
fn a_configured_subject_is_an_operator_by_its_name_and_not_by_groups() {
    let account = "system:serviceaccount:lanyard:oncall";
    let stops = BTreeSet::from([OperatorRole::OnCall]);
    let cluster = Issuer {
        roles: [(account.to_owned(), stops.clone())].into(),
        ..issuer(AGENTS, IssuerKind::Agents, PeopleRule::default(), None)
    };
    let verifier = Verifier::new("lanyard".to_owned(), vec![cluster]);
    let found = operator(&verifier, AGENTS, &json!({"sub": account}));
    assert_eq!(found.roles, stops);
    assert_eq!(found.groups, BTreeSet::from([account.to_owned()]));
    assert_eq!(verifier.with_current_roles(&found).roles, stops);
    // An agent cannot become an operator by a claim: an agents' issuer vouches for no groups.
    let claims = json!({"sub": "system:serviceaccount:shop:agent", "groups": [account]});
    assert!(matches!(
        who(&verifier, AGENTS, &claims),
        Verified::Agent(_)
    ));
    let claims = json!({"sub": account.to_uppercase()});
    assert!(matches!(
        who(&verifier, AGENTS, &claims),
        Verified::Agent(_)
    ));
}
