//! `lanyard task`.

use std::time::Duration;

use clap::{Args, Subcommand};
use lanyard_client::{Client, ClientError, v1};
use lanyard_core::decide::ReasonCode;
use lanyard_document::nearest;
use lanyard_vocabulary::count::{counted, verb_for};
use serde_json::{Value, json};

use crate::charter::list::{has_ended, short};
use crate::lease::{known, shown, subject};
use crate::outcome::Outcome;
use crate::output::{Output, print_one};
use crate::table::{Rows, key, prose, whole};
use crate::terminal::Screen;
use crate::{Global, span, text};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Open a task under a charter.
    Open {
        /// The charter that the task runs under.
        charter: String,
        /// The environment of the task.
        #[arg(long)]
        environment: String,
        /// The reason of the task.
        #[arg(long)]
        reason: String,
        /// The ticket that it belongs to.
        #[arg(long, default_value = "", hide_default_value = true)]
        ticket: String,
        /// The agent's model, where the charter lists the versions that may act.
        #[arg(long, default_value = "", hide_default_value = true)]
        model: String,
        /// The digest of the agent's instructions, as sha256:…
        #[arg(
            long,
            default_value = "",
            hide_default_value = true,
            requires = "model"
        )]
        prompt_digest: String,
        /// Under this task of yours, for another agent: it gets what both charters allow, and ends
        /// with this task.
        #[arg(
            long,
            default_value = "",
            hide_default_value = true,
            requires = "delegate"
        )]
        under: String,
        /// The agent that is to run the task: the issuer and the subject.
        #[arg(long = "for", id = "delegate", num_args = 2, value_names = ["ISSUER", "SUBJECT"], requires = "under")]
        delegate: Vec<String>,
    },
    /// List open tasks: those that you opened, or for an operator all of them.
    List(List),
    /// Read a task, and what happened to it.
    Show {
        /// The id of the task to show.
        id: String,
    },
    /// End a task and every lease of it.
    Close {
        /// The id of the task to close.
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
    /// Only tasks of this agent, named as `lanyard kill --agent` takes it
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
            let charter = request.charter.clone();
            match client.open_task(request).await {
                Ok(opened) => opened.task,
                Err(error) => return Err(not_opened(&mut client, error, &charter).await),
            }
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

/// Names the charters that there are for the caller, who may have mistyped the name of one: the
/// caller may read them.
async fn not_opened(client: &mut Client, error: ClientError, charter: &str) -> Outcome {
    let code = error.said().and_then(|said| said.facts.get("reason_code"));
    if code.map(String::as_str) != Some(ReasonCode::NotInForce.as_str()) {
        return error.into();
    }
    match client.list_charters(v1::ListChartersRequest {}).await {
        Ok(listed) => Outcome::ClientThen(error, charters_for(&listed.charters, charter)),
        // The denial is the answer, with or without the names.
        Err(_) => error.into(),
    }
}

/// The charters that a caller can open a task under, and the one that was probably meant.
pub(crate) fn charters_for(listed: &[v1::Charter], asked: &str) -> String {
    let open = listed.iter().filter(|charter| !has_ended(charter));
    let names: Vec<&str> = open.map(|charter| charter.name.as_str()).collect();
    match (names.as_slice(), nearest(asked, names.iter().copied())) {
        ([], _) => "no charter in force names you".to_owned(),
        ([only], _) => format!("the charter in force that names you is {only}"),
        (all, None) => format!("the charters in force that name you are {}", all.join(", ")),
        (all, Some(near)) => format!(
            "the charters in force that name you are {}; did you mean {near}?",
            all.join(", ")
        ),
    }
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
    if tasks.is_empty() && !unknown.is_empty() {
        return known(unknown);
    }
    let is_on_screen = Screen::columns(&std::io::stdout()).is_some();
    let count = tasks.len();
    let older = tasks.iter().filter(|task| is_older(task)).count() as u64;
    rows(tasks, is_on_screen).print(global.output);
    global.hint(format_args!("{} open", counted(count as u64, "task")));
    if older > 0 {
        global.hint(format_args!(
            "{older} of them {} an older revision of the charter: what came into force since is for tasks opened since",
            verb_for(older, "keeps", "keep")
        ));
    }
    known(unknown)
}

/// Tells if the task keeps a revision of its charter that is in force no more.
fn is_older(task: &v1::Task) -> bool {
    !task.in_force_revision.is_empty()
}

/// A line each; below a task that keeps an older revision stands which, on a screen.
fn rows(tasks: Vec<v1::Task>, is_on_screen: bool) -> Rows {
    let mut columns = vec![
        key("task"),
        whole("agent", 1),
        whole("charter", 2),
        whole("in", 3),
        whole("left", 4),
        whole("leases", 6),
        prose("reason", 5, 12),
    ];
    if !is_on_screen {
        columns.push(whole("revision", 7));
    }
    let mut rows = Rows::of(columns);
    for task in tasks {
        let end = task.expire_time.unwrap_or_default().seconds;
        let left = end.saturating_sub(jiff::Timestamp::now().as_second());
        let left = Duration::from_secs(u64::try_from(left).unwrap_or(0));
        let kept = match is_older(&task) {
            true => format!(
                "keeps revision {}; {} is in force",
                short(&task.revision),
                short(&task.in_force_revision)
            ),
            false => String::new(),
        };
        let agent = subject(&task.agent).to_owned();
        let (left, leases) = (span::shown(left), task.live_leases.to_string());
        let cells = [
            task.id,
            agent,
            task.charter,
            task.environment,
            left,
            leases,
            task.reason,
        ];
        if is_on_screen {
            rows.push(cells);
            if !kept.is_empty() {
                rows.note(kept);
            }
        } else {
            let [task, agent, charter, environment, left, leases, reason] = cells;
            rows.push([
                task,
                agent,
                charter,
                environment,
                left,
                leases,
                reason,
                kept,
            ]);
        }
    }
    rows
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

#[cfg(test)]
mod tests {
    use lanyard_client::Time;

    use super::*;

    fn charter(name: &str, expire_time: Option<Time>) -> v1::Charter {
        v1::Charter {
            name: name.to_owned(),
            expire_time,
            ..v1::Charter::default()
        }
    }

    #[test]
    fn u11_a_task_that_keeps_an_older_revision_is_told_from_the_others() {
        let task = |place: u8, in_force: &str| v1::Task {
            id: format!("T-01KBA7M4X8R2V5T9W3Y6Z0C1{place:02}"),
            charter: "ticket-router".to_owned(),
            environment: "production".to_owned(),
            agent: "https://agents.acme.example#agent:router".to_owned(),
            reason: "ticket 7 waits for billing, and nobody knows why".to_owned(),
            revision: format!("sha256:{}", "a".repeat(64)),
            in_force_revision: in_force.to_owned(),
            ..v1::Task::default()
        };
        let newer = format!("sha256:{}", "b".repeat(64));
        let tasks = vec![task(1, ""), task(2, &newer), task(3, "")];
        let shown = rows(tasks.clone(), true).shown(Some(80));
        let lines: Vec<&str> = shown.lines().collect();
        let [_, first, second, below, third] = lines.as_slice() else {
            unreachable!("{shown}");
        };
        for (line, id) in [(first, "C101"), (second, "C102"), (third, "C103")] {
            assert!(line.contains(id) && text::width(line) <= 80, "{shown}");
        }
        assert_eq!(
            below.trim(),
            "keeps revision aaaaaaaaaaaa; bbbbbbbbbbbb is in force"
        );
        // In a pipe a row is a line.
        let piped = rows(tasks, false).shown(None);
        let older: Vec<&str> = piped
            .lines()
            .filter(|line| line.ends_with("bbbbbbbbbbbb is in force"))
            .collect();
        assert_eq!(piped.lines().count(), 4, "{piped}");
        assert!(
            matches!(older.as_slice(), [line] if line.contains("C102")),
            "{piped}"
        );
    }

    #[test]
    fn near_a_mistyped_charter_is_answered_with_those_that_name_the_caller() {
        let ended = Some(Time {
            seconds: 1,
            nanos: 0,
        });
        let two = [
            charter("ticket-router", None),
            charter("invoice-reader", None),
            charter("ticket-routers", ended),
        ];
        let of = |asked: &str| charters_for(&two, asked);
        assert!(of("ticket-routr").ends_with("did you mean ticket-router?"));
        assert!(of("ticket").ends_with("did you mean ticket-router?"));
        // What has ended is offered to nobody.
        assert!(of("ticket-routers").ends_with("did you mean ticket-router?"));
        assert_eq!(
            of("payments"),
            "the charters in force that name you are ticket-router, invoice-reader"
        );
        let one = charters_for(&two[..1], "ticket-routr");
        assert_eq!(one, "the charter in force that names you is ticket-router");
        let none = charters_for(&[charter("a", ended)], "a");
        assert_eq!(none, "no charter in force names you");
    }
}
