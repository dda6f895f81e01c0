//! `lanyardd dev`: an issuer, people and charters, created at the first start and kept.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lanyard_engine::clock::{Clock as _, SystemClock};
use lanyard_secret_file::Origin;

use crate::installation::authority::{self, Validity};
use crate::installation::context::Caller;
use crate::installation::issuer::SigningKey;
use crate::installation::write_new;
use crate::terminal::say;

/// The lifetime of a development certificate, in days.
const CERTIFICATE_DAYS: i32 = 3650;
/// The id of both issuers' key, in tokens and in the key set.
const KID: &str = "dev";

/// The people: context name, issuer, subject, groups.
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

/// Creates what is missing, and returns the path of the configuration.
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
    made(&contexts, |path| fs::create_dir_all(path))?;
    made(&directory.join("charters"), |path| fs::create_dir_all(path))?;
    let keys = key(&directory.join("dev-issuer.pk8"))?.jwks(KID);
    let write = |text: &str, path: &Path| made(path, |path| fs::write(path, text));
    write(&keys, &directory.join("dev-issuer.jwks.json"))?;
    let charter = directory.join("charters/ticket-router.yaml");
    if !charter.exists() {
        write(include_str!("dev/ticket-router.yaml"), &charter)?;
    }
    certificate(directory)?;
    let endpoint = format!("https://{listen}");
    let kill_endpoint = kill_listen.map(|address| format!("https://{address}"));
    for (name, issuer, subject, groups) in PEOPLE {
        let caller = Caller {
            endpoint: &endpoint,
            kill_endpoint: kill_endpoint.as_deref(),
            ca_file: "../dev-ca.pem",
            key_file: "../dev-issuer.pk8",
            kid: KID,
            issuer,
            audience: "lanyard-dev",
        };
        let context = caller.context(subject, groups);
        write(&context, &contexts.join(format!("{name}.json")))?;
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
    write(&text, &config)?;
    say(format_args!(
        "lanyardd dev: contexts for the command line are in {}",
        contexts.display()
    ));
    Ok(config)
}

/// Creates a file, and names it in the error.
fn made<T>(path: &Path, make: impl FnOnce(&Path) -> io::Result<T>) -> Result<T> {
    make(path).with_context(|| format!("cannot make `{}`", path.display()))
}

/// Creates at the first start a certificate for this machine and the authority that signs it.
fn certificate(directory: &Path) -> Result<()> {
    let key = directory.join("dev-tls.key");
    if key.exists() {
        return Ok(());
    }
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let validity = Validity::of_days(SystemClock::default().now(), CERTIFICATE_DAYS)?;
    let signed = authority::sign("lanyardd dev", &hosts, validity)?;
    for (name, text) in [
        ("dev-ca.pem", &signed.authority),
        ("dev-tls.pem", &signed.certificate),
    ] {
        made(&directory.join(name), |path| fs::write(path, text))?;
    }
    made(&key, |path| write_new(path, signed.key.as_bytes()))
}

/// Creates at the first start the issuer's key, readable by its owner alone (T51).
fn key(path: &Path) -> Result<SigningKey> {
    if path.exists() {
        let read = lanyard_secret_file::read(path, Origin::Written)?;
        return SigningKey::of(read).with_context(|| format!("`{}`", path.display()));
    }
    let key = SigningKey::generate()?;
    made(path, |path| write_new(path, &key.pkcs8))?;
    Ok(key)
}
