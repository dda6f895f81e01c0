//! `lanyard pause` and `lanyard resume`.

use clap::{Args, Subcommand};
use lanyard_client::v1;
use lanyard_vocabulary::text::escaped;
use lanyard_vocabulary::time::Ttl;
use serde_json::json;

use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::{Output, print_one};
use crate::table::{Rows, key, prose, whole};
use crate::terminal::Screen;
use crate::{Global, span, text};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Pause {
    #[command(subcommand)]
    command: Option<Command>,
    /// Pause everything.
    #[arg(long, conflicts_with_all = ["environment", "target", "charter", "agent", "task", "role"])]
    all: bool,
    /// Pause this environment.
    #[arg(long, default_value = "", hide_default_value = true)]
    environment: String,
    /// Pause this target.
    #[arg(long, default_value = "", hide_default_value = true)]
    target: String,
    /// Pause the tasks under this charter.
    #[arg(long, default_value = "", hide_default_value = true)]
    charter: String,
    /// Pause the tasks of this agent.
    #[arg(long, default_value = "", hide_default_value = true)]
    agent: String,
    /// Pause this task alone.
    #[arg(long, default_value = "", hide_default_value = true)]
    task: String,
    /// Pause this role alone: plan or apply.
    #[arg(long, default_value = "", hide_default_value = true)]
    role: String,
    /// The reason, for the record.
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
    /// Show all of a pause that lasts
    Show {
        /// The id of the pause to show.
        id: String,
    },
}

#[derive(Args)]
pub(crate) struct Resume {
    /// The id of the pause to end.
    id: String,
    /// The reason, for the record.
    #[arg(long)]
    reason: String,
}

pub(crate) async fn run(global: &Global, asked: Pause) -> Result<(), Outcome> {
    match asked.command {
        Some(Command::List) => return list(global).await,
        Some(Command::Show { id }) => return show(global, &id).await,
        None => {}
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

async fn lasting(global: &Global) -> Result<Vec<v1::Pause>, Outcome> {
    let mut client = global.client().await?;
    let listed = client.list_pauses(v1::ListPausesRequest {}).await?;
    Ok(listed.pauses)
}

async fn list(global: &Global) -> Result<(), Outcome> {
    let pauses = lasting(global).await?;
    let screen = Screen::columns(&std::io::stdout()).filter(|_| global.output == Output::Table);
    let rows = table(pauses, global.output.is_document(), screen.is_some());
    rows.print(global.output);
    if screen.is_some() && rows.shown(screen).contains('…') {
        global.hint("all of one: lanyard pause show ID");
    }
    Ok(())
}

async fn show(global: &Global, id: &str) -> Result<(), Outcome> {
    let pauses = lasting(global).await?;
    let asked = id.trim();
    let found = pauses
        .into_iter()
        .find(|pause| pause.id.eq_ignore_ascii_case(asked));
    let found = found.ok_or_else(|| {
        let asked = text::line(asked);
        Outcome::usage(format!(
            "no pause `{asked}` lasts: lanyard pause list names those that do; one that is over has its records in\nlanyard audit query {asked}"
        ))
    })?;
    print_one(global.output, &fields(found));
    Ok(())
}

/// All of a pause.
fn fields(pause: v1::Pause) -> Vec<(&'static str, String)> {
    let until = match pause.expire_time {
        None => "somebody resumes it".to_owned(),
        until => shown(until),
    };
    let mut fields = vec![
        ("pause", pause.id.clone()),
        ("over", reach(&pause.reach.clone().unwrap_or_default())),
        ("effect", effect(pause.demand()).to_owned()),
        ("paused by", pause.paused_by.clone()),
        ("since", shown(pause.pause_time)),
        ("until", until),
        ("reason", pause.reason),
    ];
    if !pause.evidence.is_empty() {
        let records: Vec<String> = pause.evidence.iter().map(u64::to_string).collect();
        let records = records.join(" ");
        fields.push(("rests on", format!("lanyard audit show {records}")));
    }
    fields.push(("end it", format!("lanyard resume {} --reason …", pause.id)));
    fields
}

const fn effect(demand: v1::Demand) -> &'static str {
    match demand {
        v1::Demand::Unspecified | v1::Demand::Stillness => "issues nothing",
        v1::Demand::Approval => "asks for approval",
    }
}

/// On a screen, since when and how long still in spans.
fn table(pauses: Vec<v1::Pause>, is_document: bool, is_on_screen: bool) -> Rows {
    // The names of a document's members are those of every version.
    let (over, does) = match is_document {
        true => ("of", "asks for"),
        false => ("over", "effect"),
    };
    // What is paused comes before everything that `lanyard pause show` has as well.
    let mut rows = Rows::of([
        key("pause"),
        prose(over, 1, 34),
        whole(does, 4),
        prose("by", 6, 12),
        whole("since", 5),
        whole("until", 3),
        prose("reason", 2, 12),
    ]);
    for pause in pauses {
        let effect = match (pause.demand(), is_document) {
            (v1::Demand::Unspecified | v1::Demand::Stillness, true) => "nothing issued",
            (v1::Demand::Approval, true) => "approval",
            (demand, false) => effect(demand),
        };
        let (since, until) = match (is_on_screen, pause.expire_time) {
            (false, until) => (shown(pause.pause_time), shown(until)),
            (true, None) => (span::since(pause.pause_time), "resumed".to_owned()),
            (true, until) => (
                span::since(pause.pause_time),
                format!("in {}", span::until(until)),
            ),
        };
        let over = pause.reach.unwrap_or_default();
        let over = match is_on_screen {
            true => brief(&over),
            false => reach(&over),
        };
        rows.push([
            pause.id,
            over,
            effect.to_owned(),
            pause.paused_by,
            since,
            until,
            pause.reason,
        ]);
    }
    rows
}

/// Says what a pause is over, in the room of a screen: `charter ticket-router in staging`.
fn brief(over: &v1::Reach) -> String {
    let whose = v1::Reach {
        target: String::new(),
        environment: String::new(),
        role: String::new(),
        ..over.clone()
    };
    if whose == v1::Reach::default() {
        return reach(over);
    }
    let mut brief = reach(&whose);
    for (before, name) in [
        (" on ", &over.target),
        (" in ", &over.environment),
        (", role ", &over.role),
    ] {
        if !name.is_empty() {
            brief.push_str(before);
            brief.push_str(name);
        }
    }
    brief
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pause() -> v1::Pause {
        v1::Pause {
            id: "H-01KBA7M4X8R2V5T9W3Y6Z0C1DE".to_owned(),
            reach: Some(v1::Reach {
                charter: "ticket-router".to_owned(),
                agent: "https://agents.acme.example#agent:router".to_owned(),
                ..v1::Reach::default()
            }),
            reason: "breaker of charter ticket-router, line 40: 5 action ticket.* within 10m"
                .to_owned(),
            paused_by: "breaker of charter ticket-router, line 40".to_owned(),
            evidence: vec![82, 83],
            ..v1::Pause::default()
        }
    }

    #[test]
    fn u20_a_pause_takes_one_line_of_a_small_screen_and_says_first_what_it_is_over() {
        let mut hostile = crate::text::tests::hostile();
        hostile.push(pause().reason);
        for reason in hostile {
            let of = v1::Pause { reason, ..pause() };
            let shown = table(vec![of], false, true).shown(Some(80));
            assert_eq!(shown.lines().count(), 2, "{shown}");
            assert!(shown.lines().all(|line| text::width(line) <= 80), "{shown}");
            assert!(shown.contains("  charter ticket-router, agent "), "{shown}");
        }
    }

    #[test]
    fn u20_what_a_pause_is_over_is_whole_on_a_small_screen() {
        let of = |charter: &str, environment: &str, target: &str, role: &str| v1::Pause {
            reach: Some(v1::Reach {
                charter: charter.to_owned(),
                environment: environment.to_owned(),
                target: target.to_owned(),
                role: role.to_owned(),
                ..v1::Reach::default()
            }),
            ..pause()
        };
        for (pause, over) in [
            (
                of("ticket-router", "staging", "", ""),
                "  charter ticket-router in staging  ",
            ),
            (
                of("pay", "", "bank", "apply"),
                "  charter pay on bank, role apply  ",
            ),
            (
                of("", "staging", "bank", ""),
                "  environment staging, target bank  ",
            ),
            (of("", "", "", "apply"), "  role apply  "),
            (of("", "", "", ""), "  everything  "),
        ] {
            let shown = table(vec![pause], false, true).shown(Some(80));
            assert!(shown.contains(over), "{shown}");
        }
    }

    #[test]
    fn u20_all_of_a_pause_is_shown_with_its_records_and_how_to_end_it() {
        let fields = fields(pause());
        let of = |name: &str| {
            let found = fields.iter().find(|(field, _)| *field == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let agent = "https://agents.acme.example#agent:router";
        assert_eq!(of("over"), format!("charter ticket-router, agent {agent}"));
        assert_eq!(of("reason"), pause().reason);
        assert_eq!(of("rests on"), "lanyard audit show 82 83");
        assert_eq!(of("until"), "somebody resumes it");
        assert!(of("end it").starts_with("lanyard resume H-01KBA7M4X8R2V5T9W3Y6Z0C1DE "));
    }
}
