//! Following an order, through lost connections, to its report.

use std::time::Duration;

use lanyard_client::{Client, ClientError, v1};

use super::screen::Screen;
use super::{document, stops};
use crate::Global;
use crate::lease::{shown, state};
use crate::outcome::Outcome;
use crate::output::{Output, Rows, print_one};

/// How long a watch goes on at most, where nothing else was said.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before a broker that went away is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often it is asked, where nothing else was said.
const TRIES: u32 = 5;
/// How many leases are listed for people; a document for programs has them all.
const LISTED: usize = 20;

/// Follows an order and prints its report. Without `wait`, that is until every provider has acknowledged: what
/// some of them then still need is time, which the report names.
pub(super) async fn watch(
    global: &Global,
    client: Client,
    id: String,
    wait: Option<u64>,
) -> Result<(), Outcome> {
    let mut following = Following {
        global,
        client,
        id,
        to_the_end: wait.is_some(),
        last: None,
        screen: Screen::new(global.quiet),
    };
    let patience = wait.map_or(PATIENCE, Duration::from_secs);
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
    finish(global, client, &last).await
}

/// One look.
pub(super) async fn show(global: &Global, mut client: Client, id: String) -> Result<(), Outcome> {
    let mut reports = client.watch_kill(id).await?;
    let report = reports.message().await.map_err(ClientError::from)?;
    finish(global, client, &report.unwrap_or_default()).await
}

struct Following<'a> {
    global: &'a Global,
    client: Client,
    id: String,
    to_the_end: bool,
    last: Option<v1::WatchKillResponse>,
    screen: Screen,
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
            if let Ok(client) = self.global.client().await {
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

/// Prints what is known, and says by the exit code whether that is the end.
async fn finish(
    global: &Global,
    mut client: Client,
    report: &v1::WatchKillResponse,
) -> Result<(), Outcome> {
    if global.output.is_document() {
        document::print(global.output, &mut client, report).await?;
    } else {
        if global.output == Output::Table {
            print_one(global.output, &head(report));
            println!();
        }
        print(global.output, report);
    }
    if report.confirmed {
        return Ok(());
    }
    let id = report.order.as_ref().map_or("", |order| &order.id);
    let acknowledged = report.acknowledged;
    let open = report.unswept + report.requested + acknowledged;
    Err(Outcome::Unconfirmed(format!(
        "{id}: {open} revocations are not confirmed, of which {acknowledged} are acknowledged by their provider; \
         follow with `lanyard kill watch {id} --wait 600`"
    )))
}

/// The order that the leases below it are of, and how far it got.
fn head(report: &v1::WatchKillResponse) -> [(&'static str, String); 6] {
    let order = report.order.clone().unwrap_or_default();
    let dead = report.dead;
    let all = dead + report.unswept + report.requested + report.acknowledged;
    let confirmed = if report.confirmed { "yes" } else { "no" };
    [
        ("order", order.id.clone()),
        ("scope", stops(order.scope.clone(), order.roles())),
        ("reason", order.reason),
        ("by", order.engaged_by),
        ("at", shown(order.engage_time)),
        ("confirmed", format!("{confirmed}: {dead} of {all} dead")),
    ]
}

fn print(output: Output, report: &v1::WatchKillResponse) {
    let mut rows = Rows::new(&["lease", "target", "state", "live at worst until", "why"]);
    for line in report.lines.iter().take(LISTED) {
        let mut state = state(line.state()).to_owned();
        if line.collateral {
            state.push_str(" (collateral)");
        }
        rows.push([
            line.lease_id.clone(),
            line.target.clone(),
            state,
            shown(line.worst_expire_time),
            line.why.clone(),
        ]);
    }
    rows.print(output);
    let all = report.requested + report.acknowledged + report.dead;
    let listed = report.lines.len().min(LISTED) as u64;
    let more = all.saturating_sub(listed);
    if more > 0 {
        eprintln!("{}", unlisted(more));
    }
}

/// The line for the leases that are not listed: those come first that are furthest from dead.
fn unlisted(count: u64) -> String {
    let (leases, they) = match count {
        1 => ("lease", "it is"),
        _ => ("leases", "each is"),
    };
    format!(
        "and {count} more {leases}: {they} at least as far revoked as the last one above; list all with -o json"
    )
}
