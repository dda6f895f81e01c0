//! `lanyard charter lint`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use lanyard_charter::{Charter, World, parse_with};
use lanyard_client::{Client, v1};
use lanyard_document::{Code, Diagnostic, Severity, Span};
use lanyard_plan::PolicyFolder;
use lanyard_vocabulary::count::{counted, verb_for};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;

use super::files::Declared;
use super::list::ENDING_WARNING_SPAN;
use super::report::{File, Format};
use super::{files, report};
use crate::outcome::Outcome;
use crate::{Global, span};

#[derive(Args)]
pub(crate) struct Lint {
    /// Charter files, or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    declared: Declared,
    /// The form in which findings are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Fail on warnings too.
    #[arg(long)]
    deny_warnings: bool,
    /// Write the fixes that change nothing but the fault.
    #[arg(long)]
    fix: bool,
    /// Also ask the broker of this context what at its targets stands in the way: roles, trust,
    /// boundaries, ClusterRoles.
    #[arg(long, value_name = "CONTEXT")]
    against: Option<PathBuf>,
}

pub(crate) async fn run(global: &Global, asked: &Lint) -> Result<(), Outcome> {
    let world = asked.declared.world_of(global, &asked.paths)?;
    let mut broker = match &asked.against {
        Some(context) => Some(Client::connect(context).await?),
        None => None,
    };
    let mut linted = Vec::new();
    let mut names: BTreeMap<Name, String> = BTreeMap::new();
    for path in files::files(&asked.paths)? {
        let name = path.display().to_string();
        let mut text = files::read(&path)?;
        let policies = PolicyFolder::beside(&path);
        if asked.fix
            && let Some(fixed) = fixed(&text, &world, &policies)
        {
            std::fs::write(&path, &fixed)
                .map_err(|error| Outcome::usage(format!("{name} cannot be written: {error}")))?;
            global.note(format_args!("fixed {name}"));
            text = fixed;
        }
        let (charter, mut findings) = match parse_with(&text, &world, &policies) {
            Ok(parsed) => (Some(parsed.charter), parsed.warnings),
            Err(findings) => (None, findings),
        };
        findings.extend(
            charter
                .as_ref()
                .and_then(|charter| ends_soon(charter, &text)),
        );
        if let Some(charter) = charter
            && let Some(first) = names.insert(charter.name.clone(), name.clone())
        {
            findings.push(same_name(&charter.name, &first));
        }
        let sound = findings.iter().all(|it| it.severity() == Severity::Warning);
        if let Some(broker) = broker.as_mut().filter(|_| sound) {
            findings.extend(obstacles(broker, &text).await?);
        }
        linted.push(File {
            name,
            text,
            findings,
        });
    }
    report::print(asked.format, global.output, &linted);
    let count = |severity| {
        let all = linted.iter().flat_map(|file| &file.findings);
        all.filter(|finding| finding.severity() == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let (sound, all) = (linted.iter().filter(|file| file.is_sound()), linted.len());
    global.note(format_args!(
        "{} of {} {} together: {}, {}",
        sound.count(),
        counted(all as u64, "charter"),
        verb_for(all as u64, "holds", "hold"),
        counted(errors as u64, "error"),
        counted(warnings as u64, "warning")
    ));
    if errors > 0 || (asked.deny_warnings && warnings > 0) {
        return Err(Outcome::Negative);
    }
    Ok(())
}

/// A charter that has ended, or ends soon.
fn ends_soon(charter: &Charter, text: &str) -> Option<Diagnostic> {
    let end = charter.expires?;
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
    let now = Timestamp::from_secs(now);
    if end.when > now + ENDING_WARNING_SPAN {
        return None;
    }
    let how = if end.when <= now {
        "ended".to_owned()
    } else {
        format!("ends in {},", span::shown(end.when.since(now)))
    };
    let lines = usize::try_from(end.at.line.saturating_sub(1)).unwrap_or_default();
    let before: usize = text.split_inclusive('\n').take(lines).map(str::len).sum();
    let line = text.get(before..).and_then(|rest| rest.lines().next());
    let line = line.unwrap_or_default();
    let column = usize::try_from(end.at.column.saturating_sub(1)).unwrap_or_default();
    let column = line.char_indices().nth(column).map_or(0, |(at, _)| at);
    let span = Span {
        at: end.at,
        start: before + column,
        end: before + line.trim_end().len(),
    };
    let message = format!("charter {} {how} at {}", charter.name, end.when);
    let help = format!(
        "ask `{}` whether the agent is still needed, and write a later date or remove the file",
        charter.owners.technical
    );
    Some(Diagnostic::new(Code::EndsSoon, span, message).help(help))
}

/// Asks the broker for what it finds at its targets.
async fn obstacles(broker: &mut Client, text: &str) -> Result<Vec<Diagnostic>, Outcome> {
    let request = v1::InspectCharterRequest {
        text: text.to_owned(),
    };
    let found = broker.inspect_charter(request).await?.obstacles;
    let finding = |obstacle: v1::Obstacle| {
        let span = Span::of_line(text, obstacle.line, obstacle.column);
        let message = format!("grant {}: {}", obstacle.grant, obstacle.message);
        Diagnostic::new(Code::NotSetUp, span, message)
    };
    Ok(found.into_iter().map(finding).collect())
}

fn same_name(name: &Name, first: &str) -> Diagnostic {
    let span = lanyard_document::Span::start();
    Diagnostic::new(
        Code::DuplicateCharter,
        span,
        format!("{first} holds a charter {name} too"),
    )
}

/// The text with every fix written in, as often as one makes another possible.
fn fixed(text: &str, world: &World, policies: &PolicyFolder) -> Option<String> {
    let mut now = text.to_owned();
    // Each round removes a fault; a fix that did not would end it.
    for _ in 0..100 {
        let findings = match parse_with(&now, world, policies) {
            Ok(parsed) => parsed.warnings,
            Err(findings) => findings,
        };
        let fix = findings.into_iter().find_map(|finding| finding.fix);
        let Some(fix) = fix else { break };
        let next = fix.apply(&now)?;
        if next == now {
            break;
        }
        now = next;
    }
    (now != text).then_some(now)
}
