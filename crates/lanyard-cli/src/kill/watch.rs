//! Following an order, through lost connections, to its report.

use std::collections::BTreeMap;
use std::time::Duration;

use lanyard_client::{Client, ClientError, v1};
use lanyard_core::kill::Lifted;
use lanyard_vocabulary::count::{counted, verb_for, word_for};
use serde_json::json;

use super::list::{is_lifted, lifted, state};
use super::screen::Screen as Bars;
use super::{document, scope, stops};
use crate::lease::{shown, state as state_of};
use crate::outcome::Outcome;
use crate::output::{Output, print_one};
use crate::table::{Rows, key, prose};
use crate::terminal::say;
use crate::{Global, text};

/// The time for which a watch goes on if nothing else was said.
const DEFAULT_WATCH_TIME: Duration = Duration::from_secs(60);
/// The pause before a broker that went away is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// The number of times that the broker is asked, if nothing else was said.
const TRIES: u32 = 5;
/// The most leases that are not dead which are listed for people, so that all of it stays on a
/// screen of 24 lines; a document for programs has them all.
const LISTED: usize = 5;
/// So many owners of charters are named.
const OWNERS_SHOWN: usize = 3;

/// Follows an order and prints its report. Without `wait`, that is until every provider has
/// acknowledged: what some of them then still need is time, which the report names.
pub(super) async fn watch(
    global: &Global,
    client: Client,
    id: String,
    wait: Option<u64>,
    told: Told<'_>,
) -> Result<(), Outcome> {
    let mut following = Following {
        global,
        client,
        id,
        to_the_end: wait.is_some(),
        last: None,
        screen: Bars::new(global.quiet),
    };
    let patience = wait.map_or(DEFAULT_WATCH_TIME, Duration::from_secs);
    if let Ok(ended) = tokio::time::timeout(patience, following.follow()).await {
        ended?;
    }
    following.screen.end();
    let Following {
        client, id, last, ..
    } = following;
    let last = last.ok_or_else(|| {
        Outcome::Unconfirmed(format!(
            "{id}: the broker has not said how far it got; ask again with `lanyard kill show {id}`"
        ))
    })?;
    finish(global, client, &last, told).await
}

/// The part of the report that its reader was told before.
#[derive(Clone, Copy)]
pub(super) enum Told<'a> {
    /// The reader was told nothing: the report begins with the order.
    Nothing,
    /// The order, and what is known of a scope without a live lease.
    Order(&'a str),
}

/// Prints a report as it is now.
pub(super) async fn show(global: &Global, mut client: Client, id: String) -> Result<(), Outcome> {
    let mut reports = client.watch_kill(id).await?;
    let report = reports.message().await.map_err(ClientError::from)?;
    finish(global, client, &report.unwrap_or_default(), Told::Nothing).await
}

/// The report of an order that reaches nothing, for programs.
pub(super) async fn document_of(
    global: &Global,
    mut client: Client,
    id: &str,
    engaged: &v1::EngageKillResponse,
) -> Result<(), Outcome> {
    let mut reports = client.watch_kill(id.to_owned()).await?;
    let report = reports.message().await.map_err(ClientError::from)?;
    let report = report.unwrap_or_default();
    document::print(global.output, &mut client, (&report, Some(engaged))).await
}

struct Following<'a> {
    global: &'a Global,
    client: Client,
    id: String,
    to_the_end: bool,
    last: Option<v1::WatchKillResponse>,
    screen: Bars,
}

impl Following<'_> {
    /// Every report is whole, so that a connection that breaks loses nothing.
    async fn follow(&mut self) -> Result<(), Outcome> {
        for silence in 1.. {
            match self.stream().await {
                Ok(()) => return Ok(()),
                Err(ClientError::Unavailable(why)) => {
                    if silence >= TRIES && !self.to_the_end {
                        break;
                    }
                    self.screen
                        .say(&format!("the broker went away ({why}): asking again"));
                }
                Err(other) => return Err(other.into()),
            }
            tokio::time::sleep(AGAIN).await;
            if let Ok(client) = super::plane::connect(self.global).await {
                self.client = client;
            }
        }
        Ok(())
    }

    async fn stream(&mut self) -> Result<(), ClientError> {
        let mut reports = self.client.watch_kill(self.id.clone()).await?;
        while let Some(report) = reports.message().await? {
            self.screen.show(&report);
            let over = report.confirmed || (report.taken && !self.to_the_end);
            self.last = Some(report);
            if over {
                return Ok(());
            }
        }
        match &self.last {
            Some(last) if last.confirmed => Ok(()),
            Some(_) | None => Err(ClientError::Unavailable("the stream ended".to_owned())),
        }
    }
}

/// Prints what is known, the verdict last, and says the same by the exit code.
async fn finish(
    global: &Global,
    mut client: Client,
    report: &v1::WatchKillResponse,
    told: Told<'_>,
) -> Result<(), Outcome> {
    if global.output.is_document() {
        document::print(global.output, &mut client, (report, None)).await?;
    } else {
        if let (Output::Table, Told::Nothing) = (global.output, told) {
            print_one(global.output, &head(report));
        }
        print(global.output, report);
    }
    for line in owners(report) {
        global.note(line);
    }
    let verdict = verdict(report, told);
    if let Some(order) = reaching_nothing(report) {
        let facts = json!({"kill_id": order.id});
        return Err(Outcome::ReachesNothing(verdict, facts));
    }
    if report.confirmed {
        global.note(verdict);
        return Ok(());
    }
    Err(Outcome::Unconfirmed(verdict))
}

/// The order, where it stops something and nothing has the name that it is over.
fn reaching_nothing(report: &v1::WatchKillResponse) -> Option<&v1::KillOrder> {
    let order = report.order.as_ref()?;
    let is_in_effect = !is_lifted(order);
    let is_empty = report.confirmed && report.dead == 0;
    (order.reaches_nothing && is_in_effect && is_empty).then_some(order)
}

/// Names the owners who answer for what was stopped, one line for each owner.
fn owners(report: &v1::WatchKillResponse) -> Vec<String> {
    let mut charters_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for stopped in &report.charters {
        if let Some(owners) = &stopped.owners {
            let of_owner = charters_of.entry(&owners.technical).or_default();
            of_owner.push(&stopped.charter);
        }
    }
    let more = charters_of.len().saturating_sub(OWNERS_SHOWN);
    let shown = charters_of.iter().take(OWNERS_SHOWN);
    let mut lines: Vec<String> = shown
        .map(|(owner, charters)| {
            let what = match charters.len() {
                1 => "charter",
                _ => "charters",
            };
            text::line(&format!("owner of {what} {}: {owner}", charters.join(", ")))
        })
        .collect();
    if more > 0 {
        lines.push(format!("owners of more charters: {more}; see -o json"));
    }
    lines
}

/// The last line: the order, and what of it is dead and what is not.
fn verdict(report: &v1::WatchKillResponse, told: Told<'_>) -> String {
    let order = report.order.clone().unwrap_or_default();
    let (id, dead) = (&order.id, report.dead);
    let open = report.unswept + report.requested + report.acknowledged;
    let stops = match lifted(&order) {
        Some(Lifted::Everything) => "the order is lifted",
        Some(Lifted::Plan) => "the plan role is issued again, the apply role is not",
        Some(Lifted::Nothing) | None => "nothing new is issued there",
    };
    if let Some(order) = reaching_nothing(report) {
        return format!(
            "{id} is engaged and REACHES NOTHING: nothing has the name of {}; lift it with: lanyard kill withdraw {id} --reason …",
            text::line(&scope(order.scope.clone()))
        );
    }
    if report.confirmed {
        let note = match told {
            Told::Order(note) => note,
            Told::Nothing => "",
        };
        return match (dead, note) {
            (0, "") => format!("{id}: no lease is in its reach; {stops}"),
            (0, note) => format!("{id}: {note}"),
            (1, _) => format!("{id}: its 1 lease is dead; {stops}"),
            (all, _) => format!("{id}: all {all} leases dead; {stops}"),
        };
    }
    let all = dead + open;
    let parts = [
        (
            report.unswept + report.requested,
            "not yet taken by their provider",
        ),
        (report.acknowledged, "acknowledged by their provider"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let worst = report
        .lines
        .iter()
        .filter_map(|line| line.worst_expire_time);
    let worst = worst.max_by_key(|at| at.seconds);
    let worst = worst.map_or_else(String::new, |at| {
        format!(", live at worst until {}", shown(Some(at)))
    });
    format!(
        "{id}: {dead} of {} dead, NOT DEAD: {}{worst}; {stops}; follow with `lanyard kill watch {id} --wait 10m`",
        counted(all, "lease"),
        parts.join(", ")
    )
}

/// The order that the leases below it are of, and how far it got.
fn head(report: &v1::WatchKillResponse) -> [(&'static str, String); 7] {
    let order = report.order.clone().unwrap_or_default();
    let dead = report.dead;
    let all = dead + report.unswept + report.requested + report.acknowledged;
    let confirmed = if report.confirmed { "yes" } else { "no" };
    let state = state(&order).to_owned();
    [
        ("order", order.id.clone()),
        ("scope", stops(order.scope.clone(), order.roles())),
        ("reason", order.reason),
        ("by", order.engaged_by),
        ("at", shown(order.engage_time)),
        ("state", state),
        ("confirmed", format!("{confirmed}: {dead} of {all} dead")),
    ]
}

/// The leases that are not dead. Of those that are, `-o json` has every one.
fn print(output: Output, report: &v1::WatchKillResponse) {
    let is_dead = |line: &&v1::KillLine| {
        matches!(
            line.state(),
            v1::LeaseState::PresumedDead | v1::LeaseState::ProvedDead | v1::LeaseState::Expired
        )
    };
    if output == Output::Name {
        let ids = report.lines.iter().map(|line| &line.lease_id);
        ids.for_each(|id| println!("{}", text::line(id)));
        return;
    }
    let open: Vec<_> = report.lines.iter().filter(|line| !is_dead(line)).collect();
    if open.is_empty() {
        return;
    }
    let mut rows = Rows::of([
        key("lease"),
        prose("target", 2, 8),
        key("state"),
        prose("why", 1, 12),
    ]);
    for line in open.iter().take(LISTED) {
        let mut state = state_of(line.state()).to_owned();
        if line.collateral {
            state.push_str(" (collateral)");
        }
        rows.push([
            line.lease_id.clone(),
            line.target.clone(),
            state,
            line.why.clone(),
        ]);
    }
    println!();
    rows.print(output);
    let all = report.requested + report.acknowledged;
    let listed = open.len().min(LISTED) as u64;
    let more = all.saturating_sub(listed);
    if more > 0 {
        say(unlisted(more));
    }
    // The reason of the first one is told whole: it is cut in its row, and most often that of all.
    if let Some(why) = open
        .first()
        .map(|line| &line.why)
        .filter(|why| !why.is_empty())
    {
        say(format_args!("why, of the first: {}", text::line(why)));
    }
}

/// The line for the leases that are not listed: those come first that are furthest from dead.
fn unlisted(count: u64) -> String {
    let (leases, they) = (
        word_for(count, "lease"),
        verb_for(count, "it is", "each is"),
    );
    format!(
        "and {count} more {leases}: {they} at least as far revoked as the last one above; list all with -o json"
    )
}

#[cfg(test)]
mod tests {
    use lanyard_client::Time;

    use super::*;

    fn report(
        order: &str,
        (dead, acknowledged, requested): (u64, u64, u64),
    ) -> v1::WatchKillResponse {
        v1::WatchKillResponse {
            order: Some(v1::KillOrder {
                id: order.to_owned(),
                lifted: "nothing".to_owned(),
                ..v1::KillOrder::default()
            }),
            dead,
            acknowledged,
            requested,
            confirmed: acknowledged + requested == 0,
            ..v1::WatchKillResponse::default()
        }
    }

    #[test]
    fn u06_the_last_line_has_the_order_and_what_is_dead_and_what_is_not() {
        let dead = verdict(&report("K-1", (31, 0, 0)), Told::Nothing);
        assert_eq!(dead, "K-1: all 31 leases dead; nothing new is issued there");
        let mut open = report("K-1", (969, 30, 1));
        open.lines = vec![v1::KillLine {
            worst_expire_time: Some(Time {
                seconds: 1_796_000_000,
                nanos: 0,
            }),
            ..v1::KillLine::default()
        }];
        let said = verdict(&open, Told::Nothing);
        let begins = "K-1: 969 of 1000 leases dead, NOT DEAD: 1 not yet taken by their provider, 30 acknowledged by their \
                      provider, live at worst until 2026-11-30T";
        assert!(said.starts_with(begins), "{said}");
        assert!(said.ends_with("follow with `lanyard kill watch K-1 --wait 10m`"));
    }

    #[test]
    fn u01_a_scope_without_a_live_lease_is_told_as_stopped_and_not_as_nothing() {
        let none = report("K-1", (0, 0, 0));
        let note = "no lease of charter shop is live now; nothing new is issued there";
        assert_eq!(verdict(&none, Told::Order(note)), format!("K-1: {note}"));
        let said = verdict(&none, Told::Nothing);
        assert_eq!(
            said,
            "K-1: no lease is in its reach; nothing new is issued there"
        );
        let mut nothing = none.clone();
        nothing.order.as_mut().unwrap().reaches_nothing = true;
        let said = verdict(&nothing, Told::Nothing);
        assert!(
            said.starts_with("K-1 is engaged and REACHES NOTHING: "),
            "{said}"
        );
        assert!(
            said.ends_with("lanyard kill withdraw K-1 --reason …"),
            "{said}"
        );
        // Once lifted, there is nothing to lift.
        nothing.order.as_mut().unwrap().lifted = "everything".to_owned();
        let said = verdict(&nothing, Told::Nothing);
        assert_eq!(said, "K-1: no lease is in its reach; the order is lifted");
        let mut lifted = none;
        lifted.order.as_mut().unwrap().lifted = "everything".to_owned();
        let said = verdict(&lifted, Told::Nothing);
        assert_eq!(said, "K-1: no lease is in its reach; the order is lifted");
    }

    #[test]
    fn u15_a_report_names_who_answers_for_what_was_stopped() {
        let stopped = |charter: &str, technical: &str| v1::StoppedCharter {
            charter: charter.to_owned(),
            owners: Some(v1::CharterOwners {
                technical: technical.to_owned(),
                ..v1::CharterOwners::default()
            }),
        };
        let mut report = report("K-1", (1, 0, 0));
        assert_eq!(owners(&report), [""; 0]);
        report.charters = vec![
            stopped("shop", "team-shop"),
            stopped("pay", "sre"),
            stopped("cart", "team-shop"),
        ];
        let lines = [
            "owner of charter pay: sre",
            "owner of charters shop, cart: team-shop",
        ];
        assert_eq!(owners(&report), lines);
        report.charters = (0..9)
            .map(|it| stopped(&format!("c{it}"), &format!("o{it}")))
            .collect();
        assert_eq!(owners(&report).len(), OWNERS_SHOWN + 1);
    }
}
