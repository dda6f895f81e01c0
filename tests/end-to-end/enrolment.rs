//! Agents with a key of their own, client certificates, and the keys that engage kills when nobody
//! can log in.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lanyard_rig::Cli;
use lanyard_tests::keys::{Key, fresh, now};
use lanyard_tests::{Stage, until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use serde_json::{Value, json};

/// The command line of a machine that no platform vouches for.
struct Laptop {
    home: tempfile::TempDir,
    stage: Stage,
}

impl Laptop {
    fn new() -> Result<Self> {
        Ok(Self {
            home: tempfile::tempdir()?,
            stage: Stage::set()?,
        })
    }

    fn join(&self, context: &str, token: &str) -> Result<lanyard_rig::Answer> {
        let ca = self.stage.directory.path().join("dev-ca.pem");
        let arguments = [
            "enrolment",
            "join",
            "--endpoint",
            &self.stage.url(""),
            "--name",
            context,
        ];
        let ca = ["--ca-file", &ca.to_string_lossy()];
        let cli = Cli::at_home(self.home.path())?;
        cli.fed(&[&arguments[..], &ca].concat(), token)
    }
}

#[test]
fn an_invited_machine_enrols_a_key_replaces_it_and_is_removed() -> Result<()> {
    let laptop = Laptop::new()?;
    let admin = laptop.stage.daemon.cli("admin")?;
    // Who may not invite does not.
    laptop
        .stage
        .oncall
        .fails(3, &["enrolment", "invite", "laptop"])?;
    let token = admin.ok(&["enrolment", "invite", "laptop"])?;
    assert!(token.starts_with("lanyard-join-"), "{token}");
    let joined = laptop.join("laptop", &token)?;
    assert_eq!(joined.code, 0, "{}", joined.stderr);
    // The token is used up, and a guess is told no more than that.
    for used in [token.as_str(), "lanyard-join-guess", ""] {
        let again = laptop.join("again", used)?;
        assert_eq!(again.code, 4, "{}", again.stderr);
    }
    let own = Cli::at_home(laptop.home.path())?;
    let me = own.json(&["--context", "laptop", "whoami"])?;
    let field = |name: &str| me.get(name).and_then(Value::as_str).unwrap_or_default();
    assert_eq!(
        field("identity"),
        "https://dev.lanyard.invalid#enrolled:laptop"
    );
    assert_eq!(field("proved_by"), "enrolled-key");
    let before = field("claims").to_owned();

    own.ok(&["--context", "laptop", "enrolment", "rotate"])?;
    let me = own.json(&["--context", "laptop", "whoami"])?;
    assert_ne!(me.get("claims"), Some(&json!(before)));
    let listed = admin.ok(&["enrolment", "list"])?;
    assert!(
        listed.contains("laptop") && !listed.contains(&token),
        "{listed}"
    );

    // Nothing of it is lost in a crash.
    let mut laptop = laptop;
    laptop.stage.daemon = laptop.stage.daemon.serve_again(|config| config)?;
    let own = Cli::at_home(laptop.home.path())?;
    own.ok(&["--context", "laptop", "whoami"])?;
    let admin = laptop.stage.daemon.cli("admin")?;
    admin.ok(&["enrolment", "remove", "laptop", "--reason", "sold"])?;
    // Its session ends with it.
    own.fails(4, &["--context", "laptop", "whoami"])?;
    Ok(())
}

/// A trust domain of the tests' own: its authority, and leaves of it.
struct Domain {
    params: CertificateParams,
    key: KeyPair,
}

impl Domain {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(Self {
            params,
            key: KeyPair::generate()?,
        })
    }

    fn bundle(&self) -> Result<String> {
        let authority = self.params.self_signed(&self.key)?;
        let x5c = STANDARD.encode(authority.der());
        let key = json!({"use": "x509-svid", "kty": "EC", "crv": "P-256", "x5c": [x5c]});
        Ok(json!({"keys": [key]}).to_string())
    }

    /// The files of a leaf with these URIs.
    fn leaf(&self, uris: &[&str], folder: &std::path::Path) -> Result<()> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        for uri in uris {
            let name = SanType::URI((*uri).try_into()?);
            params.subject_alt_names.push(name);
        }
        let key = KeyPair::generate()?;
        let signed = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key))?;
        std::fs::write(folder.join("svid.pem"), signed.pem())?;
        let file = folder.join("svid.key");
        std::fs::write(&file, key.serialize_pem())?;
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(())
    }
}

#[test]
fn an_x509_svid_is_the_identity_of_its_connection() -> Result<()> {
    let (acme, other) = (Domain::new()?, Domain::new()?);
    let issuers = "  - {issuer: 'spiffe://acme.example', kind: agents, bundle_file: acme.json}\n  \
                   - {issuer: 'spiffe://other.example', kind: agents, bundle_file: other.json}\n";
    let files = [
        ("acme.json", acme.bundle()?),
        ("other.json", other.bundle()?),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let stage = Stage::believing(&files, issuers)?;
    let folder = stage.directory.path().join("contexts");
    let context = json!({"endpoint": stage.url(""), "ca_file": "../dev-ca.pem",
        "identity": {"certificate": {"chain_file": "svid.pem", "key_file": "svid.key"}}});
    std::fs::write(folder.join("svid.json"), context.to_string())?;
    let svid = stage.daemon.cli("svid")?;
    let id = "spiffe://acme.example/agents/router";
    acme.leaf(&[id], &folder)?;
    until(|| Ok(svid.run(&["whoami"])?.code == 0))?;
    let me = svid.json(&["whoami"])?;
    let field = |name: &str| me.get(name).and_then(Value::as_str).unwrap_or_default();
    assert_eq!(field("subject"), id);
    assert_eq!(field("proved_by"), "x509-svid");
    assert!(field("key").starts_with("certificate "), "{me}");

    // Of another trust domain, of nobody's, with two names, and with none.
    other.leaf(&[id], &folder)?;
    svid.fails(4, &["whoami"])?;
    Domain::new()?.leaf(&[id], &folder)?;
    svid.fails(4, &["whoami"])?;
    acme.leaf(&[id, "spiffe://acme.example/agents/two"], &folder)?;
    svid.fails(4, &["whoami"])?;
    acme.leaf(&[], &folder)?;
    svid.fails(4, &["whoami"])?;
    acme.leaf(&["spiffe://acme.example"], &folder)?;
    svid.fails(4, &["whoami"])?;
    acme.leaf(&[id], &folder)?;
    svid.ok(&["whoami"])?;
    Ok(())
}

#[test]
fn a_break_glass_key_engages_a_kill_and_does_nothing_else() -> Result<()> {
    let key = Key::fresh()?;
    let mut stage = Stage::set()?;
    let lines = format!(
        "break_glass: [{{name: alice, public_key: {}}}]\ntargets:",
        key.public()
    );
    let change = |config: String| config.replacen("targets:", &lines, 1);
    stage.daemon = stage.daemon.serve_again(change)?;
    let token = |key: &Key, lasts: u64| -> Result<String> {
        let header =
            json!({"alg": "EdDSA", "typ": "lanyard-break-glass+jwt", "kid": key.thumbprint()});
        let claims =
            json!({"aud": "lanyard-dev", "iat": now()?, "exp": now()? + lasts, "jti": fresh()?});
        Ok(key.jws(&header.to_string(), &claims.to_string()))
    };
    let kill = |token: &str| -> Result<String> {
        let bearer = format!("Bearer {token}");
        let body = r#"{"scope": {"charter": "ticket-router"}, "reason": "the login is down"}"#;
        let headers = [("authorization", bearer.as_str())];
        stage.daemon.http("POST", "/v1/kill", &headers, body)
    };
    let answer = kill(&token(&key, 600)?)?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let orders = stage.oncall.ok(&["kill", "list"])?;
    assert!(orders.contains("alice by break-glass key"), "{orders}");

    // Not for long, not by another key, and for nothing else.
    for bad in [token(&key, 601)?, token(&Key::fresh()?, 600)?] {
        let answer = kill(&bad)?;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    let bearer = format!("Bearer {}", token(&key, 600)?);
    let headers = [("authorization", bearer.as_str())];
    let (status, _) = stage.post("/oauth2/introspect", &headers, &[("token", "x")])?;
    assert_eq!(status, 401);
    // What hardware signs is the same.
    let folder = stage.directory.path();
    let program = folder.join("sign");
    std::fs::write(
        &program,
        "#!/bin/sh\ncat > \"$(dirname \"$0\")/message\"\nhead -c 64 /dev/zero\n",
    )?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode)?;
    let signed = stage.agent.ok(&[
        "kill",
        "break-glass",
        "--audience",
        "lanyard-dev",
        "--public-key",
        &key.public(),
        "--sign-with",
        &program.to_string_lossy(),
    ])?;
    let message = std::fs::read(folder.join("message"))?;
    let (asked, _) = signed.rsplit_once('.').context("no signature")?;
    assert_eq!(asked.as_bytes(), message);
    let header = asked.split('.').next().unwrap_or_default();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?;
    assert_eq!(header.get("kid"), Some(&json!(key.thumbprint())));
    let by_hand = format!("{asked}.{}", key.sign(&message));
    assert!(kill(&by_hand)?.starts_with("HTTP/1.1 200"));
    Ok(())
}

/// A person of the tests' own, at a broker that asks for fresh logins.
struct Carol {
    stage: Stage,
    key: Key,
}

impl Carol {
    fn new(fresh: &str) -> Result<Self> {
        let key = Key::fresh()?;
        let mut stage = Stage::set()?;
        std::fs::write(stage.directory.path().join("login.json"), key.jwks())?;
        let people = "issuers:\n  - issuer: https://login.example\n    kind: operators\n    jwks_file: login.json\n    \
                      roles: {on-call: [oncall], approver: [support-leads]}\n";
        let fresh = format!("fresh_login: {fresh}\ntargets:");
        let change = |config: String| {
            let config = config.replacen("targets:", &fresh, 1);
            config.replacen("issuers:\n", people, 1)
        };
        stage.daemon = stage.daemon.serve_again(change)?;
        let context = json!({"endpoint": stage.url(""), "ca_file": "../dev-ca.pem",
            "identity": {"token_file": "carol.jwt"}});
        let file = stage.directory.path().join("contexts/carol.json");
        std::fs::write(file, context.to_string())?;
        Ok(Self { stage, key })
    }

    /// Logs in so many seconds ago, that strongly.
    fn logged_in(&self, ago: u64, acr: &str) -> Result<Cli> {
        let claims = json!({"iss": "https://login.example", "sub": "carol", "aud": "lanyard-dev", "iat": now()?,
            "exp": now()? + 300, "jti": fresh()?, "groups": ["oncall", "support-leads"],
            "auth_time": now()? - ago, "acr": acr});
        let folder = self.stage.directory.path().join("contexts");
        std::fs::write(folder.join("carol.jwt"), self.key.token(&claims))?;
        // The session of an earlier login is none of this one.
        match std::fs::remove_dir_all(folder.join("state")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        self.stage.daemon.cli("carol")
    }
}

fn is_sent_to_log_in(answer: &lanyard_rig::Answer) {
    assert_eq!(answer.code, 4, "{}", answer.stderr);
    assert!(answer.stderr.contains("fresh login"), "{}", answer.stderr);
}

#[test]
fn a_rearm_takes_a_fresh_login_where_the_configuration_says_so() -> Result<()> {
    let carol = Carol::new("{rearm: {within: 5m, acr: [phr]}}")?;
    let kill = [
        "kill",
        "--charter",
        "ticket-router",
        "--reason",
        "x",
        "--yes",
    ];
    carol.stage.oncall.ok(&kill)?;
    let order = carol.stage.oncall.ok(&["-o", "name", "kill", "list"])?;
    let rearm = [
        "rearm",
        order.as_str(),
        "--stage",
        "plan",
        "--reason",
        "over",
    ];
    for (ago, acr) in [(301, "phr"), (0, "pwd")] {
        is_sent_to_log_in(&carol.logged_in(ago, acr)?.run(&rearm)?);
    }
    carol.logged_in(0, "phr")?.ok(&rearm)?;
    // One person alone lifts an order that reaches nothing: that takes no older login.
    let typo = "kill --charter ticket-ruter --reason x --yes";
    let said = carol
        .stage
        .oncall
        .fails(10, &typo.split(' ').collect::<Vec<_>>())?;
    let order = said.split_whitespace().find(|word| word.starts_with("K-"));
    let order = order.context("no order")?;
    let withdraw = ["kill", "withdraw", order, "--reason", "a typo"];
    is_sent_to_log_in(&carol.logged_in(301, "phr")?.run(&withdraw)?);
    carol.logged_in(0, "phr")?.ok(&withdraw)?;
    Ok(())
}

#[test]
fn a_plan_of_high_risk_takes_a_fresh_login_where_the_configuration_says_so() -> Result<()> {
    let carol = Carol::new("{high_risk_approval: {within: 5m}}")?;
    let task = carol.stage.task()?;
    let (_, digest, approval) = carol.stage.plan(&task, "move ticket 7")?;
    let approve = [
        "approval",
        "approve",
        &approval,
        "--digest",
        &digest,
        "--comment",
        "seen",
    ];
    is_sent_to_log_in(&carol.logged_in(301, "pwd")?.run(&approve)?);
    // An issuer that does not say when is not believed to have said it just now.
    is_sent_to_log_in(&carol.stage.daemon.cli("alice")?.run(&approve)?);
    carol.logged_in(10, "pwd")?.ok(&approve)?;
    Ok(())
}
