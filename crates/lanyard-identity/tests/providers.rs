//! Key sets and tokens in the shapes that identity providers document. Each is accepted, or refused
//! for the reason beside it. The keys are made here; only the shapes are the providers'.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lanyard_identity::jwks::Jwks;
use lanyard_identity::verifier::{ClaimPath, PeopleRule, Purpose};
use lanyard_identity::{Issuer, IssuerKind, Keys, RejectedToken, Verified, Verifier};
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::identity::{Confirmation, Method};
use lanyard_vocabulary::operator::{Login, Operator, OperatorRole};
use lanyard_vocabulary::time::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const CLIENT: &str = "0oa1lanyard";

/// ring cannot generate RSA keys.
static KEY: LazyLock<RsaKeyPair> = LazyLock::new(|| {
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA"])
        .args(["-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .unwrap();
    let pem = String::from_utf8(made.stdout).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(body).unwrap()).unwrap()
});

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the public key as a JWK with these further members.
fn jwk(kid: &str, more: Value) -> Value {
    let public: RsaPublicKeyComponents<Vec<u8>> = KEY.public().into();
    let mut key = more;
    for (name, value) in [("kty", "RSA"), ("kid", kid)] {
        key[name] = json!(value);
    }
    key["e"] = json!(b64(&public.e));
    if key.get("n").is_none() {
        key["n"] = json!(b64(&public.n));
    }
    key
}

/// Returns a modulus as Java's `BigInteger` writes it, with a leading byte for the sign.
fn signed_modulus() -> String {
    let public: RsaPublicKeyComponents<Vec<u8>> = KEY.public().into();
    b64([&[0], &public.n[..]].concat())
}

/// A provider: the keys that it publishes, the token that it signs, and its section of the
/// configuration.
struct Provider {
    issuer: &'static str,
    kind: IssuerKind,
    keys: Value,
    header: Value,
    claims: Value,
    audience: Option<&'static str>,
    groups_claim: ClaimPath,
    taken_over: &'static [&'static str],
}

impl Provider {
    /// Builds the case of a provider where people log in with a client.
    fn of_people(issuer: &'static str, keys: Value, header: Value, claims: Value) -> Self {
        Self {
            issuer,
            kind: IssuerKind::Operators,
            keys,
            header,
            claims: common(issuer, CLIENT, claims),
            audience: Some(CLIENT),
            groups_claim: "groups".into(),
            taken_over: &[],
        }
    }

    fn of_jobs(issuer: &'static str, keys: Value, header: Value, claims: Value) -> Self {
        Self {
            kind: IssuerKind::Agents,
            claims: common(issuer, "lanyard", claims),
            audience: None,
            ..Self::of_people(issuer, keys, header, json!({}))
        }
    }

    fn with(mut self, more: Value) -> Self {
        merge(&mut self.claims, more);
        self
    }

    fn token(&self) -> String {
        let message = format!(
            "{}.{}",
            b64(self.header.to_string()),
            b64(self.claims.to_string())
        );
        let mut signature = vec![0; KEY.public().modulus_len()];
        let random = SystemRandom::new();
        KEY.sign(
            &RSA_PKCS1_SHA256,
            &random,
            message.as_bytes(),
            &mut signature,
        )
        .unwrap();
        format!("{message}.{}", b64(signature))
    }

    fn verified(&self, key: Option<&Confirmation>) -> Result<Verified, RejectedToken> {
        let keys = json!({ "keys": self.keys }).to_string();
        let issuer = Issuer {
            name: self.issuer.to_owned(),
            kind: self.kind,
            keys: Keys::fixed(Jwks::parse(keys.as_bytes()).unwrap()),
            audience: self.audience.map(str::to_owned),
            method: Method::Oidc,
            claims: self
                .taken_over
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
            groups_claim: self.groups_claim.clone(),
            roles: [("oncall".to_owned(), [OperatorRole::OnCall].into())].into(),
            people: PeopleRule {
                directory: Some("acme".parse().unwrap()),
                claim: Some("email".to_owned()),
            },
            sponsor: None,
        };
        let verifier = Verifier::new("lanyard".to_owned(), vec![issuer]);
        let now = Timestamp::from_secs(NOW);
        let accepted = verifier.verify(&self.token(), key, Purpose::Change, now)?;
        Ok(accepted.who)
    }

    fn person(&self) -> (Operator, Login) {
        match self.verified(Some(&Confirmation::Key("k".to_owned()))) {
            Ok(Verified::Operator(operator, login)) => (operator, login),
            other => panic!("{}: {other:?}", self.issuer),
        }
    }

    fn is_on_call(&self) -> bool {
        self.person().0.roles == BTreeSet::from([OperatorRole::OnCall])
    }

    fn no_role(&self) -> String {
        self.person().1.no_role.unwrap()
    }

    fn job(&self) -> Caller {
        match self.verified(None) {
            Ok(Verified::Agent(caller)) => caller,
            other => panic!("{}: {other:?}", self.issuer),
        }
    }
}

fn common(issuer: &str, audience: &str, more: Value) -> Value {
    let mut claims =
        json!({"iss": issuer, "sub": "s-1", "aud": audience, "iat": NOW, "exp": NOW + 3600});
    merge(&mut claims, more);
    claims
}

/// Merges two objects; null removes a claim.
fn merge(claims: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    for (name, value) in more {
        claims[name] = value;
    }
    let members = claims.as_object_mut().unwrap();
    members.retain(|_, value| !value.is_null());
}

fn header(kid: &str) -> Value {
    json!({"typ": "JWT", "alg": "RS256", "kid": kid})
}

fn guid(at: usize) -> String {
    format!("{at:08x}-aaaa-4bbb-8ccc-dddddddddddd")
}

/// Entra ID, version 2.0: keys without `alg`, some with another issuer, and tokens that are
/// backdated by five minutes.
fn entra() -> Provider {
    const ISSUER: &str =
        "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0";
    let more = || json!({"use": "sig", "x5t": "abc", "x5c": ["MIID"], "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"});
    let mut consumers = jwk("other", more());
    consumers["n"] = json!(b64([0xc7; 256]));
    let keys = json!([consumers, jwk("entra-1", more())]);
    let header =
        json!({"typ": "JWT", "alg": "RS256", "x5t": "abc", "kid": "entra-1", "nonce": "n-1"});
    let groups: Vec<_> = (1..200).map(guid).chain(["oncall".to_owned()]).collect();
    let claims = json!({
        "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 3600, "aio": "A".repeat(120), "groups": groups, "name": "Alice Example",
        "oid": guid(7), "preferred_username": "alice@acme.example", "rh": "0.AXoA", "tid": guid(8), "uti": "u", "ver": "2.0",
        "wids": [guid(9)], "xms_tdbr": "EU", "email": "alice@acme.example",
    });
    Provider::of_people(ISSUER, keys, header, claims)
}

#[test]
fn d12_entra_with_two_hundred_groups_is_accepted_with_a_key() {
    let entra = entra();
    assert!(entra.token().len() > 10_000);
    assert!(entra.is_on_call());
    // Entra backdates its tokens: without a key, a token is accepted for half a minute after its
    // issue.
    assert!(entra.verified(None).is_ok());
    let later = entra.with(json!({"iat": NOW - 331, "nbf": NOW - 331}));
    assert_eq!(later.verified(None).err(), Some(RejectedToken::Times));
    assert!(later.is_on_call());
}

#[test]
fn d13_entra_with_more_groups_than_fit_has_a_way_out() {
    let overage = json!({"groups": null, "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://graph.microsoft.com/v1.0/users/x/getMemberObjects"}}});
    let no_role = entra().with(overage.clone()).no_role();
    assert!(no_role.contains("overage"), "{no_role}");
    let mut roles = entra().with(overage).with(json!({"roles": ["oncall"]}));
    roles.groups_claim = "roles".into();
    assert!(roles.is_on_call());
}

/// AD FS: a single group as a text, the algorithm in its keys, and an issuer that differs from the
/// URL it is reached by.
fn adfs(groups: Value) -> Provider {
    let keys = json!([jwk(
        "adfs-1",
        json!({"use": "sig", "alg": "RS256", "x5t": "abc", "x5c": ["MIIC"]})
    )]);
    let header = json!({"typ": "JWT", "alg": "RS256", "x5t": "abc", "kid": "adfs-1"});
    let claims = json!({
        "auth_time": NOW - 5, "nonce": "1", "sid": "S-1-5-21-1-2-3-4", "upn": "alice@acme.example", "unique_name": "ACME\\alice",
        "pwd_exp": "7776000", "apptype": "Public", "appid": CLIENT, "authmethod": "urn:ac:classes:PasswordProtectedTransport",
        "ver": "1.0", "scp": "openid", "groups": groups,
    });
    Provider::of_people("https://adfs.acme.example/adfs", keys, header, claims)
}

#[test]
fn d13_adfs_writes_one_group_as_a_text() {
    assert!(adfs(json!("oncall")).is_on_call());
    assert!(adfs(json!(["Domain Users", "oncall"])).is_on_call());
    // A distinguished name has commas, and is one group.
    let (operator, _) = adfs(json!("CN=oncall,OU=Groups,DC=acme,DC=example")).person();
    assert_eq!(operator.groups.len(), 1);
    assert_eq!(operator.roles, BTreeSet::new());
}

#[test]
fn d24_okta_publishes_the_next_key_beside_the_one_that_signs() {
    let mut next = jwk(
        "okta-2",
        json!({"alg": "RS256", "use": "sig", "status": "NEXT"}),
    );
    next["n"] = json!(b64([0xb7; 256]));
    let keys = json!([jwk("okta-1", json!({"alg": "RS256", "use": "sig"})), next]);
    let claims = json!({
        "ver": 1, "jti": "ID.abc", "amr": ["pwd", "mfa"], "idp": "00o1", "nonce": "n", "auth_time": NOW - 10, "at_hash": "h",
        "preferred_username": "alice@acme.example", "email": "alice@acme.example", "email_verified": true, "groups": ["Everyone", "oncall"],
    });
    let header = json!({"kid": "okta-1", "alg": "RS256"});
    let okta = Provider::of_people(
        "https://acme.okta.example/oauth2/default",
        keys,
        header,
        claims,
    );
    assert!(okta.is_on_call());
    assert_eq!(okta.person().0.name.as_deref(), Some("alice@acme.example"));
    // An access token of the org authorization server is for Okta itself only.
    let org = Provider {
        header: json!({"kid": "okta-1", "alg": "RS256", "typ": "application/okta-internal-at+jwt"}),
        ..okta
    };
    assert_eq!(org.verified(None).err(), Some(RejectedToken::Type));
}

#[test]
fn d13_auth0_puts_groups_under_a_name_of_a_url() {
    let keys = json!([jwk(
        "auth0-1",
        json!({"alg": "RS256", "use": "sig", "x5t": "abc", "x5c": ["MIID"]})
    )]);
    let claims = json!({
        "sub": "auth0|64aa", "sid": "s", "nonce": "n", "nickname": "alice", "updated_at": "2026-11-30T09:00:00.000Z",
        "email": "alice@acme.example", "email_verified": "true", "https://acme.example/groups": ["oncall"],
    });
    let mut auth0 = Provider::of_people(
        "https://acme.eu.auth0.example/",
        keys,
        header("auth0-1"),
        claims,
    );
    let line = auth0.no_role();
    assert!(line.contains("the token has no claim `groups`"), "{line}");
    auth0.groups_claim = "https://acme.example/groups".into();
    assert!(auth0.is_on_call());
    assert_eq!(auth0.person().0.name.as_deref(), Some("alice@acme.example"));
    // An access token may also be for the provider's own API: an audience with several entries is
    // refused (T8).
    let access = auth0.with(json!({"aud": [CLIENT, "https://acme.eu.auth0.example/userinfo"]}));
    assert_eq!(access.verified(None).err(), Some(RejectedToken::Audience));
}

/// Keycloak: a further key for encryption, roles within objects, and groups as paths.
fn keycloak() -> Provider {
    let sig = json!({"use": "sig", "alg": "RS256", "x5c": ["MIIC"], "x5t": "a", "x5t#S256": "b"});
    let enc = json!({"use": "enc", "alg": "RSA-OAEP"});
    let keys = json!([jwk("kc-enc", enc), jwk("kc-sig", sig)]);
    let claims = json!({
        "jti": "6d0f", "typ": "ID", "azp": CLIENT, "nonce": "n", "auth_time": NOW - 3, "session_state": "s", "at_hash": "h", "acr": "1", "sid": "s",
        "email_verified": false, "preferred_username": "alice", "email": "alice@acme.example", "groups": ["/oncall"],
        "realm_access": {"roles": ["default-roles-acme", "oncall"]},
        "resource_access": {"lanyard.cli": {"roles": ["oncall"]}, "account": {"roles": ["view-profile"]}},
    });
    Provider::of_people(
        "https://sso.acme.example/realms/acme",
        keys,
        header("kc-sig"),
        claims,
    )
}

#[test]
fn d13_keycloak_has_roles_within_objects() {
    let path = |names: &[&str]| ClaimPath::of(names.iter().map(|&name| name.to_owned()).collect());
    for names in [
        &["realm_access", "roles"][..],
        &["resource_access", "lanyard.cli", "roles"],
    ] {
        let mut keycloak = keycloak();
        keycloak.groups_claim = path(names).unwrap();
        assert!(keycloak.is_on_call(), "{names:?}");
        // An address that Keycloak has not verified names no person.
        assert_eq!(keycloak.person().0.name, None);
        assert_eq!(keycloak.person().1.acr.as_deref(), Some("1"));
    }
    // The full path of a group is its name, slash and all.
    let line = keycloak().no_role();
    assert!(line.contains("claim `groups` has 1 group"), "{line}");
    // A token signed with the key for encryption does not verify.
    let odd = Provider {
        header: header("kc-enc"),
        ..keycloak()
    };
    assert_eq!(odd.verified(None).err(), Some(RejectedToken::Signature));
}

#[test]
fn d13_dex_passes_the_groups_of_its_connector_on() {
    let keys = json!([
        jwk("dex-1", json!({"use": "sig", "alg": "RS256"})),
        jwk("dex-0", json!({"use": "sig", "alg": "RS256"}))
    ]);
    let claims = json!({
        "sub": "CgVhbGljZRIEbGRhcA", "nonce": "n", "at_hash": "h", "c_hash": "c", "email": "alice@acme.example", "email_verified": true,
        "groups": ["oncall"], "name": "alice", "federated_claims": {"connector_id": "ldap", "user_id": "alice"},
    });
    // One key under two ids counts as two keys.
    let header = json!({"alg": "RS256", "kid": "dex-1"});
    let dex = Provider::of_people("https://dex.acme.example/dex", keys, header, claims);
    assert!(dex.is_on_call());
    let without = dex.with(json!({"groups": null}));
    let line = without.no_role();
    assert!(line.contains("the token has no claim `groups`"), "{line}");
}

#[test]
fn d13_google_has_no_groups_and_a_domain() {
    let keys = json!([
        jwk("g-1", json!({"alg": "RS256", "use": "sig"})),
        jwk("g-2", json!({"alg": "RS256", "use": "sig"}))
    ]);
    let claims = json!({
        "azp": CLIENT, "sub": "110169484474386276334", "hd": "oncall", "email": "alice@acme.example", "email_verified": true, "at_hash": "h",
        "nonce": "n", "name": "Alice", "picture": "https://lh3.example/a", "given_name": "Alice", "locale": "en", "jti": "1",
    });
    let mut google = Provider::of_people(
        "https://accounts.google.example",
        keys,
        header("g-1"),
        claims,
    );
    let line = google.no_role();
    assert!(line.contains("the token has no claim `groups`"), "{line}");
    google.groups_claim = "hd".into();
    assert!(google.is_on_call());
    // Cognito writes truth values as texts.
    let cognito = google
        .with(json!({"email_verified": "true", "cognito:groups": ["oncall"], "token_use": "id"}));
    assert_eq!(
        cognito.person().0.name.as_deref(),
        Some("alice@acme.example")
    );
}

#[test]
fn d29_github_actions_names_the_certificate_of_its_key() {
    let keys = json!([jwk(
        "gh-1",
        json!({"alg": "RS256", "use": "sig", "x5c": ["MIID"], "x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE"})
    )]);
    let header =
        json!({"typ": "JWT", "alg": "RS256", "x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE", "kid": "gh-1"});
    let claims = json!({
        "jti": "0f1", "sub": "repo:acme/shop:environment:production", "iat": NOW, "nbf": NOW - 300, "exp": NOW + 300, "ref": "refs/heads/main",
        "sha": "6f1ed002ab5595859014ebf0951522d9", "repository": "acme/shop", "repository_owner": "acme", "repository_id": "123456789",
        "repository_owner_id": "987654", "run_id": "9001", "run_number": "7", "run_attempt": "1", "repository_visibility": "private",
        "actor_id": "12", "actor": "alice", "workflow": "release", "head_ref": "", "base_ref": "", "event_name": "push", "ref_protected": "true",
        "ref_type": "branch", "environment": "production", "job_workflow_ref": "acme/shop/.github/workflows/r.yml@refs/heads/main",
        "runner_environment": "github-hosted", "enterprise": "acme", "check_run_id": "55",
    });
    let mut github = Provider::of_jobs(
        "https://token.actions.githubusercontent.example",
        keys,
        header,
        claims,
    );
    github.taken_over = &["repository_id", "environment", "ref_protected", "head_ref"];
    let job = github.job();
    assert_eq!(
        job.identity.subject,
        "repo:acme/shop:environment:production"
    );
    let taken: Vec<_> = job.evidence.claims.values().map(String::as_str).collect();
    assert_eq!(taken, ["production", "", "true", "123456789"]);
    // Without an explicit audience, GitHub uses the URL of the owner.
    let default = github.with(json!({"aud": "https://github.example/acme"}));
    assert_eq!(default.verified(None).err(), Some(RejectedToken::Audience));
}

#[test]
fn d27_gitlab_mixes_numbers_texts_and_lists() {
    let keys = json!([
        jwk("gl-old", json!({"use": "sig", "alg": "RS256"})),
        jwk("gl-1", json!({"use": "sig", "alg": "RS256"}))
    ]);
    let header = json!({"kid": "gl-1", "typ": "JWT", "alg": "RS256"});
    let claims = json!({
        "namespace_id": "72", "namespace_path": "acme", "project_id": "4242", "project_path": "acme/shop", "user_id": "1", "user_login": "alice",
        "user_email": "alice@acme.example", "user_access_level": "developer", "user_identities": [{"provider": "github", "extern_uid": "2"}],
        "groups_direct": ["acme", "acme/ops"], "pipeline_id": "1212", "pipeline_source": "push", "job_id": "1313", "ref": "main", "ref_type": "branch",
        "ref_path": "refs/heads/main", "ref_protected": "true", "runner_id": 1, "runner_environment": "self-hosted", "sha": "714a629c",
        "ci_config_ref_uri": "gitlab.example/acme/shop//.gitlab-ci.yml@refs/heads/main", "job_policy_ref_uri": null, "jti": "63ab",
        "sub": "project_path:acme/shop:ref_type:branch:ref:main", "nbf": NOW - 5, "exp": NOW + 3600,
    });
    let mut gitlab = Provider::of_jobs("https://gitlab.example", keys, header, claims);
    gitlab.taken_over = &[
        "project_id",
        "ref_protected",
        "runner_id",
        "groups_direct",
        "environment",
    ];
    let job = gitlab.job();
    let taken: Vec<_> = job
        .evidence
        .claims
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // A list is not text: the claim is ignored and logged.
    assert_eq!(
        taken,
        ["project_id=4242", "ref_protected=true", "runner_id=1"]
    );
    // An audience of two entries is refused, even if the first is this broker.
    let two = gitlab.with(json!({"aud": ["lanyard", "vault"]}));
    assert_eq!(two.verified(None).err(), Some(RejectedToken::Audience));
}

#[test]
fn d29_circleci_has_its_organisation_as_the_audience_and_slashes_in_names() {
    const ORGANISATION: &str = "3b7d2f3e-1c2a-4a5b-9d10-2bbf3c4d5e6f";
    const ISSUER: &str = "https://oidc.circleci.example/org/3b7d2f3e-1c2a-4a5b-9d10-2bbf3c4d5e6f";
    let keys = json!([jwk("cci-1", json!({"use": "sig", "alg": "RS256"}))]);
    let claims = json!({
        "aud": ORGANISATION, "sub": format!("org/{ORGANISATION}/project/{0}/user/{0}/vcs-origin/x/vcs-ref/refs/heads/main", guid(1)),
        "oidc.circleci.com/project-id": guid(1), "oidc.circleci.com/context-ids": [guid(2)], "oidc.circleci.com/vcs-ref": "refs/heads/main",
        "oidc.circleci.com/ssh-rerun": false,
    });
    let mut circle = Provider::of_jobs(ISSUER, keys, header("cci-1"), claims);
    circle.taken_over = &[
        "oidc.circleci.com/project-id",
        "oidc.circleci.com/context-ids",
        "oidc.circleci.com/ssh-rerun",
    ];
    // The organisation as audience is refused unless the configuration names it as the audience.
    assert_eq!(circle.verified(None).err(), Some(RejectedToken::Audience));
    circle.audience = Some(ORGANISATION);
    let job = circle.job();
    assert_eq!(
        job.evidence.claims.get("oidc.circleci.com/project-id"),
        Some(&guid(1))
    );
    assert_eq!(
        job.evidence
            .claims
            .get("oidc.circleci.com/ssh-rerun")
            .map(String::as_str),
        Some("false")
    );
    assert_eq!(job.evidence.claims.len(), 2);
}

#[test]
fn d24_jenkins_writes_the_sign_of_its_modulus_and_others_no_kid() {
    let claims =
        json!({"sub": "https://ci.acme.example/job/release/", "build_number": 7, "jti": "1"});
    let keys = json!([jwk(
        "jk-1",
        json!({"alg": "RS256", "use": "sig", "key_ops": ["verify"], "n": signed_modulus()})
    )]);
    let jenkins = Provider::of_jobs(
        "https://ci.acme.example/oidc",
        keys,
        header("jk-1"),
        claims.clone(),
    );
    assert_eq!(
        jenkins.job().identity.subject,
        "https://ci.acme.example/job/release/"
    );
    // A single key without an id verifies a token without a `kid`.
    let mut nameless = jwk("", json!({"use": "sig"}));
    nameless.as_object_mut().unwrap().remove("kid");
    let mut small = Provider::of_jobs(
        "https://small.acme.example",
        json!([nameless, {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}]),
        json!({"alg": "RS256", "kid": null}),
        claims,
    );
    assert!(small.verified(None).is_ok());
    // With two keys, a token without a `kid` is ambiguous.
    small.keys = json!([nameless_again(), jwk("named", json!({}))]);
    assert_eq!(small.verified(None).err(), Some(RejectedToken::Signature));
}

fn nameless_again() -> Value {
    jwk("", json!({}))
}
