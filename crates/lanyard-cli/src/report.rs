//! `lanyard report`: what was asked for under each charter by each version of its agents, and what
//! became of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use lanyard_charter::{Grant, Version};
use lanyard_client::{Client, v1};
use lanyard_core::command::{Command as Journaled, Record};
use lanyard_core::decide::Rule;
use lanyard_vocabulary::count::counted;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::{Timestamp, Ttl};
use serde_json::{Value, json};

use crate::charter::files;
use crate::charter::files::Declared;
use crate::lease::known;
use crate::outcome::Outcome;
use crate::table::{Rows, key, prose, whole};
use crate::terminal::say;
use crate::{Global, span, text};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Report what would have been allowed, denied and escalated, in shadow and in force, by
    /// charter and version of the agent.
    Shadow(Shadow),
}

#[derive(Args)]
pub(crate) struct Shadow {
    /// The time to look back: `24h`, `7d`.
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = span::parse)]
    since: Ttl,
    /// Under this charter alone.
    #[arg(long)]
    charter: Option<Name>,
    /// The charter's file: which of its grants nobody asked for is said, too.
    #[arg(long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    declared: Declared,
}

/// The numbers of requests by what became of them.
#[derive(Debug, Default)]
struct Tally {
    tasks: BTreeSet<TaskId>,
    /// Given, or would have been.
    allowed: usize,
    /// The number of allowed requests that people approved.
    escalated: usize,
    /// The number of requests in shadow.
    shadowed: usize,
    denied: usize,
    /// Held up for a while: by a limit, a pause, a kill order, or people who have not answered.
    refused: usize,
    /// By rule, grant and reason.
    why: BTreeMap<(Rule, String, String), usize>,
    grants: BTreeSet<Name>,
    targets: BTreeSet<Name>,
}

/// A charter, and the version of the agent as it stated it.
type Of = (Name, String);

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    let Command::Shadow(asked) = command;
    let charter = match &asked.file {
        Some(file) => {
            let world = asked
                .declared
                .world_of(global, std::slice::from_ref(file))?;
            Some(files::charter(file, &world)?.0)
        }
        None => None,
    };
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
    let since = Timestamp::from_secs(now.saturating_sub(asked.since.as_secs().into()));
    let mut client = global.client().await?;
    let only = asked
        .charter
        .as_ref()
        .or(charter.as_ref().map(|charter| &charter.name));
    if let Some(name) = only {
        is_known(&mut client, name).await?;
    }
    let mut tallies = tallies(&mut client, since, only).await?;
    let unused = charter.as_ref().map(|charter| {
        let is_of = |(name, _): &&Of| *name == charter.name;
        if !tallies.keys().any(|of| is_of(&of)) {
            tallies.insert((charter.name.clone(), String::new()), Tally::default());
        }
        let of_charter = tallies.iter().filter(|(of, _)| is_of(of));
        let used: BTreeSet<&Name> = of_charter.flat_map(|(_, tally)| &tally.grants).collect();
        let grants = charter.grants.values();
        let unused: Vec<&Grant> = grants.filter(|grant| !used.contains(&grant.name)).collect();
        (&charter.name, unused)
    });
    if global.output.is_document() {
        let all = tallies.iter().map(|tally| document(tally, unused.as_ref()));
        global.output.document(&all.collect());
        return Ok(());
    }
    print(global, &tallies);
    for grant in unused.iter().flat_map(|(_, grants)| grants) {
        suggest_narrowing(grant);
    }
    suggest_widening(&tallies);
    Ok(())
}

/// A charter that the broker never had would have the report of one that nobody used.
async fn is_known(client: &mut Client, name: &Name) -> Result<(), Outcome> {
    let request = v1::QueryRecordsRequest {
        charter: name.to_string(),
        kind: "charter-in-force".to_owned(),
        page_size: 1,
        ..v1::QueryRecordsRequest::default()
    };
    known(client.query_records(request).await?.unknown_names)
}

async fn tallies(
    client: &mut Client,
    since: Timestamp,
    only: Option<&Name>,
) -> Result<BTreeMap<Of, Tally>, Outcome> {
    let mut tasks: HashMap<TaskId, Of> = HashMap::new();
    for record in records(client, "open-task").await? {
        if let Journaled::OpenTask { task, .. } = record.command {
            let version = task.version.as_ref().map(Version::to_string);
            tasks.insert(task.id, (task.charter, version.unwrap_or_default()));
        }
    }
    let mut tallies: BTreeMap<Of, Tally> = BTreeMap::new();
    let recent = |record: &Record| record.at >= since;
    let about = |of: &Of| only.is_none_or(|name| of.0 == *name);
    for record in records(client, "begin-mint")
        .await?
        .into_iter()
        .filter(recent)
    {
        let Journaled::BeginMint(intent) = record.command else {
            continue;
        };
        if let Some(of) = tasks.get(&intent.task).filter(|of| about(of)) {
            let tally = tallies.entry(of.clone()).or_default();
            tally.tasks.insert(intent.task);
            tally.allowed += 1;
            tally.escalated += usize::from(intent.approval.is_some());
            tally.grants.insert(intent.entry.grant.clone());
            tally.targets.insert(intent.entry.target.clone());
        }
    }
    for record in records(client, "deny").await?.into_iter().filter(recent) {
        let Journaled::Deny {
            task,
            grant,
            denial,
            ..
        } = record.command
        else {
            continue;
        };
        let of = task.and_then(|task| tasks.get(&task)).cloned();
        let of = of.unwrap_or_else(|| (denial.charter.clone(), String::new()));
        if !about(&of) {
            continue;
        }
        let tally = tallies.entry(of).or_default();
        tally.tasks.extend(task);
        tally.grants.extend(grant.clone());
        match denial.would {
            Some(people) => {
                tally.allowed += 1;
                tally.shadowed += 1;
                tally.escalated += usize::from(people > 0);
            }
            None if denial.rule.is_refusal() => tally.refused += 1,
            None => {
                tally.denied += 1;
                let grant = grant.map(|grant| grant.to_string()).unwrap_or_default();
                let why = (denial.rule, grant, denial.message);
                *tally.why.entry(why).or_default() += 1;
            }
        }
    }
    Ok(tallies)
}

/// Every record of a kind.
async fn records(client: &mut Client, kind: &str) -> Result<Vec<Record>, Outcome> {
    let mut request = v1::QueryRecordsRequest {
        kind: kind.to_owned(),
        page_size: 1000,
        bare: true,
        ..v1::QueryRecordsRequest::default()
    };
    let mut records = Vec::new();
    loop {
        let page = client.query_records(request.clone()).await?;
        let read = page.records.iter();
        records.extend(read.filter_map(|record| serde_json::from_str(&record.body).ok()));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(records);
        }
    }
}

/// A tally for programs. Of the charter whose file was given, with the grants that nobody asked for
/// in any version.
fn document(
    ((charter, version), tally): (&Of, &Tally),
    unused: Option<&(&Name, Vec<&Grant>)>,
) -> Value {
    let why = tally.why.iter();
    let why = why.map(|((rule, grant, message), count)| {
        json!({"rule": rule.to_string(), "grant": grant, "message": message, "count": count})
    });
    let why: Vec<_> = why.collect();
    let mut document = json!({
        "charter": charter, "version": version, "tasks": tally.tasks.len(), "allowed": tally.allowed,
        "escalated": tally.escalated, "shadowed": tally.shadowed, "denied": tally.denied,
        "refused": tally.refused,
        "targets": tally.targets, "denials": why,
    });
    let unused = unused.filter(|(name, _)| *name == charter);
    if let (Some((_, grants)), Value::Object(members)) = (unused, &mut document) {
        let grants = grants.iter();
        let grants = grants.map(|grant| json!({"grant": grant.name, "line": grant.at.line}));
        members.insert("unused_grants".to_owned(), grants.collect());
    }
    document
}

fn print(global: &Global, tallies: &BTreeMap<Of, Tally>) {
    let mut rows = Rows::of([
        key("charter"),
        prose("version", 4, 12),
        whole("tasks", 3),
        whole("allowed", 1),
        whole("escalated", 2),
        whole("in shadow", 2),
        whole("denied", 1),
        whole("refused", 1),
        prose("targets", 5, 12),
    ]);
    for ((charter, version), tally) in tallies {
        let targets: Vec<&str> = tally.targets.iter().map(Name::as_str).collect();
        let version = if version.is_empty() {
            "not stated"
        } else {
            version
        };
        rows.push([
            charter.to_string(),
            version.to_owned(),
            tally.tasks.len().to_string(),
            tally.allowed.to_string(),
            tally.escalated.to_string(),
            tally.shadowed.to_string(),
            tally.denied.to_string(),
            tally.refused.to_string(),
            targets.join(" "),
        ]);
    }
    rows.print(global.output);
}

fn suggest_narrowing(grant: &Grant) {
    say(format_args!(
        "narrow: nobody asked for grant {} (line {}): take it out",
        grant.name, grant.at.line
    ));
}

fn suggest_widening(tallies: &BTreeMap<Of, Tally>) {
    for ((charter, _), tally) in tallies {
        let mut why: Vec<_> = tally.why.iter().collect();
        why.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for ((rule, grant, message), count) in why.into_iter().take(5) {
            let of = if grant.is_empty() {
                String::new()
            } else {
                format!(" of grant {grant}")
            };
            let (message, times) = (text::line(message), counted(*count as u64, "time"));
            say(format_args!(
                "denied {times}{of} under {charter} ({rule}): {message}: widen it, or tell the agent"
            ));
        }
    }
}
