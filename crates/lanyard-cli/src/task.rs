//! `lanyard task`.

use std::time::Duration;

use clap::{Args, Subcommand};
use lanyard_client::{Client, v1};
use lanyard_core::count::{counted, verb_for};
use serde_json::{Value, json};

use crate::Global;
use crate::lease::{known, shown, subject};
use crate::outcome::Outcome;
use crate::output::{Output, print_one};
use crate::table::{Rows, key, prose, whole};
use crate::terminal::Screen;
use crate::{span, text};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Open a task under a charter.
    Open {
        /// The charter.
        charter: String,
        /// Where.
        #[arg(long)]
        environment: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// The ticket that it belongs to.
        #[arg(long, default_value = "")]
        ticket: String,
        /// The agent's model, where the charter lists the versions that may act.
        #[arg(long, default_value = "")]
        model: String,
        /// The digest of the agent's instructions, as sha256:…
        #[arg(long, default_value = "", requires = "model")]
        prompt_digest: String,
        /// Under this task of yours, for another agent: it gets what both charters allow, and ends with this task.
        #[arg(long, default_value = "", requires = "delegate")]
        under: String,
        /// Who is to run it: the issuer and the subject.
        #[arg(long = "for", id = "delegate", num_args = 2, value_names = ["ISSUER", "SUBJECT"], requires = "under")]
        delegate: Vec<String>,
    },
    /// List open tasks: those that you opened, or for an operator all of them.
    List(List),
    /// Read a task, and what happened to it.
    Show {
        /// The task.
        id: String,
    },
    /// End a task and every lease of it.
    Close {
        /// The task.
        id: String,
    },
}

#[derive(Args)]
pub(crate) struct List {
    /// Under this charter alone.
    #[arg(long)]
    charter: Option<String>,
    /// In this environment alone.
    #[arg(long)]
    environment: Option<String>,
    /// Of this agent alone, named as `lanyard kill --agent` takes it
    #[arg(long)]
    agent: Option<String>,
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let task = match command {
        Command::List(asked) => return list(global, client, asked).await,
        Command::Open {
            charter,
            environment,
            reason,
            ticket,
            model,
            prompt_digest,
            under,
            delegate,
        } => {
            let stated = v1::AgentVersion {
                model,
                prompt_digest,
            };
            let request = v1::OpenTaskRequest {
                charter,
                environment,
                reason,
                ticket,
                version: (!stated.model.is_empty()).then_some(stated),
                parent_task_id: under,
                delegate: match delegate.as_slice() {
                    [issuer, subject] => Some(v1::AgentIdentity {
                        issuer: issuer.clone(),
                        subject: subject.clone(),
                    }),
                    _ => None,
                },
                request_id: String::new(),
            };
            client.open_task(request).await?.task
        }
        Command::Show { id } => {
            let shown = client
                .get_task_timeline(v1::GetTaskTimelineRequest { id })
                .await?;
            return timeline(global, shown);
        }
        Command::Close { id } => {
            client
                .close_task(v1::CloseTaskRequest { id: id.clone() })
                .await?;
            global.note(format_args!("closed {id}; its leases are being revoked"));
            return Ok(());
        }
    };
    print(global, task.unwrap_or_default());
    Ok(())
}

async fn list(global: &Global, mut client: Client, asked: List) -> Result<(), Outcome> {
    let mut request = v1::ListTasksRequest {
        charter: asked.charter.unwrap_or_default(),
        environment: asked.environment.unwrap_or_default(),
        agent: asked.agent.unwrap_or_default(),
        ..Default::default()
    };
    let (mut tasks, mut unknown) = (Vec::new(), Vec::new());
    loop {
        let page = client.list_tasks(request.clone()).await?;
        tasks.extend(page.tasks);
        unknown.extend(page.unknown_names);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    if global.output.is_document() {
        let all = tasks.iter().map(document);
        global.output.document(&all.collect());
        return known(unknown);
    }
    let mut rows = Rows::of([
        key("task"),
        whole("agent", 1),
        whole("charter", 2),
        whole("in", 3),
        whole("left", 4),
        whole("leases", 6),
        prose("reason", 5, 12),
    ]);
    let count = tasks.len();
    let mut older = 0_u64;
    for task in tasks {
        older += u64::from(!task.in_force_revision.is_empty());
        let end = task.expire_time.unwrap_or_default().seconds;
        let left = end.saturating_sub(jiff::Timestamp::now().as_second());
        rows.push([
            task.id,
            subject(&task.agent).to_owned(),
            task.charter,
            task.environment,
            span::shown(Duration::from_secs(u64::try_from(left).unwrap_or(0))),
            task.live_leases.to_string(),
            task.reason,
        ]);
    }
    rows.print(global.output);
    global.note(format_args!("{} open", counted(count as u64, "task")));
    if older > 0 {
        global.note(format_args!(
            "{older} of them {} an older revision of the charter: what came into force since is for tasks opened since",
            verb_for(older, "keeps", "keep")
        ));
    }
    known(unknown)
}

fn document(task: &v1::Task) -> Value {
    json!({
        "task": task.id, "charter": task.charter, "revision": task.revision,
        "in_force_revision": Some(&task.in_force_revision).filter(|it| !it.is_empty()),
        "environment": task.environment, "agent": task.agent, "reason": task.reason, "ticket": task.ticket,
        "open_time": shown(task.open_time), "expire_time": shown(task.expire_time), "live_leases": task.live_leases,
        "under": task.parent_task_ids,
    })
}

fn print(global: &Global, task: v1::Task) {
    let revision = revision(&task);
    print_one(
        global.output,
        &[
            ("task", task.id),
            ("charter", task.charter),
            ("revision", revision),
            ("environment", task.environment),
            ("agent", task.agent),
            ("reason", task.reason),
            ("ticket", task.ticket),
            ("version", version(task.version.as_ref())),
            ("under", task.parent_task_ids.join(" ")),
            ("open", if task.closed { "no" } else { "yes" }.to_owned()),
            ("leases", task.live_leases.to_string()),
        ],
    );
}

fn revision(task: &v1::Task) -> String {
    if task.closed || task.in_force_revision.is_empty() {
        return task.revision.clone();
    }
    format!(
        "{}, which is not in force any more: {} is, and a task opened now gets it",
        task.revision, task.in_force_revision
    )
}

/// The task, and what happened to it from the request to the last action.
fn timeline(global: &Global, shown: v1::GetTaskTimelineResponse) -> Result<(), Outcome> {
    let task = shown.task.unwrap_or_default();
    let events = shown.events.into_iter().map(|event| {
        let time = event.time.unwrap_or_default();
        let at = jiff::Timestamp::new(time.seconds, time.nanos).unwrap_or_default();
        (format!("{at:.3}"), event)
    });
    match global.output {
        Output::Name => println!("{}", text::line(&task.id)),
        Output::Json | Output::Jsonl | Output::Yaml => {
            let events: Vec<_> = events
                .map(|(at, event)| {
                    json!({"at": at, "record": event.index, "kind": event.kind, "what": event.text})
                })
                .collect();
            let open = !task.closed;
            global.output.document(&json!({
                "task": task.id, "charter": task.charter, "environment": task.environment, "agent": task.agent,
                "reason": task.reason, "ticket": task.ticket, "open": open, "events": events,
                "truncated": shown.truncated,
            }));
        }
        Output::Table => {
            print(global, task);
            println!();
            let screen = Screen::columns(&std::io::stdout());
            for (at, event) in events {
                let (before, text) = (format!("{at}  "), text::line(&event.text));
                println!("{}", text::wrapped(&before, &text, before.len(), screen));
            }
            if shown.truncated {
                global.note("and more: lanyard audit query names every record of it");
            }
        }
    }
    Ok(())
}

fn version(stated: Option<&v1::AgentVersion>) -> String {
    match stated {
        Some(stated) if stated.prompt_digest.is_empty() => stated.model.clone(),
        Some(stated) => format!("{} with {}", stated.model, stated.prompt_digest),
        None => String::new(),
    }
}
