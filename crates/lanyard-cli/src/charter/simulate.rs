//! `lanyard charter simulate`: what a proposed charter would have answered to what was really asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use lanyard_core::charter::{ActionPattern, Name};
use lanyard_core::command::{Asked, Command, Record};
use lanyard_core::id::{DecisionId, PlanId, TaskId};
use lanyard_core::question::{Planned, Question, ask};
use lanyard_core::task::Task;
use lanyard_core::time::Timestamp;
use lanyard_journal::{Cursor, verify};

use super::files::{self, Declared};
use crate::Global;
use crate::outcome::Outcome;
use crate::output::Rows;

/// How many decisions of a kind are shown.
const SHOWN: usize = 3;

#[derive(Args)]
pub(crate) struct Simulate {
    /// The charter as it is to be.
    file: PathBuf,
    #[command(flatten)]
    declared: Declared,
    /// The data directory whose journal is replayed: a daemon's, or a copy.
    #[arg(long)]
    data_dir: PathBuf,
}

/// A decision that was made.
struct Made {
    id: DecisionId,
    at: Timestamp,
    task: TaskId,
    grant: Name,
    asked: Asked,
    allowed: bool,
}

#[derive(Default)]
struct Replay {
    tasks: HashMap<TaskId, Task>,
    made: Vec<Made>,
    plans: HashMap<PlanId, BTreeSet<ActionPattern>>,
    unreadable: u64,
}

pub(crate) fn run(global: &Global, asked: &Simulate) -> Result<(), Outcome> {
    let world = asked.declared.world()?;
    let (charter, _) = files::charter(&asked.file, &world)?;
    let replay = replay(asked)?;
    let mut changed: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for made in &replay.made {
        let Some(task) = replay
            .tasks
            .get(&made.task)
            .filter(|task| task.charter == charter.name)
        else {
            continue;
        };
        let answer = ask(&charter, &replay.question(task, made), made.at);
        let (kind, why) = match (made.allowed, &answer.verdict) {
            (true, Ok(_)) | (false, Err(_)) => ("unchanged", String::new()),
            (false, Ok(_)) => ("deny to allow", format!("grant {}", made.grant)),
            (true, Err(denial)) => ("allow to deny", format!("grant {}: {denial}", made.grant)),
        };
        *count.entry(kind).or_default() += 1;
        if !why.is_empty() {
            changed
                .entry((kind, why))
                .or_default()
                .push(made.id.to_string());
        }
    }
    let mut rows = Rows::new(&["change", "decisions", "what", "for example"]);
    for ((kind, why), ids) in &changed {
        let shown: Vec<&str> = ids.iter().take(SHOWN).map(String::as_str).collect();
        rows.push([
            (*kind).to_owned(),
            ids.len().to_string(),
            why.clone(),
            shown.join(" "),
        ]);
    }
    rows.print(global.output);
    let of = |kind| count.get(kind).copied().unwrap_or_default();
    eprintln!(
        "{} decisions of {}: {} unchanged, {} deny to allow, {} allow to deny",
        count.values().sum::<usize>(),
        charter.name,
        of("unchanged"),
        of("deny to allow"),
        of("allow to deny")
    );
    if replay.unreadable > 0 {
        eprintln!(
            "{} records are of another version and were passed over",
            replay.unreadable
        );
    }
    if changed.is_empty() {
        Ok(())
    } else {
        Err(Outcome::Negative)
    }
}

fn replay(asked: &Simulate) -> Result<Replay, Outcome> {
    let journal = asked.data_dir.join("journal");
    let fault = |error| {
        Outcome::usage(format!(
            "the journal in {} cannot be read: {error}",
            journal.display()
        ))
    };
    let size = verify(&journal, 0).map_err(fault)?.size;
    let mut replay = Replay::default();
    let mut cursor = Cursor::at(&journal, 0);
    cursor
        .read(size, |entry| {
            match serde_json::from_slice::<Record>(entry.record) {
                Ok(record) => replay.take_in(record),
                Err(_) => replay.unreadable += 1,
            }
        })
        .map_err(fault)?;
    Ok(replay)
}

impl Replay {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "of all that happens, these are decisions"
    )]
    fn take_in(&mut self, record: Record) {
        let at = record.at;
        match record.command {
            Command::OpenTask { task, .. } => {
                self.tasks.insert(task.id, task);
            }
            Command::BeginMint(intent) => self.made.push(Made {
                id: intent.decision,
                at,
                task: intent.task,
                grant: intent.entry.grant,
                asked: intent.asked,
                allowed: true,
            }),
            Command::Deny {
                decision,
                task: Some(task),
                grant: Some(grant),
                asked,
                ..
            } => self.made.push(Made {
                id: decision,
                at,
                task,
                grant,
                asked,
                allowed: false,
            }),
            Command::SubmitPlan { plan, .. } => {
                self.plans.insert(plan.id, plan.destructive);
            }
            _ => {}
        }
    }
}

impl Replay {
    /// The same request. What it did with the credential is not in the journal.
    fn question(&self, task: &Task, made: &Made) -> Question {
        let taken = made.asked.plan;
        let taken = taken.map(|plan| self.plans.get(&plan).cloned().unwrap_or_default());
        Question {
            identity: task.identity.clone(),
            environment: task.environment.clone(),
            grant: made.grant.clone(),
            ttl: made.asked.ttl,
            emergency: false,
            version: task.version.clone(),
            ticket: task.ticket.clone(),
            plan: taken
                .or_else(|| made.asked.proposed.clone())
                .map(Planned::naming),
            usage: None,
            worst_case: Duration::ZERO,
        }
    }
}
