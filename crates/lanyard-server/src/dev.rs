//! `lanyardd dev`: an issuer, people and charters of its own, made on the first start and kept.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

/// Who there is: the name of the context, its issuer, its subject, its groups.
const PEOPLE: &[(&str, &str, &str, &[&str])] = &[
    (
        "agent",
        "https://agents.dev.lanyard.invalid",
        "agent:router",
        &[],
    ),
    (
        "alice",
        "https://people.dev.lanyard.invalid",
        "alice",
        &["support-leads"],
    ),
    (
        "bob",
        "https://people.dev.lanyard.invalid",
        "bob",
        &["support-leads"],
    ),
    (
        "oncall",
        "https://people.dev.lanyard.invalid",
        "oncall",
        &["oncall"],
    ),
    (
        "oncall-two",
        "https://people.dev.lanyard.invalid",
        "oncall-two",
        &["oncall"],
    ),
    (
        "admin",
        "https://people.dev.lanyard.invalid",
        "admin",
        &["platform"],
    ),
];

/// Makes what is missing; says where the configuration is.
pub(crate) fn prepare(
    directory: &Path,
    listen: SocketAddr,
    kill_listen: Option<SocketAddr>,
    targets: Option<&Path>,
) -> Result<PathBuf> {
    for address in [Some(listen), kill_listen].into_iter().flatten() {
        if !address.ip().is_loopback() {
            bail!("{address} is not on loopback: `lanyardd dev` serves this machine alone");
        }
    }
    let contexts = directory.join("contexts");
    fs::create_dir_all(&contexts)?;
    fs::create_dir_all(directory.join("charters"))?;
    let jwk = key(&directory.join("dev-issuer.pk8"))?;
    let keys = json!({"keys": [jwk]}).to_string();
    fs::write(directory.join("dev-issuer.jwks.json"), keys)?;
    let charter = directory.join("charters/ticket-router.yaml");
    if !charter.exists() {
        fs::write(&charter, include_str!("dev/ticket-router.yaml"))?;
    }
    certificate(directory)?;
    for (name, issuer, subject, groups) in PEOPLE {
        let context = json!({
            "endpoint": format!("https://{listen}"),
            "ca_file": "../dev-ca.pem",
            "identity": {"key_file": "../dev-issuer.pk8", "kid": "dev", "issuer": issuer, "subject": subject,
                "groups": groups, "audience": "lanyard-dev"},
        });
        fs::write(
            contexts.join(format!("{name}.json")),
            format!("{context:#}\n"),
        )?;
    }
    let config = directory.join("lanyardd.yaml");
    let mut text = include_str!("dev/lanyardd.yaml").replace("LISTEN", &listen.to_string());
    if let Some(address) = kill_listen {
        text = text.replacen("tls:", &format!("kill_listen: {address}\ntls:"), 1);
    }
    if let Some(file) = targets {
        let further = lanyard_secret_file::read_plain_text(file)?;
        // `targets` is the last field: what follows it, two spaces in, is in it.
        for line in further.lines() {
            text.push_str("  ");
            text.push_str(line);
            text.push('\n');
        }
    }
    fs::write(&config, text).with_context(|| config.display().to_string())?;
    eprintln!(
        "lanyardd dev: contexts for the command line are in {}",
        contexts.display()
    );
    Ok(config)
}

/// A certificate authority that signs one certificate for this machine, both made on the first start. Its own key
/// is then forgotten.
fn certificate(directory: &Path) -> Result<()> {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let (ca, chain, key) = (
        directory.join("dev-ca.pem"),
        directory.join("dev-tls.pem"),
        directory.join("dev-tls.key"),
    );
    if key.exists() {
        return Ok(());
    }
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params
        .distinguished_name
        .push(DnType::CommonName, "lanyardd dev");
    let own = KeyPair::generate()?;
    let authority = params.self_signed(&own)?;
    let names = [
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    let pair = KeyPair::generate()?;
    let signed =
        CertificateParams::new(names)?.signed_by(&pair, &Issuer::from_params(&params, &own))?;
    fs::write(ca, authority.pem())?;
    fs::write(chain, signed.pem())?;
    let mut file = fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(key)?;
    Ok(file.write_all(pair.serialize_pem().as_bytes())?)
}

/// The issuer's key, made on the first start; readable by nobody else (T51).
fn key(path: &Path) -> Result<serde_json::Value> {
    if !path.exists() {
        let random = ring::rand::SystemRandom::new();
        let Ok(pkcs8) = Ed25519KeyPair::generate_pkcs8(&random) else {
            bail!("the system gives no random bits")
        };
        let mut file = fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(pkcs8.as_ref())?;
    }
    let Ok(pair) = Ed25519KeyPair::from_pkcs8(&fs::read(path)?) else {
        bail!("{} holds no key", path.display())
    };
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    Ok(json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "dev", "x": x}))
}
