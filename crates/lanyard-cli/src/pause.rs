//! `lanyard pause` and `lanyard resume`.

use clap::{Args, Subcommand};
use lanyard_client::v1;
use lanyard_core::document::escaped;
use lanyard_core::time::Ttl;
use serde_json::json;

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::table::{Rows, key, prose, whole};
use crate::terminal::Screen;
use crate::{span, text};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Pause {
    #[command(subcommand)]
    command: Option<Command>,
    /// Everything.
    #[arg(long, conflicts_with_all = ["environment", "target", "charter", "agent", "task", "role"])]
    all: bool,
    /// In this environment.
    #[arg(long, default_value = "")]
    environment: String,
    /// On this target.
    #[arg(long, default_value = "")]
    target: String,
    /// Under this charter.
    #[arg(long, default_value = "")]
    charter: String,
    /// To this agent.
    #[arg(long, default_value = "")]
    agent: String,
    /// Of this task.
    #[arg(long, default_value = "")]
    task: String,
    /// Of this role: plan or apply.
    #[arg(long, default_value = "")]
    role: String,
    /// Why.
    #[arg(long, required = true)]
    reason: Option<String>,
    /// Go on issuing, with a person's approval, where nobody's was asked for.
    #[arg(long)]
    approval: bool,
    /// End it by itself after this time (`30m`, `2h`); only a person ends it otherwise.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    lasts: Option<Ttl>,
}

#[derive(Subcommand)]
enum Command {
    /// The pauses that last, newest first.
    List,
}

#[derive(Args)]
pub(crate) struct Resume {
    /// The pause.
    id: String,
    /// Why.
    #[arg(long)]
    reason: String,
}

pub(crate) async fn run(global: &Global, asked: Pause) -> Result<(), Outcome> {
    if let Some(Command::List) = asked.command {
        return list(global).await;
    }
    let agent = asked.agent.trim().to_owned();
    let reach = v1::Reach {
        environment: asked.environment,
        target: asked.target,
        charter: asked.charter,
        agent: asked.agent,
        task_id: asked.task,
        role: asked.role,
    };
    if reach == v1::Reach::default() && !asked.all {
        return Err(Outcome::usage("name what to pause, or say --all"));
    }
    let demand = if asked.approval {
        v1::Demand::Approval
    } else {
        v1::Demand::Stillness
    };
    let request = v1::CreatePauseRequest {
        reach: Some(reach),
        demand: demand.into(),
        reason: asked.reason.unwrap_or_default(),
        lasts: asked.lasts.map(|lasts| lanyard_client::Span {
            seconds: lasts.as_secs().into(),
            nanos: 0,
        }),
    };
    let answer = global.client().await?.create_pause(request).await?;
    let id = answer.pause.unwrap_or_default().id;
    println!("{id}");
    if answer.reaches_nothing {
        let line = format!(
            "{id} holds and REACHES NOTHING: {}\npause again with the right name; end this one with: lanyard resume {id} --reason …",
            text::line(&answer.unknown_name)
        );
        let facts = json!({
            "pause_id": id,
            "unknown_name": answer.unknown_name,
            "near_names": answer.near_names,
        });
        return Err(Outcome::ReachesNothing(line, facts));
    }
    for identity in answer
        .identities
        .iter()
        .filter(|identity| **identity != agent)
    {
        global.note(text::line(&format!("it reaches {identity}")));
    }
    global.note(format_args!(
        "nothing is revoked; end it with: lanyard resume {id} --reason …"
    ));
    Ok(())
}

pub(crate) async fn resume(global: &Global, asked: Resume) -> Result<(), Outcome> {
    let request = v1::ResumeRequest {
        id: asked.id.clone(),
        reason: asked.reason,
    };
    global.client().await?.resume(request).await?;
    global.note(format_args!("{} is over", escaped(&asked.id)));
    Ok(())
}

async fn list(global: &Global) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let pauses = client.list_pauses(v1::ListPausesRequest {}).await?.pauses;
    let is_on_screen = Screen::columns(&std::io::stdout()).is_some();
    let is_document = global.output.is_document();
    table(pauses, is_document, is_on_screen && !is_document).print(global.output);
    Ok(())
}

/// On a screen, since when and how long still in spans.
fn table(pauses: Vec<v1::Pause>, is_document: bool, is_on_screen: bool) -> Rows {
    // The names of a document's members are those of every version.
    let (over, effect) = match is_document {
        true => ("of", "asks for"),
        false => ("over", "effect"),
    };
    let mut rows = Rows::of([
        key("pause"),
        prose(over, 1, 16),
        whole(effect, 3),
        prose("by", 6, 12),
        whole("since", 5),
        whole("until", 4),
        prose("reason", 2, 12),
    ]);
    for pause in pauses {
        let effect = match (pause.demand(), is_document) {
            (v1::Demand::Unspecified | v1::Demand::Stillness, true) => "nothing issued",
            (v1::Demand::Unspecified | v1::Demand::Stillness, false) => "issues nothing",
            (v1::Demand::Approval, true) => "approval",
            (v1::Demand::Approval, false) => "asks for approval",
        };
        let (since, until) = match (is_on_screen, pause.expire_time) {
            (false, until) => (shown(pause.pause_time), shown(until)),
            (true, None) => (span::since(pause.pause_time), "resumed".to_owned()),
            (true, until) => (
                span::since(pause.pause_time),
                format!("in {}", span::until(until)),
            ),
        };
        rows.push([
            pause.id,
            reach(&pause.reach.unwrap_or_default()),
            effect.to_owned(),
            pause.paused_by,
            since,
            until,
            pause.reason,
        ]);
    }
    rows
}

fn reach(reach: &v1::Reach) -> String {
    let named = [
        ("environment", &reach.environment),
        ("charter", &reach.charter),
        ("target", &reach.target),
        ("agent", &reach.agent),
        ("task", &reach.task_id),
        ("role", &reach.role),
    ];
    let named = named.into_iter().filter(|(_, name)| !name.is_empty());
    let parts: Vec<String> = named.map(|(what, name)| format!("{what} {name}")).collect();
    if parts.is_empty() {
        return "everything".to_owned();
    }
    parts.join(", ")
}
