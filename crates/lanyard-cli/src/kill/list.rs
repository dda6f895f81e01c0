//! `lanyard kill list`: one line an order.

use clap::Args;
use lanyard_client::{Client, v1};
use lanyard_core::kill::Lifted;
use lanyard_vocabulary::count::{counted, verb_for};

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
    /// List only orders that still stop something
    #[arg(long)]
    engaged: bool,
}

pub(super) async fn run(global: &Global, mut client: Client, asked: List) -> Result<(), Outcome> {
    let listed = client
        .list_kill_orders(v1::ListKillOrdersRequest {})
        .await?;
    let (all, hidden) = arranged(listed.orders, &asked);
    // A file or a pipe has room for everything, and keeps what it is told.
    let screen = Screen::columns(&std::io::stdout()).filter(|_| global.output == Output::Table);
    let is_nothing = |order: &&v1::KillOrder| order.reaches_nothing && !is_lifted(order);
    let nothing = all.iter().filter(is_nothing).count();
    table(all, screen.is_none()).print(global.output);
    if nothing > 0 {
        global.hint(
            "an order that REACHES NOTHING may be mistyped: lanyard kill withdraw K-… --reason …",
        );
    }
    if hidden > 0 {
        global.hint(format_args!(
            "{} {} not listed: see --drills",
            counted(hidden as u64, "drill"),
            verb_for(hidden as u64, "is", "are")
        ));
    }
    Ok(())
}

/// Returns the part of an order that people have lifted; `None` if the broker names it by a word
/// that this version does not know.
pub(super) fn lifted(order: &v1::KillOrder) -> Option<Lifted> {
    Lifted::parse(&order.lifted)
}

pub(super) fn is_lifted(order: &v1::KillOrder) -> bool {
    lifted(order) == Some(Lifted::Everything)
}

/// The orders that were asked for, and how many drills are left out. What stops something now comes
/// first, since that is what is looked for.
fn arranged(orders: Vec<v1::KillOrder>, asked: &List) -> (Vec<v1::KillOrder>, usize) {
    let all = orders.len();
    let mut orders = orders;
    orders.retain(|order| asked.drills || !order.drill);
    let hidden = all - orders.len();
    orders.retain(|order| !(asked.engaged && is_lifted(order)));
    orders.sort_by_key(|order| {
        let at = order.engage_time.map(|at| (at.seconds, at.nanos));
        (is_lifted(order), std::cmp::Reverse(at))
    });
    (orders, hidden)
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

/// Says what an order still stops.
pub(super) fn state(order: &v1::KillOrder) -> &str {
    match lifted(order) {
        Some(Lifted::Nothing | Lifted::Plan) if order.reaches_nothing => "REACHES NOTHING",
        Some(Lifted::Nothing) => "engaged",
        Some(Lifted::Plan) => "plan on",
        Some(Lifted::Everything) => "lifted",
        None => &order.lifted,
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
    fn u07_what_is_engaged_is_listed_before_what_is_lifted_and_alone_where_asked() {
        let of = |id: &str, lifted: &str, seconds, drill| v1::KillOrder {
            id: id.to_owned(),
            lifted: lifted.to_owned(),
            engage_time: Some(Time { seconds, nanos: 0 }),
            drill,
            ..v1::KillOrder::default()
        };
        let all = || {
            vec![
                of("K-1", "nothing", 1, false),
                of("K-2", "everything", 2, false),
                of("K-3", "plan", 3, false),
                of("K-4", "everything", 4, true),
                of("K-5", "everything", 5, false),
            ]
        };
        for (drills, engaged, ids, hidden) in [
            (false, false, &["K-3", "K-1", "K-5", "K-2"][..], 1),
            (true, false, &["K-3", "K-1", "K-5", "K-4", "K-2"], 0),
            (false, true, &["K-3", "K-1"], 1),
        ] {
            let (listed, left_out) = arranged(all(), &List { drills, engaged });
            let listed: Vec<_> = listed.iter().map(|order| order.id.as_str()).collect();
            assert_eq!((listed.as_slice(), left_out), (ids, hidden));
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
