//! `lanyard drill`: does the switch work?

use clap::Args;
use lanyard_client::v1;

use crate::Global;
use crate::kill::span;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::span::since;
use crate::table::{Rows, key, whole};
use crate::terminal::Screen;

#[derive(Args)]
pub(crate) struct Drill {
    /// Targets to drill; all that can be, where there is none.
    targets: Vec<String>,
    /// Hold none: show what is known of the last ones.
    #[arg(long, conflicts_with = "targets")]
    last: bool,
}

/// Exits with 1 where a drill failed, or the last one that passed is too long ago; with 9 where a
/// kill order or a pause holds one up, which has neither failed nor proved anything.
pub(crate) async fn run(global: &Global, drill: Drill) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let (drills, last) = if drill.last {
        let known = client.list_drills(v1::ListDrillsRequest {}).await?;
        (known.drills, true)
    } else {
        global.note("minting, using and killing a canary at each target: up to a minute each");
        let targets = drill.targets;
        let held = client.hold_drill(v1::HoldDrillRequest { targets }).await?;
        (held.drills, false)
    };
    let is_held_up = |drill: &v1::Drill| !drill.held_up_by.is_empty();
    let bad = |drill: &v1::Drill| !is_held_up(drill) && !drill.passed || last && drill.overdue;
    let any = drills.iter().any(bad);
    let held_up = drills.iter().filter(|drill| !last && is_held_up(drill));
    let held_up: Vec<String> = held_up
        .map(|drill| format!("{} by {}", drill.target, drill.held_up_by))
        .collect();
    let is_on_screen =
        global.output == Output::Table && Screen::columns(&std::io::stdout()).is_some();
    table(&drills, is_on_screen).print(global.output);
    if any {
        return Err(Outcome::Negative);
    }
    match held_up.as_slice() {
        [] => Ok(()),
        some => Err(Outcome::HeldUp(format!(
            "no drill was held, nothing is proved: held up at {}; hold it again once that is lifted",
            some.join(", ")
        ))),
    }
}

/// On a screen, how long ago, and below a drill that failed why; elsewhere every field.
fn table(drills: &[v1::Drill], is_on_screen: bool) -> Rows {
    let mut rows = Rows::of([
        key("target"),
        key("result"),
        whole("held", 3),
        whole("fenced", 5),
        whole("taken", 6),
        whole("dead", 4),
        whole("last passed", 2),
    ]);
    for drill in drills {
        let of = |time: &Option<lanyard_client::Span>| time.as_ref().map(span).unwrap_or_default();
        let when = |at: Option<lanyard_client::Time>| match (is_on_screen, at) {
            (true, Some(_)) => format!("{} ago", since(at)),
            (true, None) => "never".to_owned(),
            (false, at) => shown(at),
        };
        let whole = result(drill);
        let (result, why) = whole.split_once(": ").unwrap_or((whole.as_str(), ""));
        let result = if is_on_screen { result } else { &whole };
        rows.push([
            drill.target.clone(),
            result.to_owned(),
            when(drill.time),
            of(&drill.fenced_in),
            of(&drill.taken_in),
            dead(drill),
            when(drill.last_pass_time),
        ]);
        if is_on_screen && !why.is_empty() {
            rows.note(why.to_owned());
        }
    }
    rows
}

fn result(drill: &v1::Drill) -> String {
    let overdue = if drill.overdue { ", overdue" } else { "" };
    if !drill.held_up_by.is_empty() {
        return format!("held up by {}", drill.held_up_by);
    }
    match (drill.passed, drill.time) {
        (true, _) => format!("passed{overdue}"),
        (false, Some(_)) => format!("FAILED: {}", drill.why),
        (false, None) => drill.why.clone(),
    }
}

/// Says how the credential was shown to be dead, or that no check shows it.
fn dead(drill: &v1::Drill) -> String {
    match &drill.dead_in {
        Some(dead) => span(dead),
        None if drill.passed => "cannot be shown".to_owned(),
        None => String::new(),
    }
}
