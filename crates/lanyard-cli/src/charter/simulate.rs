//! `lanyard charter simulate`: what a proposed charter would have answered to what was really
//! asked.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use lanyard_charter::Charter;
use lanyard_core::command::{Command, Record, RequestOptions};
use lanyard_core::plan::Plan;
use lanyard_core::question::{Planned, Question, ask};
use lanyard_core::task::Task;
use lanyard_journal::{Cursor, verify};
use lanyard_plan::{Context, Document, PolicySet};
use lanyard_provider_github::sealed_plan::{self, Seals};
use lanyard_vocabulary::count::{counted, verb_for};
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{DecisionId, PlanId, TaskId};
use lanyard_vocabulary::identity::Method;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;

use super::files::{self, Declared};
use crate::Global;
use crate::outcome::Outcome;
use crate::table::{Rows, key, prose, whole};
use crate::terminal::say;

/// The most decisions of a kind that are shown.
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
    asked: RequestOptions,
    allowed: bool,
}

/// The proposed charter's policies, asked about the plans of the data directory.
struct Judge<'a> {
    charter: &'a Charter,
    policies: PolicySet,
    plans: PathBuf,
    /// With the keys of the data directory: those that a configuration names elsewhere are not
    /// known here.
    seals: Seals,
    known: HashMap<PlanId, Planned>,
    /// The number of plans that could not be read any more.
    missing: usize,
}

impl<'a> Judge<'a> {
    fn of(charter: &'a Charter, data_dir: &Path) -> Result<Self, Outcome> {
        let policies = PolicySet::of(charter.policies()).map_err(|faults| {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            Outcome::usage(lines.join("; "))
        })?;
        Ok(Self {
            charter,
            policies,
            plans: data_dir.join("plans"),
            seals: Seals::new(data_dir, None),
            known: HashMap::new(),
            missing: 0,
        })
    }

    /// The plan, with what these policies say of its bytes, or said of it then.
    fn planned(&mut self, task: &Task, plan: &Plan) -> Planned {
        if let Some(known) = self.known.get(&plan.id) {
            return known.clone();
        }
        let name = plan.digest.to_string().replace(':', "-");
        let file = std::fs::read(self.plans.join(name)).ok();
        let bytes = file.and_then(|file| match sealed_plan::parsed(&file) {
            Some(sealed) => self.seals.open(plan.digest, &sealed).ok(),
            None => Some(file),
        });
        let whole = bytes.filter(|bytes| Digest::of(bytes) == plan.digest);
        let document = whole.and_then(|bytes| Document::read(plan.format, &bytes).ok());
        let judgement = match document {
            Some(document) => {
                // Objects without a namespace go where the proposed charter's grant is.
                let grant = self.charter.grants.get(&plan.grant);
                let namespace = grant.and_then(|grant| grant.rights.namespace());
                let plan = Plan {
                    namespace: namespace.map(str::to_owned),
                    ..plan.clone()
                };
                let context = Context { task, plan: &plan };
                Some(self.policies.judge(&document, context))
            }
            None => plan.judged_by(self.charter.policies_digest()).cloned(),
        };
        self.missing += usize::from(judgement.is_none());
        let planned = Planned {
            destructive: plan.destructive.clone(),
            format: Some(plan.format),
            read: judgement.map(|judgement| (plan.reach.clone(), judgement)),
        };
        self.known.insert(plan.id, planned.clone());
        planned
    }
}

#[derive(Default)]
struct Replay {
    tasks: HashMap<TaskId, Task>,
    made: Vec<Made>,
    plans: HashMap<PlanId, Plan>,
    unreadable: u64,
}

pub(crate) fn run(global: &Global, asked: &Simulate) -> Result<(), Outcome> {
    let charters = std::slice::from_ref(&asked.file);
    let world = asked.declared.world_of(global, charters)?;
    let (charter, _) = files::charter(&asked.file, &world)?;
    let replay = replay(asked)?;
    let mut judge = Judge::of(&charter, &asked.data_dir)?;
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
        let question = replay.question(task, made, &mut judge);
        let answer = ask(&charter, &question, made.at);
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
    let mut rows = Rows::of([
        key("change"),
        key("decisions"),
        prose("what", 1, 20),
        whole("for example", 2),
    ]);
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
    say(format_args!(
        "{} of {}: {} unchanged, {} deny to allow, {} allow to deny",
        counted(count.values().sum::<usize>() as u64, "decision"),
        charter.name,
        of("unchanged"),
        of("deny to allow"),
        of("allow to deny")
    ));
    if judge.missing > 0 {
        say(format_args!(
            "{} {} not there any more, and {} taken to pass the policies",
            counted(judge.missing as u64, "plan"),
            verb_for(judge.missing as u64, "is", "are"),
            verb_for(judge.missing as u64, "is", "are")
        ));
    }
    if replay.unreadable > 0 {
        let records = counted(replay.unreadable, "record");
        say(format_args!("passed over {records} of another version"));
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
    let verified = verify(&journal, None, 0).map_err(fault)?;
    let mut replay = Replay::default();
    let mut cursor = Cursor::at(&journal, verified.removed);
    cursor
        .read(verified.size, |entry| {
            match lanyard_records::decode(entry.record) {
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
            // A quota, a pause or an order says nothing about the charter.
            Command::Deny { denial, .. } if denial.rule.is_refusal() => {}
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
                self.plans.insert(plan.id, *plan);
            }
            _ => {}
        }
    }
}

impl Replay {
    /// The same request. What it did with the credential is not in the journal.
    fn question(&self, task: &Task, made: &Made, judge: &mut Judge<'_>) -> Question {
        let taken = made.asked.plan;
        let taken = taken.map(|plan| {
            let plan = self.plans.get(&plan);
            plan.map_or_else(Planned::default, |plan| judge.planned(task, plan))
        });
        Question {
            identity: task.identity.clone(),
            evidence: (task.evidence.method != Method::Named).then(|| task.evidence.clone()),
            environment: task.environment.clone(),
            grant: made.grant.clone(),
            ttl: made.asked.ttl,
            emergency: false,
            version: task.version.clone(),
            ticket: task.ticket.clone(),
            plan: taken.or_else(|| made.asked.proposed.clone().map(Planned::naming)),
            usage: None,
            worst_case: Duration::ZERO,
        }
    }
}
