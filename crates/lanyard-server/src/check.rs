//! `lanyardd check`: reads the configuration and everything that it names, as a start would, and
//! changes nothing.
//!
//! A start goes on without most of what is looked at here, so that kills and revocations never wait
//! for a file. Here each of them is a finding, with the line of the configuration that names it. No
//! network is used.

mod charters;
mod files;
mod places;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Error, Result};
use lanyard_charter::{EnvironmentKind, TargetKind};
use lanyard_document::{Code, Diagnostic, Severity, Span};
use lanyard_identity::IssuerKind;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::text::visible;

use self::places::Places;
use crate::causes::chain;
use crate::config::{self, Config, ConfigError};
use crate::data_dir::{self, Outlook};
use crate::identity::people;
use crate::terminal;

/// Prints each finding on stderr, one line each, and on stdout what a start would serve.
///
/// # Errors
/// [`ConfigError`], with one line for each fault.
pub(crate) async fn run(path: &Path) -> Result<()> {
    let config = config::load(path)?;
    let text = config::text(path)?;
    let mut found = Found {
        name: path.display().to_string(),
        places: Places::of(&text),
        findings: Vec::new(),
        elsewhere: Vec::new(),
    };
    let data = data_directory(&mut found, &config.data_dir);
    let listeners = listeners(&mut found, &config);
    files::look(&mut found, &config).await;
    let charters = charters::look(&mut found, &config);
    for doubt in people::doubts(&config.identities.issuers) {
        found.doubt(&["issuers"], doubt);
    }
    let (faults, doubts) = found.lines();
    doubts.iter().for_each(terminal::say);
    if !faults.is_empty() {
        return Err(ConfigError::Faults(faults).into());
    }
    let mut rows = vec![(path.display().to_string(), "ready to be served".to_owned())];
    rows.extend(listeners);
    rows.push(("data".to_owned(), data));
    rows.extend(summary(&config));
    rows.push(("charters".to_owned(), charters));
    let width = rows.iter().skip(1).map(|(word, _)| word.len()).max();
    let width = width.unwrap_or_default();
    for (index, (word, text)) in rows.iter().enumerate() {
        match index {
            0 => terminal::print(&format!("{}: {text}", visible(word)))?,
            _ => terminal::print_row(&format!("  {word:width$}  "), &visible(text))?,
        }
    }
    Ok(())
}

/// The findings of a check.
struct Found {
    /// The path of the configuration, as it was given.
    name: String,
    places: Places,
    /// The findings in the configuration.
    findings: Vec<Diagnostic>,
    /// The findings in other files, as lines.
    elsewhere: Vec<(Severity, String)>,
}

impl Found {
    /// Returns the value, or notes a fault at the part of the configuration that names it.
    fn note<T, E: Into<Error>>(&mut self, at: &[&str], outcome: Result<T, E>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(at, chain(&error.into()));
                None
            }
        }
    }

    fn fault(&mut self, at: &[&str], message: String) {
        let span = self.places.span(at);
        self.add(Code::Named, span, message);
    }

    fn doubt(&mut self, at: &[&str], message: String) {
        let span = self.places.span(at);
        self.add(Code::AtTheStart, span, message);
    }

    fn add(&mut self, code: Code, span: Span, message: String) {
        let message = visible(&message);
        self.findings.push(Diagnostic::new(code, span, message));
    }

    /// The lines of errors and those of warnings, each in the order of the file.
    fn lines(mut self) -> (Vec<String>, Vec<String>) {
        self.findings.sort_by_key(|finding| finding.span.start);
        let own = self.findings.iter();
        let own = own.map(|finding| (finding.severity(), finding.line(&self.name)));
        let (faults, doubts): (Vec<_>, Vec<_>) = own
            .chain(self.elsewhere)
            .partition(|(severity, _)| *severity == Severity::Error);
        let lines = |all: Vec<(Severity, String)>| all.into_iter().map(|(_, line)| line).collect();
        (lines(faults), lines(doubts))
    }
}

fn data_directory(found: &mut Found, path: &Path) -> String {
    let at = &["data_dir"];
    let said = match found.note(at, data_dir::look(path)) {
        Some(Outlook::Absent) => ", made by the first start",
        Some(Outlook::Open(mode)) => {
            let message = format!("the directory has mode {mode:04o}: the start makes it 0700");
            found.doubt(at, message);
            ""
        }
        Some(Outlook::Closed) | None => "",
    };
    format!("{}{said}", path.display())
}

/// The addresses and what is served at each.
fn listeners(found: &mut Found, config: &Config) -> Vec<(String, String)> {
    let scheme = match config.tls {
        Some(_) => "https",
        None => "http",
    };
    let objects = config.charter_objects.as_ref();
    let admission = objects.and_then(|objects| objects.admission_listen);
    let all = [
        (&["listen"][..], "everything", Some(config.listen)),
        (&["kill_listen"], "kills", config.kill_listen),
        (&["metrics_listen"], "metrics", config.metrics_listen),
        (
            &["charter_objects", "admission_listen"],
            "admission",
            admission,
        ),
    ];
    let named = all
        .into_iter()
        .filter_map(|(at, what, address)| Some((at, what, address?)));
    let mut known: Vec<SocketAddr> = Vec::new();
    let row = |(at, what, address): (&[&str], &str, SocketAddr)| {
        if address.port() != 0 && known.contains(&address) {
            found.fault(
                at,
                format!("{address} is the address of another listener already"),
            );
        }
        known.push(address);
        let in_use = match TcpListener::bind(address) {
            // A daemon runs, mostly: this is how its next configuration is looked at.
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => ", in use now",
            Err(error) => {
                found.fault(at, format!("cannot listen on {address}: {error}"));
                ""
            }
            Ok(_) => "",
        };
        (what.to_owned(), format!("{scheme}://{address}{in_use}"))
    };
    named.map(row).collect()
}

fn summary(config: &Config) -> Vec<(String, String)> {
    let issuers = |kind| {
        let issuers = config.identities.issuers.iter();
        let issuers = issuers.filter(|issuer| issuer.kind == kind);
        listed(issuers.map(|issuer| issuer.name.clone()))
    };
    let kind = |(name, kind): (&Name, &TargetKind)| format!("{name} ({kind})");
    let environments = config.world.environments.iter().map(|(name, kind)| {
        let kind = match kind {
            EnvironmentKind::Production => "production",
            EnvironmentKind::Sandbox => "sandbox",
        };
        format!("{name} ({kind})")
    });
    [
        ("agents of", issuers(IssuerKind::Agents)),
        ("people of", issuers(IssuerKind::Operators)),
        ("environments", listed(environments)),
        ("targets", listed(config.world.targets.iter().map(kind))),
    ]
    .map(|(word, text)| (word.to_owned(), text))
    .into()
}

fn listed(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests;
