//! Checks the charters as the daemon would read them, with lint's findings.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use lanyard_charter::{World, is_charter_file, parse_with};
use lanyard_document::{MAX_DOCUMENT_BYTES, Severity};
use lanyard_plan::PolicyFolder;
use lanyard_secret_file::read_plain_up_to;
use lanyard_vocabulary::name::Name;

use super::Found;
use crate::causes::chain;
use crate::config::Config;
use crate::drill;

/// The charters that would be in force.
pub(super) fn look(found: &mut Found, config: &Config) -> String {
    let at = &["charters"];
    let mut names: BTreeMap<Name, String> = BTreeMap::new();
    if let Some(Some((own, _))) = found.note(at, drill::prepared(config)) {
        names.insert(own.name, "the broker's own drills".to_owned());
    }
    let objects = match &config.charter_objects {
        Some(_) => vec!["those of Kubernetes, which are not looked at".to_owned()],
        None => Vec::new(),
    };
    if let Some(folder) = &config.charters {
        files(found, (folder, &config.world), &mut names);
    }
    let names = names.keys().filter(|name| name.as_str() != drill::CHARTER);
    super::listed(names.map(ToString::to_string).chain(objects))
}

/// Reads the files of the directory.
fn files(found: &mut Found, (folder, world): (&Path, &World), names: &mut BTreeMap<Name, String>) {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let shown = folder.display();
    let entries = entries.map_err(|error| anyhow!("cannot read directory `{shown}`: {error}"));
    let entries = found.note(&["charters"], entries).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| is_charter_file(path));
    files.sort();
    let policies = PolicyFolder::at(folder.to_owned());
    for path in files {
        let name = path.display().to_string();
        let mut say = |severity, line| found.elsewhere.push((severity, line));
        let text = read_plain_up_to(&path, MAX_DOCUMENT_BYTES as u64)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Ok(String::from_utf8(bytes)?));
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                say(
                    Severity::Error,
                    format!("{name}:1:1: error: {}", chain(&error)),
                );
                continue;
            }
        };
        let (charter, findings) = match parse_with(&text, world, &policies) {
            Ok(parsed) => (Some(parsed.charter), parsed.warnings),
            Err(findings) => (None, findings),
        };
        for finding in findings {
            say(finding.severity(), finding.line(&name));
        }
        if let Some(charter) = charter
            && let Some(first) = names.insert(charter.name.clone(), name.clone())
        {
            let charter = charter.name;
            let line = format!(
                "{name}:1:1: error: charter `{charter}` is in `{first}` too: one file for a charter; neither is in force"
            );
            say(Severity::Error, line);
        }
    }
}
