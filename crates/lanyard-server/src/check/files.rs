//! Checks the files that the configuration names: keys, certificates, secrets, and what each target
//! needs on this machine.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use lanyard_core::condition::Reason;
use lanyard_engine::clock::{Clock as _, SystemClock};
use lanyard_identity::spiffe::Bundle;
use lanyard_provider_github::SealingKeys;
use lanyard_secret_file::{Origin, read, read_plain};
use x509_parser::pem::Pem;

use super::Found;
use crate::causes::chain;
use crate::config::Config;
use crate::identity::Place;
use crate::identity::issuer::{IssuerConfig, KeySource};
use crate::targets::TargetConfig;
use crate::tls::TlsFiles;
use crate::unusable::Unusable;

/// A certificate that ends within this many days is a finding.
const CERTIFICATE_WARNING_DAYS: i64 = 30;
const DAY_SECS: i64 = 24 * 3600;

pub(super) async fn look(found: &mut Found, config: &Config) {
    if let Some(tls) = &config.tls {
        certificate(found, tls);
    }
    let identities = &config.identities;
    for (index, issuer) in identities.issuers.iter().enumerate() {
        keys(found, &index.to_string(), issuer).await;
    }
    let roles = config.targets.values().flat_map(TargetConfig::lease_roles);
    let aws = identities.aws.as_ref().map(|aws| aws.open(roles));
    found.note(&["aws_identities", "ca_file"], aws.transpose());
    found.note(&["break_glass"], identities.break_glass(&config.audience));
    if let Some(tickets) = &config.tickets {
        found.note(
            &["kill_tickets", "jwks_file"],
            tickets.open(&config.audience),
        );
    }
    for (at, looked) in config.scrapers.look() {
        found.note(&[at], looked);
    }
    if let Some(path) = &config.plan_sealing_keys {
        found.note(&["plan_sealing_keys"], SealingKeys::read(path));
    }
    if let Some(path) = &config.switch.witness_file {
        found.note(&["witness_file"], above(path));
    }
    if let Some(path) = config.journal.archive() {
        let listed = std::fs::read_dir(path);
        let listed = listed.map_err(|error| {
            let shown = path.display();
            anyhow!("cannot list the directory `{shown}`: {error}; make it, or mount it")
        });
        found.note(&["journal", "archive"], listed);
    }
    if let Some(objects) = &config.charter_objects {
        cluster(found, &["charter_objects", "kubernetes"], &objects.place).await;
    }
    secrets(found, config);
    for (name, target) in &config.targets {
        let at = ["targets", name.as_str()];
        found.note(&at, target.look().await);
        for doubt in target.doubts() {
            found.doubt(&at, doubt.to_owned());
        }
    }
}

/// Checks the secrets of webhooks and signals. Each has a name, by which its place in the
/// configuration is found.
fn secrets(found: &mut Found, config: &Config) {
    let (mut hooks, mut reporters, mut signals) = <(Unusable, Unusable, Unusable)>::default();
    config.webhooks(&mut hooks);
    config.reporters(&mut reporters);
    config.signals.open(&mut signals);
    let parts = [
        ("webhooks", hooks),
        ("reporters", reporters),
        ("alertmanager", signals),
    ];
    for (section, unusable) in parts {
        for reason in unusable.into_reasons() {
            let Reason::PartUnusable { what, why } = reason else {
                continue;
            };
            let name = what.split('`').nth(1).unwrap_or_default();
            let section = match what.split(' ').next() {
                Some("receiver") => "caep_receivers",
                Some("transmitter") => "caep_transmitters",
                Some(_) | None => section,
            };
            let files = ["secret_file", "jwks_file", "authorization_file"];
            let named = files.into_iter().find(|file| {
                found.places.has(&[section, name, file]) || found.places.has(&[section, file])
            });
            let file = named.unwrap_or_default();
            match section {
                "alertmanager" => found.fault(&[section, file], why),
                _ => found.fault(&[section, name, file], why),
            }
        }
    }
}

/// Checks the listeners' certificate and key, and when the certificate ends.
fn certificate(found: &mut Found, tls: &TlsFiles) {
    let (of_certificate, of_key) = (["tls", "certificate"], ["tls", "key"]);
    let pem = found.note(&of_certificate, read_plain(&tls.certificate));
    let key = found.note(&of_key, read(&tls.key, Origin::Configured));
    let (Some(pem), Some(_)) = (pem, key) else {
        return;
    };
    if let Err(error) = tls.acceptor() {
        let why = chain(&error);
        let at = match why.starts_with("the key") {
            true => of_key,
            false => of_certificate,
        };
        found.fault(&at, why);
        return;
    }
    let Some(Some(ends)) = found.note(&of_certificate, ends(&pem)) else {
        return;
    };
    let now = i64::try_from(SystemClock::default().now().as_secs()).unwrap_or(i64::MAX);
    let path = tls.certificate.display();
    let said = |when: &str| {
        format!(
            "the certificate `{path}` {when}: replace it and its key, which the daemon reads again"
        )
    };
    match (ends - now) / DAY_SECS {
        _ if ends <= now => found.fault(&of_certificate, said("has ended")),
        days if days < CERTIFICATE_WARNING_DAYS => {
            found.doubt(&of_certificate, said(&format!("ends in {days} days")));
        }
        _ => {}
    }
}

/// The end of the first certificate, in seconds since the epoch.
fn ends(pem: &[u8]) -> Result<Option<i64>> {
    let Some(first) = Pem::iter_from_buffer(pem).next() else {
        return Ok(None);
    };
    let first = first.context("the certificate is not PEM")?;
    let parsed = first.parse_x509().context("the certificate is not X.509")?;
    Ok(Some(parsed.validity().not_after.timestamp()))
}

async fn keys(found: &mut Found, index: &str, issuer: &IssuerConfig) {
    let (_, keys) = issuer.open();
    found.note(&["issuers", index, "jwks_file"], keys);
    match &issuer.keys {
        KeySource::File(_) => {}
        KeySource::Discovery { ca_file } => {
            let client = crate::identity::discovery::client(ca_file.as_deref());
            found.note(&["issuers", index, "discovery", "ca_file"], client);
        }
        KeySource::BundleEndpoint { ca_file, .. } => {
            let client = crate::identity::discovery::client(ca_file.as_deref());
            found.note(&["issuers", index, "bundle_endpoint", "ca_file"], client);
        }
        KeySource::BundleFile(path) => {
            let parsed = read_plain(path).map_err(anyhow::Error::from);
            let parsed = parsed.and_then(|bytes| {
                Bundle::parse(&bytes).map_err(|error| anyhow!("`{}`: {error}", path.display()))
            });
            found.note(&["issuers", index, "bundle_file"], parsed);
        }
        KeySource::Cluster {
            kubeconfig,
            context,
        } => {
            let place = Place {
                kubeconfig: kubeconfig.clone(),
                context: context.clone(),
            };
            cluster(found, &["issuers", index, "kubernetes"], &place).await;
        }
    }
}

/// Checks what a cluster is reached with, without asking the cluster.
async fn cluster(found: &mut Found, at: &[&str], place: &Place) {
    let (kubeconfig, context) = (place.kubeconfig.as_deref(), place.context.as_deref());
    let looked = lanyard_provider_kubernetes::look(kubeconfig, context).await;
    found.note(at, looked);
}

/// Checks the directory of a file that the daemon writes.
fn above(path: &Path) -> Result<()> {
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    let shown = above.display();
    if !above.is_dir() {
        return Err(anyhow!(
            "there is no directory `{shown}`: make it, or name another place"
        ));
    }
    let may = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(above, may).with_context(|| format!("cannot write in `{shown}`"))
}
