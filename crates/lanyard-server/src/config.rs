//! The configuration: turns a YAML file into a [`Config`], or into all of its faults with their
//! positions.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use lanyard_charter::World;
use lanyard_disk::Files;
use lanyard_document::{Code, Diagnostic, Findings, Item, Section, read};
use lanyard_ledger::retention::Retention;
use lanyard_secret_file::{SecretFileError, read_plain_text};
use lanyard_vocabulary::name::Name;
use reqwest::Url;

use crate::bounds::JournalBounds;
use crate::charters::config::{Declared, ObjectsConfig};
use crate::hooks::security_events::ReceiverConfig;
use crate::hooks::{Form, Webhook, security_events};
use crate::identity::IdentityConfig;
use crate::kinds::Kinds;
use crate::scrapers::ScraperConfig;
use crate::signals::SignalConfig;
use crate::signed_message::Secret;
use crate::targets::{self, TargetConfig};
use crate::tls::TlsFiles;
use crate::unusable::Unusable;
use crate::urls::ApprovalUrl;
use crate::values::path;
use crate::{
    address, charters, description, hooks, identity, installation, key_set, signals, urls,
};

/// The configuration of the daemon.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    /// The bounds of the journal's size.
    pub(crate) journal: JournalBounds,
    /// The directory with the charters.
    pub(crate) charters: Option<PathBuf>,
    /// The charters that are Kubernetes objects.
    pub(crate) charter_objects: Option<ObjectsConfig>,
    pub(crate) listen: SocketAddr,
    /// The address of the kill plane, which has threads of its own.
    pub(crate) kill_listen: Option<SocketAddr>,
    /// The address of the metrics endpoint.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// The callers that may read metrics.
    pub(crate) scrapers: ScraperConfig,
    pub(crate) tls: Option<TlsFiles>,
    /// The offline keys whose tickets can give kill orders.
    pub(crate) tickets: Option<TicketConfig>,
    /// The receivers of outgoing webhooks.
    pub(crate) webhooks: Vec<HookConfig>,
    /// The systems that may report actions by signed messages.
    pub(crate) reporters: Vec<HookConfig>,
    /// The systems that may give kill orders.
    pub(crate) signals: SignalConfig,
    /// The receivers of a security event for every kill order.
    pub(crate) receivers: Vec<ReceiverConfig>,
    /// The issuer (`iss`) of Lanyard's own tokens.
    pub(crate) issuer: String,
    /// The audience (`aud`) that presented identity tokens must have.
    pub(crate) audience: String,
    /// The trusted issuers, and how their tokens are verified.
    pub(crate) identities: IdentityConfig,
    /// The configuration of the kill switch.
    pub(crate) switch: SwitchConfig,
    /// The page on which people decide about an approval.
    pub(crate) approval_url: Option<ApprovalUrl>,
    /// The file of the keys that seal stored plans; a file in the data directory by default.
    pub(crate) plan_sealing_keys: Option<PathBuf>,
    pub(crate) targets: BTreeMap<Name, TargetConfig>,
    /// The environments and targets, which charters may name.
    pub(crate) world: World,
}

/// The configuration of the kill switch.
#[derive(Debug)]
pub(crate) struct SwitchConfig {
    /// The file with the journal's checkpoint.
    pub(crate) witness_file: Option<PathBuf>,
    /// The time for which a signing key signs.
    pub(crate) rotate_signing_keys_every: Duration,
    /// The interval of drills.
    pub(crate) drill_every: Duration,
    /// The time for which the plan role must have been issued again before the apply role can be
    /// re-armed.
    pub(crate) rearm_soak: Duration,
}

/// The keys of kill tickets, and the withdrawn tickets.
#[derive(Debug)]
pub(crate) struct TicketConfig {
    pub(crate) jwks: PathBuf,
    pub(crate) withdrawn: BTreeSet<String>,
}

/// The other side of a webhook.
#[derive(Debug)]
pub(crate) struct HookConfig {
    name: Name,
    secret_file: PathBuf,
    /// The URL of an outgoing webhook.
    url: Option<Url>,
}

/// The reason why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read, for this reason.
    #[error("{0}")]
    Unreadable(String),
    /// The faults, one line each with its position.
    #[error("{}", .0.join("; "))]
    Faults(Vec<String>),
}

/// Loads the file. Relative paths in it are relative to its folder.
///
/// # Errors
/// See [`ConfigError`].
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    load_with(path, Kinds::default())
}

/// Loads the file, where targets may be of these kinds too.
///
/// # Errors
/// See [`ConfigError`].
pub(crate) fn load_with(path: &Path, kinds: Kinds) -> Result<Config, ConfigError> {
    let text = text(path)?;
    let base = path.parent().unwrap_or(Path::new("."));
    parse_with(&text, base, kinds).map_err(|faults| {
        let name = path.display().to_string();
        ConfigError::Faults(faults.iter().map(|fault| fault.line(&name)).collect())
    })
}

/// Reads the file's text.
///
/// # Errors
/// Why it cannot be read, and what to do.
pub(crate) fn text(path: &Path) -> Result<String, ConfigError> {
    let shown = path.display();
    read_plain_text(path).map_err(|error| {
        let is_denied = matches!(&error, SecretFileError::Read { source, .. }
            if source.kind() == ErrorKind::PermissionDenied);
        ConfigError::Unreadable(if path.is_dir() {
            format!(
                "configuration `{shown}` is a directory: name the file in it, `{}`",
                path.join("lanyardd.yaml").display()
            )
        } else if error.is_missing() && path.with_file_name(installation::LIST).exists() {
            format!(
                "there is no configuration `{shown}`: `lanyardd init` was interrupted there; run it again"
            )
        } else if error.is_missing() {
            format!(
                "there is no configuration `{shown}`: name one with --config, or make an installation with `lanyardd init DIR`"
            )
        } else if is_denied {
            let user = rustix::process::geteuid().as_raw();
            format!(
                "cannot read configuration `{shown}`: permission denied for user {user}; let that user read the file and \
                 enter its directory, or run this as another user"
            )
        } else {
            format!("cannot read configuration: {error}")
        })
    })
}

fn parse_with(text: &str, base: &Path, kinds: Kinds) -> Result<Config, Vec<Diagnostic>> {
    let root = read(text).map_err(|fault| vec![fault])?;
    let findings = Findings::default();
    let shape = description::shape(kinds);
    let config = config(findings.item(&root, &shape), base, kinds);
    let faults = findings.sorted();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        Some(_) | None => Err(faults),
    }
}

pub(crate) fn config(root: Item<'_>, base: &Path, kinds: Kinds) -> Option<Config> {
    let top = root.section()?;
    let file = |name| top.get(name).map(|item| path(item, base));
    let text = |name| Some(top.get(name)?.text()?.to_owned());
    let data_dir = file("data_dir").flatten();
    let (charters, objects) = (file("charters"), top.get("charter_objects"));
    let tls = top.get("tls").and_then(|item| tls(item, base));
    let listen = top.get("listen");
    let listen = listen.and_then(|item| address(item, tls.as_ref()));
    let kill_listen = top.get("kill_listen");
    let kill_listen = kill_listen.and_then(|item| address(item, tls.as_ref()));
    let metrics_listen = top.get("metrics_listen");
    let scrapers = ScraperConfig::read(&top, base);
    let metrics_listen =
        metrics_listen.and_then(|item| scrapers.asked_at(item, address(item, tls.as_ref())?));
    let tickets = top.get("kill_tickets");
    let tickets = tickets.and_then(|item| kill_tickets(item, base));
    let webhooks = top.get("webhooks").map(|item| hooks(item, base, true));
    let reporters = top.get("reporters").map(|item| hooks(item, base, false));
    let signals = signals::config(&top, base);
    let receivers = top.get("caep_receivers");
    let receivers = receivers.map(|item| security_events::config(item, base));
    let (issuer, audience) = (text("issuer"), text("audience"));
    let switch = switch(&top, base);
    let journal = top
        .get("journal")
        .map(|item| JournalBounds::read(item, base));
    let plan_sealing_keys = file("plan_sealing_keys").flatten();
    let identities = identity::config::identities(&top, base);
    let approval_url = top.get("approval_url").map(urls::approval_url);
    let (environments, targets) = (top.get("environments"), top.get("targets"));
    let mut world = environments.map_or_else(World::default, |item| {
        World::of_environments(item, kinds.grants)
    });
    world.more_kinds = kinds.grants;
    let targets = targets.map(|item| targets::targets(item, base, (kinds, &mut world)));
    let (targets, identities) = (targets?, identities?);
    world.own_namespaces.extend(own_namespace());
    let declared = Declared {
        issuers: &identities.issuers,
        targets: targets.keys().cloned().collect(),
        environments: &world.environments,
    };
    let listens = |item: Item<'_>| address(item, tls.as_ref());
    let objects = objects.map(|item| charters::config::objects(item, base, (&declared, listens)));
    Some(Config {
        data_dir: data_dir?,
        journal: journal.unwrap_or_else(|| Some(JournalBounds::default()))?,
        charters: match charters {
            Some(read) => Some(read?),
            None => None,
        },
        charter_objects: match objects {
            Some(read) => Some(read?),
            None => None,
        },
        listen: listen?,
        kill_listen,
        metrics_listen,
        scrapers,
        tls,
        tickets,
        webhooks: webhooks.unwrap_or_default(),
        reporters: reporters.unwrap_or_default(),
        signals,
        receivers: receivers.unwrap_or_default(),
        issuer: issuer?,
        audience: audience?,
        switch: switch?,
        plan_sealing_keys,
        approval_url: match approval_url {
            Some(read) => Some(read?),
            None => None,
        },
        identities,
        world,
        targets,
    })
}

/// The shortest time for which a key may sign. A key stays published for a day after it signed, and
/// the keyring publishes 32 at most.
const MIN_SIGNING_TIME: Duration = Duration::from_secs(3600);

/// The namespace of the daemon's pod, if it runs in one.
fn own_namespace() -> Option<String> {
    const FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    let text = read_plain_text(Path::new(FILE)).ok()?;
    Some(text.trim().to_owned())
}

fn switch(top: &Section<'_>, base: &Path) -> Option<SwitchConfig> {
    let witness_file = top.get("witness_file");
    let span = |name| top.get(name).and_then(Item::span_of_time);
    let (drill_every, rearm_soak) = (span("drill_every"), span("rearm_soak"));
    let rotate_signing_keys_every = top.get("rotate_signing_keys_every").and_then(|item| {
        let every = item.span_of_time()?.as_duration();
        if every < MIN_SIGNING_TIME {
            item.report(Code::Value, "a signing key signs for an hour at least");
            return None;
        }
        Some(every)
    });
    Some(SwitchConfig {
        witness_file: witness_file.and_then(|item| path(item, base)),
        rotate_signing_keys_every: rotate_signing_keys_every?,
        drill_every: drill_every?.as_duration(),
        rearm_soak: rearm_soak?.as_duration(),
    })
}

/// Reads a listen address. Without TLS only loopback is allowed.
fn address(item: Item<'_>, tls: Option<&TlsFiles>) -> Option<SocketAddr> {
    let listen = match address::parse(item.text()?) {
        Ok(listen) => listen,
        Err(why) => {
            item.report(Code::Value, why);
            return None;
        }
    };
    if !listen.ip().is_loopback() && tls.is_none() {
        let message = format!("{listen} is not on loopback, and there is no `tls`");
        let finding = item.finding(Code::Listen, message);
        item.f.add(finding.help("name a certificate and a key"));
        return None;
    }
    Some(listen)
}

fn tls(item: Item<'_>, base: &Path) -> Option<TlsFiles> {
    let section = item.section()?;
    let file = |name| path(section.get(name)?, base);
    let (certificate, key) = (file("certificate"), file("key"));
    Some(TlsFiles {
        certificate: certificate?,
        key: key?,
    })
}

/// Reads webhooks, or reporters by webhook: a name, a secret, and a URL if outgoing.
fn hooks(item: Item<'_>, base: &Path, with_url: bool) -> Vec<HookConfig> {
    let hook = |item: Item<'_>| {
        let section = item.section()?;
        let name = section.get("name").and_then(Item::parsed::<Name>);
        let secret = section.get("secret_file").and_then(|item| path(item, base));
        let url = with_url.then(|| section.get("url").and_then(urls::hook_url));
        Some(HookConfig {
            name: name?,
            secret_file: secret?,
            url: match url {
                Some(read) => Some(read?),
                None => None,
            },
        })
    };
    item.items().into_iter().filter_map(hook).collect()
}

impl Config {
    /// The receivers of outgoing webhooks.
    pub(crate) fn webhooks(&self, unusable: &mut Unusable) -> Vec<Webhook> {
        let mut webhooks = Vec::new();
        for hook in &self.webhooks {
            let Some(url) = hook.url.clone() else {
                continue;
            };
            let opened = Secret::load(&hook.secret_file).and_then(|secret| {
                Webhook::new(
                    hook.name.to_string(),
                    url,
                    Form::Webhook(secret),
                    &self.data_dir,
                )
            });
            webhooks.extend(unusable.note(&format!("webhook `{}`", hook.name), opened));
        }
        for receiver in &self.receivers {
            let opened = receiver.open().and_then(|form| {
                let (name, url) = (receiver.name.to_string(), receiver.url.clone());
                Webhook::new(name, url, Form::SecurityEvents(form), &self.data_dir)
            });
            webhooks.extend(unusable.note(&format!("receiver `{}`", receiver.name), opened));
        }
        webhooks
    }

    /// Returns the ledger's settings about the records that it keeps.
    pub(crate) fn retention(&self, disk: &Files) -> Retention {
        let webhooks: Vec<String> = self.webhooks.iter().map(|it| it.name.to_string()).collect();
        let receivers: Vec<String> = self
            .receivers
            .iter()
            .map(|it| it.name.to_string())
            .collect();
        let lanes = hooks::positions(&self.data_dir, &webhooks, &receivers);
        self.journal.retention(disk, lanes)
    }

    /// The systems that may report actions, by name.
    pub(crate) fn reporters(&self, unusable: &mut Unusable) -> BTreeMap<String, Secret> {
        let mut reporters = BTreeMap::new();
        for hook in &self.reporters {
            let secret = Secret::load(&hook.secret_file);
            let what = format!("reporter `{}`", hook.name);
            if let Some(secret) = unusable.note(&what, secret) {
                reporters.insert(hook.name.to_string(), secret);
            }
        }
        reporters
    }
}

fn kill_tickets(item: Item<'_>, base: &Path) -> Option<TicketConfig> {
    let section = item.section()?;
    let jwks = section.get("jwks_file").and_then(|item| path(item, base));
    let withdrawn = section.get("withdrawn").map(Item::texts);
    Some(TicketConfig {
        jwks: jwks?,
        withdrawn: withdrawn.unwrap_or_default(),
    })
}

impl TicketConfig {
    pub(crate) fn open(&self, audience: &str) -> Result<lanyard_identity::Tickets> {
        Ok(lanyard_identity::Tickets::new(
            audience.to_owned(),
            key_set::read("kill tickets", &self.jwks)?,
            self.withdrawn.clone(),
        ))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use lanyard_document::render;
    use lanyard_vocabulary::id::ApprovalId;

    use super::*;

    fn parse(text: &str, base: &Path) -> Result<Config, Vec<Diagnostic>> {
        parse_with(text, base, Kinds::default())
    }

    pub(crate) const GOOD: &str = "data_dir: data\ncharters: charters\nlisten: 127.0.0.1:0\nissuer: https://lanyard.example\n\
        audience: lanyard\nissuers: []\nenvironments: {staging: sandbox}\ntargets: {tickets: {kind: token}}\n";

    pub(crate) fn parsed(text: &str) -> Config {
        match parse(text, Path::new("")) {
            Ok(config) => config,
            Err(faults) => panic!("{faults:?}"),
        }
    }

    pub(crate) fn first_fault(text: &str) -> String {
        let faults = parse(text, Path::new("/x")).err().unwrap();
        faults.first().unwrap().line("lanyardd.yaml")
    }

    #[test]
    fn the_page_of_approvals_has_a_place_for_the_id() {
        let with = |url: &str| format!("{GOOD}approval_url: '{url}'\n");
        let read = parse(&with("https://desk.example/{approval}"), Path::new("/x")).unwrap();
        let page = read.approval_url.unwrap().of(ApprovalId::from_bits(1));
        assert!(page.starts_with("https://desk.example/A-"), "{page}");
        let fault = first_fault(&with("https://desk.example/"));
        assert!(
            fault.ends_with("expected {approval} where the id belongs"),
            "{fault}"
        );
        let fault = first_fault(&with("http://desk.example/{approval}"));
        assert!(fault.contains("expected an https URL"), "{fault}");
    }

    #[test]
    fn a_good_one_is_read() {
        let config = parse(GOOD, Path::new("/etc/lanyard")).unwrap();
        assert_eq!(config.data_dir, Path::new("/etc/lanyard/data"));
    }

    #[test]
    fn s01_s33_what_is_said_of_people_at_several_issuers_holds_together() {
        let issuer = |name: &str, kind: &str, more: &str| {
            format!("{{issuer: 'https://{name}', kind: {kind}, jwks_file: keys{more}}}")
        };
        let with = |issuers: &[String]| {
            let all = issuers.join(", ");
            GOOD.replacen("issuers: []", &format!("issuers: [{all}]"), 1)
        };
        let agents = |more: &str| issuer("agents", "agents", more);
        let people = |name: &str, more: &str| issuer(name, "operators", more);
        let good = [
            agents(", sponsor: {issuer: 'https://one', by: name, claim: on_behalf_of}"),
            people("one", ", directory: corp, person_claim: email"),
            people("two", ", directory: corp, person_claim: upn"),
            people("three", ", directory: partners, person_claim: sub"),
        ];
        let read = parse(&with(&good), Path::new("/x")).unwrap();
        assert!(crate::identity::people::doubts(&read.identities.issuers).is_empty());
        // Said at the start.
        let bare = parse(&with(&[agents(""), people("four", "")]), Path::new("/x")).unwrap();
        let told = crate::identity::people::doubts(&bare.identities.issuers);
        let [told] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert!(
            told.contains("`https://four`") && told.contains("two votes"),
            "{told}"
        );
        let cases = [
            (
                vec![agents(", sponsor: {issuer: 'https://one'}")],
                "is not an operators' issuer of this configuration",
            ),
            (
                vec![
                    agents(", sponsor: {issuer: 'https://agents'}"),
                    people("one", ""),
                ],
                "is not an operators' issuer of this configuration",
            ),
            (
                vec![
                    agents(", sponsor: {issuer: 'https://one', by: name}"),
                    people("one", ""),
                ],
                "gives none",
            ),
            (
                vec![people("one", ", sponsor: {issuer: 'https://one'}")],
                "`sponsor` is for agents' issuers",
            ),
            (vec![agents(", directory: corp")], "are for people"),
            (
                vec![
                    people("one", ", directory: corp"),
                    people("two", ", directory: corp, person_claim: email"),
                ],
                "no claim that says which person of it",
            ),
            (
                vec![people("one", ", directory: corp")],
                "no claim that says which person of it",
            ),
            (
                vec![people("one", ", person_claim: email")],
                "does not say of which directory",
            ),
            (
                vec![
                    agents(", sponsor: {issuer: 'https://one'}"),
                    people("one", ", directory: corp, person_claim: email"),
                ],
                "tells people apart by `email`",
            ),
            (
                vec![agents(", sponsor: {claim: sponsor}")],
                "the field `issuer` is missing here",
            ),
        ];
        for (issuers, expected) in cases {
            let line = first_fault(&with(&issuers));
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn operators_by_service_account_look_and_stop_and_are_named_exactly() {
        let with =
            |issuer: &str| GOOD.replacen("issuers: []", &format!("issuers: [{{{issuer}}}]"), 1);
        let cluster = |operators: &str| {
            with(&format!(
                "issuer: 'https://c', kind: agents, kubernetes: {{}}, operators: {operators}"
            ))
        };
        let good = "{viewer: ['system:serviceaccount:a:b'], on-call: ['system:serviceaccount:a:b', 'system:serviceaccount:a:c.d']}";
        parse(&cluster(good), Path::new("/x")).unwrap();
        for (operators, says) in [
            (
                "{viewer: ['system:serviceaccount:a:*']}",
                "is not a service account",
            ),
            (
                "{viewer: ['system:serviceaccount:a']}",
                "is not a service account",
            ),
            ("{viewer: [alice]}", "is not a service account"),
            ("{approver: ['system:serviceaccount:a:b']}", "viewer"),
            ("{admin: ['system:serviceaccount:a:b']}", "viewer"),
        ] {
            let fault = first_fault(&cluster(operators));
            assert!(fault.contains(says), "{operators}: {fault}");
        }
        let file = with(
            "issuer: 'https://c', kind: agents, jwks_file: k, operators: {viewer: ['system:serviceaccount:a:b']}",
        );
        let fault = first_fault(&file);
        assert!(fault.contains("service accounts of a cluster"), "{fault}");
        let people = with(
            "issuer: 'https://c', kind: operators, kubernetes: {}, operators: {viewer: ['system:serviceaccount:a:b']}",
        );
        let fault = first_fault(&people);
        assert!(fault.contains("a field of an agents' issuer"), "{fault}");
    }

    #[test]
    fn s32_the_names_of_agents_are_over_exact_identities_of_one_agent_each() {
        let with = |agents: &str| format!("{GOOD}agents: {agents}\n");
        let good = "[{name: router, identities: [{issuer: 'https://a', subject: one}, {spiffe: 'spiffe://acme/two'}]}]";
        let config = parse(&with(good), Path::new("/x")).unwrap();
        let names: BTreeSet<String> = config
            .identities
            .agents
            .iter()
            .map(|(identity, name)| format!("{name} {identity}"))
            .collect();
        let expected = [
            "router https://a#one",
            "router spiffe://acme#spiffe://acme/two",
        ];
        assert_eq!(names, expected.map(str::to_owned).into());
        let one = "{issuer: 'https://a', subject: one}";
        let cases = [
            (
                format!("[{{name: a, identities: [{one}]}}, {{name: b, identities: [{one}]}}]"),
                "is an identity of the agent `a` already",
            ),
            (
                format!("[{{name: a, identities: [{one}]}}, {{name: a, identities: []}}]"),
                "is listed twice",
            ),
            (
                "[{name: a, identities: [{issuer: 'https://a', subject: 'x:*'}]}]".to_owned(),
                "identities are exact",
            ),
            (
                "[{name: a, identities: [{spiffe: nonsense}]}]".to_owned(),
                "is not a SPIFFE ID",
            ),
        ];
        for (agents, expected) in cases {
            let line = first_fault(&with(&agents));
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn times_of_the_configuration_have_bounds() {
        let read = |more: &str| parse(&format!("{GOOD}{more}\n"), Path::new("/x")).is_ok();
        for (most, more) in [
            ("rearm_soak: 24h", "rearm_soak: 1441m"),
            ("drill_every: 2160h", "drill_every: 2161h"),
            (
                "rotate_signing_keys_every: 9600h",
                "rotate_signing_keys_every: 9601h",
            ),
            (
                "rotate_signing_keys_every: 1h",
                "rotate_signing_keys_every: 59m",
            ),
            ("sessions: {agents: 12h}", "sessions: {agents: 721m}"),
            ("sessions: {people: 12h}", "sessions: {people: 721m}"),
            (
                "fresh_login: {rearm: {within: 24h}}",
                "fresh_login: {rearm: {within: 1441m}}",
            ),
        ] {
            assert!(read(most), "{most}");
            assert!(!read(more), "{more}");
        }
    }

    #[test]
    fn each_fault_is_named_with_its_place() {
        let cases = [
            (
                "127.0.0.1:0",
                "0.0.0.0:0",
                "lanyardd.yaml:3:9: error[LC401]: 0.0.0.0:0 is not on loopback, and there is no `tls` (name a certificate and a key)",
            ),
            (
                "127.0.0.1:0",
                "here",
                "lanyardd.yaml:3:9: error[LC015]: `here` is no address to listen on: give an IP address and a port, as `127.0.0.1:7070` or `[::1]:7070`; names are not looked up",
            ),
            (
                "kind: token",
                "kind: tokn",
                "lanyardd.yaml:8:27: error[LC015]: `tokn` is none of token, aws, kubernetes, vault, github (did you mean `token`?)",
            ),
            (
                "sandbox",
                "play",
                "lanyardd.yaml:7:25: error[LC015]: `play` is none of production, sandbox",
            ),
            (
                "audience:",
                "audiense:",
                "lanyardd.yaml:1:1: error[LC012]: the field `audience` is missing here",
            ),
            (
                "issuers: []",
                "issuers: {}",
                "lanyardd.yaml:6:10: error[LC014]: expected a list here",
            ),
            (
                "issuer: https",
                "listen: https",
                "lanyardd.yaml:4:1: error[LC010]: `listen` stands twice: first in line 3",
            ),
            (
                "data_dir: data",
                "data_dir: ''",
                "lanyardd.yaml:1:11: error[LC014]: this must not be empty",
            ),
            (
                "staging:",
                "STAGING:",
                "lanyardd.yaml:7:16: error[LC015]: `STAGING` is not a name: use 1 to 63 lower-case letters, digits and inner dashes",
            ),
            (
                "issuers: []",
                "issuers: [x]",
                "lanyardd.yaml:6:11: error[LC014]: expected fields and values here",
            ),
        ];
        for (from, to, line) in cases {
            assert_eq!(first_fault(&GOOD.replacen(from, to, 1)), line);
        }
    }

    const AWS: &str = "kind: aws, region: eu-west-1, plan_role: 'arn:aws:iam::111122223333:role/lanyard/plan', \
        apply_role: 'arn:aws:iam::111122223333:role/lanyard/apply'";

    #[test]
    fn each_fault_of_a_target_is_named_with_its_place() {
        let cases = [
            (
                "lanyard/apply",
                "lanyard/plan",
                "plan and apply need a role each: what is cut for one must not cut the other",
            ),
            (
                "'arn:aws:iam::111122223333:role/lanyard/plan'",
                "plan",
                "expected the ARN of a role: arn:aws:iam::123456789012:role/name",
            ),
            (
                "region: eu-west-1, ",
                "",
                "the field `region` is missing here",
            ),
            (
                "region:",
                "regon: x, region:",
                "there is no field `regon` here (did you mean `region`?)",
            ),
            (
                "kind: aws, region: eu-west-1",
                "kind: kubernetes, namespace: Leases",
                "`Leases` is not a name: use 1 to 63 lower-case letters, digits and inner dashes",
            ),
        ];
        for (from, to, expected) in cases {
            let text = GOOD.replacen("kind: token", &AWS.replacen(from, to, 1), 1);
            let line = first_fault(&text);
            assert!(
                line.starts_with("lanyardd.yaml:8:") && line.ends_with(expected),
                "{line}"
            );
        }
    }

    #[test]
    fn u17_the_configurations_of_the_pages_are_read() {
        let (mut seen, mut wrong) = (0, String::new());
        for block in lanyard_testkit::pages::blocks() {
            let is_yaml = matches!(block.language.as_deref(), None | Some("yaml"));
            // What a page leaves out stands on another one; of a value that it shortens, any will
            // do.
            let filled = block
                .text
                .replace("sha256:…", &format!("sha256:{}", "0".repeat(64)));
            let lines = filled
                .lines()
                .map(|line| line.split(" #").next().unwrap_or_default());
            let lines = lines.map(|line| line.replace("b…", "b0"));
            let whole: String = lines
                .filter(|line| !line.contains('…'))
                .map(|line| format!("{line}\n"))
                .collect();
            let Some(shown) = lanyard_testkit::pages::parts(&whole).filter(|_| is_yaml) else {
                continue;
            };
            // The agents of a charter are in a list of the same name.
            let of_charter = shown.len() == 1 && shown.contains_key("agents");
            let is_ours = !shown.is_empty()
                && !of_charter
                && shown.keys().all(|name| CONFIGURED.contains(&name.as_str()))
                // The environments of a charter say how far its agent may go.
                && !block.text.contains("autonomy");
            if !is_ours {
                continue;
            }
            seen += 1;
            let mut all = lanyard_testkit::pages::parts(GOOD).unwrap();
            all.extend(shown);
            let text: String = all.into_values().collect();
            // What only the rest of a configuration can hold: another issuer, a target of another
            // page, a certificate.
            let of_another = |fault: &Diagnostic| {
                let said = [
                    "is none of the `targets`",
                    "is not on loopback",
                    "not an operators' issuer",
                    "no issuer is the same",
                ];
                said.iter().any(|one| fault.message.contains(one))
            };
            if let Err(mut faults) = parse(&text, Path::new("")) {
                faults.retain(|fault| !of_another(fault));
                let place = format!("{}:{}", block.page, block.line);
                wrong.push_str(&render(&place, &text, &faults));
            }
        }
        assert!(seen > 15, "only {seen} configurations were found");
        assert!(wrong.is_empty(), "{wrong}");
    }

    /// The configuration fields that pages show.
    const CONFIGURED: &[&str] = &[
        "data_dir",
        "journal",
        "charters",
        "charter_objects",
        "listen",
        "kill_listen",
        "metrics_listen",
        "metrics_bearer_file",
        "metrics_client_ca",
        "tls",
        "issuer",
        "audience",
        "issuers",
        "agents",
        "aws_identities",
        "origins",
        "sessions",
        "fresh_login",
        "quotas",
        "break_glass",
        "approval_url",
        "webhooks",
        "reporters",
        "plan_sealing_keys",
        "witness_file",
        "rearm_soak",
        "drill_every",
        "rotate_signing_keys_every",
        "kill_tickets",
        "alertmanager",
        "caep_transmitters",
        "caep_receivers",
        "environments",
        "targets",
    ];
}
