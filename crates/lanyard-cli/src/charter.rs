//! `lanyard charter`: offline.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Subcommand;
use lanyard_core::charter::{EnvironmentKind, Name, TargetKind, World, parse};
use lanyard_core::document::render;

use crate::Global;
use crate::outcome::Outcome;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Say every fault of charter files.
    Lint {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// An environment and its kind, as the daemon declares it: name=production or name=sandbox.
        #[arg(long = "environment", value_parser = pair)]
        environments: Vec<(Name, String)>,
        /// A target and its kind, as the daemon declares it: name=token, name=aws or name=kubernetes.
        #[arg(long = "target", value_parser = pair)]
        targets: Vec<(Name, String)>,
    },
}

fn pair(text: &str) -> Result<(Name, String), String> {
    let (name, kind) = text.split_once('=').ok_or("write name=kind")?;
    Ok((
        name.parse().map_err(|error| format!("{error}"))?,
        kind.to_owned(),
    ))
}

pub(crate) fn run(_global: &Global, command: Command) -> Result<(), Outcome> {
    let Command::Lint {
        files,
        environments,
        targets,
    } = command;
    let world = World {
        environments: kinds(environments, |kind| match kind {
            "production" => Some(EnvironmentKind::Production),
            "sandbox" => Some(EnvironmentKind::Sandbox),
            _ => None,
        })?,
        targets: kinds(targets, |kind| match kind {
            "token" => Some(TargetKind::Token),
            "aws" => Some(TargetKind::Aws),
            "kubernetes" => Some(TargetKind::Kubernetes),
            _ => None,
        })?,
    };
    let mut faulty = 0;
    for file in &files {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Outcome::usage(format!("{name} cannot be read: {error}")))?;
        let findings = match parse(&text, &world) {
            Ok(parsed) => parsed.warnings,
            Err(findings) => {
                faulty += 1;
                findings
            }
        };
        print!("{}", render(&name, &text, &findings));
    }
    eprintln!(
        "{} of {} charters hold together",
        files.len() - faulty,
        files.len()
    );
    if faulty == 0 {
        Ok(())
    } else {
        Err(Outcome::Negative)
    }
}

fn kinds<T>(
    pairs: Vec<(Name, String)>,
    kind: fn(&str) -> Option<T>,
) -> Result<BTreeMap<Name, T>, Outcome> {
    pairs
        .into_iter()
        .map(|(name, text)| match kind(&text) {
            Some(kind) => Ok((name, kind)),
            None => Err(Outcome::usage(format!("`{text}` is not a kind"))),
        })
        .collect()
}
