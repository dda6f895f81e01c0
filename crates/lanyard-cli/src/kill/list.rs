//! `lanyard kill list`: one line an order.

use clap::Args;
use lanyard_client::{Client, v1};
use lanyard_core::count::{counted, verb_for};

use super::scope;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::table::{Rows, key, prose, whole};
use crate::terminal::Screen;
use crate::{Global, span};

#[derive(Args)]
pub(crate) struct List {
    /// List the broker's drills as well
    #[arg(long)]
    drills: bool,
}

pub(super) async fn run(global: &Global, mut client: Client, asked: List) -> Result<(), Outcome> {
    let listed = client
        .list_kill_orders(v1::ListKillOrdersRequest {})
        .await?;
    let (drills, orders): (Vec<_>, Vec<_>) =
        listed.orders.into_iter().partition(|order| order.drill);
    let hidden = if asked.drills { 0 } else { drills.len() };
    let shown_drills = drills.into_iter().filter(|_| asked.drills);
    let mut all: Vec<_> = orders.into_iter().chain(shown_drills).collect();
    all.sort_by_key(|order| std::cmp::Reverse(order.engage_time.map(|at| (at.seconds, at.nanos))));
    // A file or a pipe has room for everything, and keeps what it is told.
    let is_on_screen =
        global.output == Output::Table && Screen::columns(&std::io::stdout()).is_some();
    let is_nothing = |order: &&v1::KillOrder| order.reaches_nothing && order.lifted != "everything";
    let nothing = all.iter().filter(is_nothing).count();
    table(all, !is_on_screen).print(global.output);
    if nothing > 0 {
        global.note(
            "an order that REACHES NOTHING may be mistyped: lanyard kill withdraw K-… --reason …",
        );
    }
    if hidden > 0 {
        global.note(format_args!(
            "{} {} not listed: see --drills",
            counted(hidden as u64, "drill"),
            verb_for(hidden as u64, "is", "are")
        ));
    }
    Ok(())
}

/// On a screen, what an order stops and since how long; elsewhere every field.
fn table(orders: Vec<v1::KillOrder>, is_whole: bool) -> Rows {
    if is_whole {
        let mut rows = Rows::new(&[
            "order",
            "scope",
            "lifted",
            "by",
            "at",
            "reason",
            "drill",
            "reaches nothing",
        ]);
        for order in orders {
            let (at, drill) = (shown(order.engage_time), order.drill.to_string());
            let nothing = order.reaches_nothing.to_string();
            let over = scope(order.scope);
            let (by, reason) = (order.engaged_by, order.reason);
            rows.push([order.id, over, order.lifted, by, at, reason, drill, nothing]);
        }
        return rows;
    }
    let mut rows = Rows::of([
        key("order"),
        key("state"),
        whole("age", 3),
        prose("scope", 1, 16),
        prose("reason", 2, 12),
    ]);
    for order in orders {
        let mut over = scope(order.scope.clone());
        if order.roles() == v1::RoleFilter::ApplyOnly {
            over.push_str(", apply");
        }
        let age = span::since(order.engage_time);
        let state = state(&order).to_owned();
        rows.push([order.id, state, age, over, order.reason]);
    }
    rows
}

/// What an order still stops.
pub(super) fn state(order: &v1::KillOrder) -> &str {
    match order.lifted.as_str() {
        "nothing" | "plan" if order.reaches_nothing => "REACHES NOTHING",
        "nothing" => "engaged",
        "plan" => "plan on",
        "everything" => "lifted",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use lanyard_client::Time;

    use super::*;

    fn order(reason: &str) -> v1::KillOrder {
        v1::KillOrder {
            id: "K-01KBA7M4X8R2V5T9W3Y6Z0C1DE".to_owned(),
            scope: Some(v1::Scope {
                kind: Some(v1::scope::Kind::Agent(
                    "https://oidc.eks.eu-west-1.amazonaws.example/id/0123#system:serviceaccount:agents:router"
                        .to_owned(),
                )),
            }),
            lifted: "nothing".to_owned(),
            reason: reason.to_owned(),
            engage_time: Some(Time {
                seconds: 1,
                nanos: 0,
            }),
            ..v1::KillOrder::default()
        }
    }

    #[test]
    fn u06_an_order_takes_one_line_of_a_small_screen() {
        let mut texts = crate::text::tests::hostile();
        texts.push("the agent opens tickets in a loop and nobody knows why yet".to_owned());
        for reason in texts {
            let rows = table(vec![order(&reason), order("short")], false);
            let shown = rows.shown(Some(80));
            assert_eq!(shown.lines().count(), 3, "{shown}");
            for line in shown.lines() {
                assert!(crate::text::width(line) <= 80, "{line}");
            }
            assert!(
                shown.contains("K-01KBA7M4X8R2V5T9W3Y6Z0C1DE  engaged"),
                "{shown}"
            );
        }
    }
}
