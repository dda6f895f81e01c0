//! `lanyard charter list` and `lanyard charter show`: the charters that a broker has in force.

use std::time::Duration;

use clap::Args;
use lanyard_charter::requirement::persons;
use lanyard_client::{Time, v1};
use serde_json::{Value, json};

use crate::lease::{shown, subject};
use crate::outcome::Outcome;
use crate::output::Output;
use crate::table::{Rows, key, prose, whole};
use crate::terminal::{Screen, say};
use crate::{Global, span, text};

/// The time before its end from which a charter is named as one that ends.
pub(crate) const ENDING_WARNING_SPAN: Duration = Duration::from_secs(14 * 24 * 3600);

#[derive(Args)]
pub(crate) struct List {
    /// Show which agent may change what in which environment, and how many people approve.
    #[arg(long)]
    matrix: bool,
}

pub(crate) async fn run(global: &Global, asked: &List) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let listed = client.list_charters(v1::ListChartersRequest {}).await?;
    if global.output.is_document() {
        let all: Vec<Value> = if asked.matrix {
            listed.charters.iter().flat_map(cells).collect()
        } else {
            listed.charters.iter().map(document).collect()
        };
        global.output.document(&json!(all));
    } else if asked.matrix {
        matrix(global.output, &listed.charters);
    } else {
        table(global.output, &listed.charters);
    }
    for charter in &listed.charters {
        if let Some(line) = ending(charter) {
            global.hint(line);
        }
    }
    for problem in &listed.problems {
        say(format_args!("not in force: {}", text::line(problem)));
    }
    if listed.problems.is_empty() {
        Ok(())
    } else {
        Err(Outcome::Negative)
    }
}

fn table(output: Output, charters: &[v1::Charter]) {
    let mut rows = Rows::of([
        key("name"),
        prose("agents", 3, 16),
        prose("autonomy", 1, 24),
        prose("grants", 5, 16),
        whole("ends", 2),
        prose("owner", 4, 14),
        whole("revision", 6),
    ]);
    for charter in charters {
        let autonomy = charter.environment_details.iter();
        let autonomy: Vec<String> = autonomy
            .map(|one| format!("{}: {}", one.name, one.autonomy))
            .collect();
        let mut name = charter.name.clone();
        if charter.mode == "shadow" {
            name.push_str(" (shadow)");
        }
        rows.push([
            name,
            agents(charter).join(", "),
            autonomy.join(", "),
            charter.grants.join(", "),
            charter.expire_time.map_or_else(|| "never".to_owned(), day),
            technical(charter),
            short(&charter.revision).to_owned(),
        ]);
    }
    rows.print(output);
}

/// Tells if nothing is given under the charter any more.
pub(crate) fn has_ended(charter: &v1::Charter) -> bool {
    let now = jiff::Timestamp::now().as_second();
    charter.expire_time.is_some_and(|end| end.seconds <= now)
}

/// Enough of a revision to tell it from others; `-o json` has all of it.
pub(crate) fn short(revision: &str) -> &str {
    let digits = revision.strip_prefix("sha256:").unwrap_or(revision);
    digits.get(..12).unwrap_or(digits)
}

/// The agents without their issuers, which `lanyard charter show` names.
fn agents(charter: &v1::Charter) -> Vec<String> {
    let agents = charter.agents.iter();
    agents.map(|agent| subject(agent).to_owned()).collect()
}

fn day(moment: Time) -> String {
    shown(Some(moment)).chars().take(10).collect()
}

fn technical(charter: &v1::Charter) -> String {
    let owners = charter.owners.as_ref();
    owners.map_or_else(String::new, |owners| owners.technical.clone())
}

/// Prints who can change what where: a row for each agent, environment and grant, and one for each
/// place where nothing can be changed.
fn matrix(output: Output, charters: &[v1::Charter]) {
    let mut rows = Rows::of([
        key("agent"),
        key("environment"),
        prose("autonomy", 3, 8),
        whole("may change", 1),
        whole("people", 2),
        prose("owner", 4, 14),
    ]);
    for charter in charters {
        for agent in agents(charter) {
            for place in &charter.environment_details {
                let row = |change: String, people: String| {
                    [
                        agent.clone(),
                        place.name.clone(),
                        place.autonomy.clone(),
                        change,
                        people,
                        technical(charter),
                    ]
                };
                if place.changes.is_empty() {
                    rows.push(row("nothing".to_owned(), String::new()));
                }
                for change in &place.changes {
                    let what = format!("{} on {}", change.grant, change.target);
                    rows.push(row(what, people(change)));
                }
            }
        }
    }
    rows.print(output);
}

/// Says how many people approve: by risk, where that makes a difference.
fn people(change: &v1::CharterChange) -> String {
    let (low, high) = (change.people_low_risk, change.people_high_risk);
    if low == high {
        high.to_string()
    } else {
        format!("{low} to {high} by risk")
    }
}

fn cells(charter: &v1::Charter) -> Vec<Value> {
    let owners = charter.owners.clone().unwrap_or_default();
    let mut all = Vec::new();
    for agent in &charter.agents {
        for place in &charter.environment_details {
            all.push(json!({
                "agent": agent, "charter": charter.name, "mode": charter.mode, "environment": place.name,
                "autonomy": place.autonomy, "reads": place.reads, "changes": changes(place),
                "owners": owners_of(&owners),
            }));
        }
    }
    all
}

fn changes(place: &v1::CharterEnvironment) -> Vec<Value> {
    let each = place.changes.iter().map(|change| {
        json!({
            "grant": change.grant, "target": change.target, "kind": change.kind, "what": change.what,
            "people_low_risk": change.people_low_risk, "people_high_risk": change.people_high_risk,
            "groups": change.groups,
        })
    });
    each.collect()
}

fn owners_of(owners: &v1::CharterOwners) -> Value {
    json!({"business": owners.business, "technical": owners.technical, "security": owners.security})
}

fn document(charter: &v1::Charter) -> Value {
    let environments = charter.environment_details.iter().map(|place| {
        json!({"name": place.name, "autonomy": place.autonomy, "reads": place.reads, "changes": changes(place)})
    });
    json!({
        "name": charter.name, "revision": charter.revision, "purpose": charter.purpose, "mode": charter.mode,
        "agents": charter.agents, "grants": charter.grants, "environments": environments.collect::<Vec<_>>(),
        "expire_time": charter.expire_time.map(|at| shown(Some(at))),
        "owners": owners_of(&charter.owners.clone().unwrap_or_default()),
    })
}

/// Says that a charter has ended, or ends soon; `None` of any other.
fn ending(charter: &v1::Charter) -> Option<String> {
    let end = charter.expire_time?;
    let left = end
        .seconds
        .saturating_sub(jiff::Timestamp::now().as_second());
    let name = &charter.name;
    let owner = technical(charter);
    let Ok(left) = u64::try_from(left) else {
        return Some(format!(
            "charter {name} ended at {}: it gives nothing any more; ask {owner} whether it is still needed",
            shown(Some(end))
        ));
    };
    let left = Duration::from_secs(left);
    (left <= ENDING_WARNING_SPAN).then(|| {
        format!(
            "charter {name} ends in {}, at {}: ask {owner} whether it is still needed",
            span::shown(left),
            shown(Some(end))
        )
    })
}

pub(crate) async fn show(global: &Global, name: String) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let known = client.get_charter(v1::GetCharterRequest { name: name.clone() });
    let found = match known.await {
        Ok(found) => found,
        Err(lanyard_client::ClientError::NotFound(line)) => {
            let listed = client.list_charters(v1::ListChartersRequest {}).await?;
            let names = listed.charters.iter().map(|charter| charter.name.as_str());
            let near = lanyard_document::nearest(&name, names);
            let hint = near.map_or_else(String::new, |near| format!(": did you mean {near}?"));
            return Err(Outcome::usage(format!("{line}{hint}")));
        }
        Err(error) => return Err(error.into()),
    };
    let charter = found.charter.unwrap_or_default();
    match global.output {
        Output::Name => println!("{}", text::line(&charter.name)),
        Output::Json | Output::Jsonl | Output::Yaml => {
            let mut document = document(&charter);
            if let Value::Object(fields) = &mut document {
                for section in &found.sections {
                    fields.insert(format!("{}_text", section.name), json!(section.lines));
                }
            }
            global.output.document(&document);
        }
        Output::Table => print(&charter, &found.sections),
    }
    if let Some(line) = ending(&charter) {
        global.hint(line);
    }
    Ok(())
}

fn print(charter: &v1::Charter, sections: &[v1::CharterSection]) {
    let screen = Screen::columns(&std::io::stdout());
    let owners = charter.owners.clone().unwrap_or_default();
    let line = |name: &str, value: &str| {
        if !value.is_empty() {
            let before = format!("{name:<13}");
            println!("{}", text::wrapped(&before, &text::line(value), 13, screen));
        }
    };
    line("charter", &charter.name);
    line("revision", &charter.revision);
    line("purpose", &charter.purpose);
    line("mode", &charter.mode);
    let ends = charter.expire_time;
    line(
        "ends",
        &ends.map_or_else(|| "never".to_owned(), |at| shown(Some(at))),
    );
    line("owners", &format!("business {}", owners.business));
    line("", &format!("technical {}", owners.technical));
    line("", &format!("security {}", owners.security));
    for (place, agent) in charter.agents.iter().enumerate() {
        line(if place == 0 { "agents" } else { "" }, agent);
    }
    for (place, environment) in charter.environment_details.iter().enumerate() {
        let name = if place == 0 { "environments" } else { "" };
        let reads = environment.reads.join(", ");
        let reads = if reads.is_empty() {
            "reads nothing".to_owned()
        } else {
            format!("reads by {reads}")
        };
        let can = format!("{}: {}; {reads}", environment.name, environment.autonomy);
        line(name, &can);
        for change in &environment.changes {
            let people = match (change.people_low_risk, change.people_high_risk) {
                (low, high) if low == high => persons(high),
                (low, high) => format!("{low} to {} by risk", persons(high)),
            };
            let can = format!(
                "  may change {} by {}, after {people} approved",
                change.target, change.grant
            );
            line("", &can);
        }
    }
    for section in sections {
        for (place, said) in section.lines.iter().enumerate() {
            line(if place == 0 { &section.name } else { "" }, said);
        }
    }
}
