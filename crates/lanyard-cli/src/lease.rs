//! `lanyard request` and `lanyard lease`.

use clap::{Args, Subcommand};
use lanyard_client::{ClientError, v1};
use lanyard_vocabulary::count::{counted, verb_for};
use lanyard_vocabulary::time::Ttl;

use crate::outcome::Outcome;
use crate::output::{Output, print_one};
use crate::table::{Rows, key, prose, whole};
use crate::terminal::{Screen, say};
use crate::{Global, span, words};

#[derive(Args)]
pub(crate) struct Request {
    /// The id of the task that asks.
    #[arg(long)]
    task: String,
    /// The grant of its charter.
    grant: String,
    /// The approved plan that an apply goes with.
    #[arg(long)]
    plan: Option<String>,
    /// For less time than the charter allows: `90s`, `5m`.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    ttl: Option<Ttl>,
    /// Decide, and mint nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List leases that are not dead: your own; an operator sees all.
    List(List),
    /// Show one lease: whose it is, how far its end has got, and why it ends.
    #[command(visible_alias = "show")]
    Get {
        /// The id of the lease to show.
        id: String,
    },
    /// Give a lease back before its time.
    Release {
        /// The id of the lease to release.
        id: String,
    },
}

#[derive(Args)]
pub(crate) struct List {
    /// List the dead ones as well
    #[arg(long)]
    all: bool,
    /// Only leases of one agent, named as `lanyard kill --agent` takes it
    #[arg(long, default_value = "", hide_default_value = true)]
    agent: String,
    /// Only leases under one charter
    #[arg(long, default_value = "", hide_default_value = true)]
    charter: String,
    /// Only leases in one environment
    #[arg(long, default_value = "", hide_default_value = true)]
    environment: String,
    /// Only leases on one target
    #[arg(long, default_value = "", hide_default_value = true)]
    target: String,
    /// Only leases of one task, and of the tasks below it
    #[arg(long, default_value = "", hide_default_value = true)]
    task: String,
}

/// So many leases are listed on a terminal; all of them with `-o json`, or where the list goes to a
/// file or a pipe.
const LISTED_ON_SCREEN: usize = 500;

async fn issue(global: &Global, request: Request) -> Result<v1::IssueCredentialResponse, Outcome> {
    let ask = v1::IssueCredentialRequest {
        task_id: request.task,
        grant: request.grant,
        plan_id: request.plan.unwrap_or_default(),
        validate_only: request.dry_run,
        ttl: request.ttl.map(|ttl| prost_duration(ttl.as_secs().into())),
        request_id: String::new(),
    };
    Ok(global.client().await?.issue_credential(ask).await?)
}

fn prost_duration(seconds: i64) -> lanyard_client::Span {
    lanyard_client::Span { seconds, nanos: 0 }
}

pub(crate) async fn request(global: &Global, request: Request) -> Result<(), Outcome> {
    let dry = request.dry_run;
    let issued = issue(global, request).await?;
    if dry {
        say("this would be issued");
        return Ok(());
    }
    let revocability = issued.revocability.unwrap_or_default();
    let bound = revocability
        .worst_case
        .and_then(|worst| u64::try_from(worst.seconds).ok())
        .map(|worst| span::shown(std::time::Duration::from_secs(worst)));
    let lease = issued.lease_id.clone();
    print_one(
        global.output,
        &[
            ("lease", issued.lease_id),
            ("expires", shown(issued.expire_time)),
            ("revoked by", revocability.mechanism),
            (
                "at worst within",
                bound.unwrap_or_else(|| {
                    "unbounded: open streams, or what it hands on, outlive a kill".to_owned()
                }),
            ),
        ],
    );
    global.note(format_args!(
        "nobody keeps the secret of this lease: a tool gets one with lanyard creds or lanyard exec, each under a further lease\n\
         give this one back: lanyard lease release {lease}"
    ));
    Ok(())
}

pub(crate) fn shown(at: Option<lanyard_client::Time>) -> String {
    at.and_then(|at| jiff::Timestamp::from_second(at.seconds).ok())
        .map_or_else(String::new, |at| at.to_string())
}

/// The time to the millisecond, so that records of one second can be put in order.
pub(crate) fn shown_exactly(at: Option<lanyard_client::Time>) -> String {
    at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok())
        .map_or_else(String::new, |at| format!("{at:.3}"))
}

pub(crate) async fn run(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::Release { id } => {
            let mut client = global.client().await?;
            client
                .release_lease(v1::ReleaseLeaseRequest { id: id.clone() })
                .await?;
            global.note(format_args!("released {id}; it is being revoked"));
            Ok(())
        }
        Command::List(asked) => list(global, asked).await,
        Command::Get { id } => get(global, id).await,
    }
}

async fn get(global: &Global, id: String) -> Result<(), Outcome> {
    const GONE: &str = "a lease leaves the books some time after its end: `lanyard audit query L-…` has its records";
    let mut client = global.client().await?;
    let found = client.get_lease(v1::GetLeaseRequest { id }).await;
    let found = found.map_err(|error| {
        if matches!(error, ClientError::NotFound(_)) {
            Outcome::ClientThen(error, GONE.to_owned())
        } else {
            Outcome::Client(error)
        }
    })?;
    print_one(global.output, &fields(found.lease.unwrap_or_default()));
    Ok(())
}

fn fields(lease: v1::Lease) -> Vec<(&'static str, String)> {
    let state = state(lease.state()).to_owned();
    let worst = match lease.worst_expire_time {
        None => "until a revocation ends it".to_owned(),
        at => shown(at),
    };
    let mut fields = vec![
        ("lease", lease.id),
        ("state", state),
        ("ends because", lease.cause),
        ("kill", lease.kill_id),
        ("agent", lease.agent),
        ("task", lease.task_id),
        ("charter", lease.charter),
        ("grant", lease.grant),
        ("role", lease.role),
        ("environment", lease.environment),
        ("target", lease.target),
        ("approval", lease.approval_id),
        ("asked for", shown(lease.request_time)),
        ("expires", shown(lease.expire_time)),
        ("at worst", worst),
    ];
    fields.retain(|(_, value)| !value.is_empty());
    fields
}

async fn list(global: &Global, asked: List) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let mut request = v1::ListLeasesRequest {
        live_only: !asked.all,
        agent: asked.agent,
        charter: asked.charter,
        environment: asked.environment,
        target: asked.target,
        task_id: asked.task,
        ..v1::ListLeasesRequest::default()
    };
    let (mut leases, mut unknown) = (Vec::new(), Vec::new());
    loop {
        let page = client.list_leases(request.clone()).await?;
        leases.extend(page.leases);
        unknown.extend(page.unknown_names);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let is_document = global.output.is_document();
    // A person reads why nothing is listed, and not the heads of empty columns.
    if leases.is_empty() && !unknown.is_empty() && !is_document {
        return known(unknown);
    }
    let is_cut = global.output == Output::Table && Screen::columns(&std::io::stdout()).is_some();
    let (all, most) = (
        leases.len(),
        if is_cut { LISTED_ON_SCREEN } else { usize::MAX },
    );
    leases.truncate(most);
    table(leases, is_document).print(global.output);
    if all > most {
        let more = all - most;
        global.note(format_args!(
            "and {more} more: name --agent, --charter, --environment, --target or --task; `lanyard who` counts them by agent"
        ));
    }
    known(unknown)
}

/// A listing that is empty because a name is nobody's ends as a slip does.
///
/// # Errors
/// Why, for each name that nothing has.
pub(crate) fn known(unknown: Vec<String>) -> Result<(), Outcome> {
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Outcome::usage(unknown.join("\n")))
}

/// People see who can do something where; programs read every field.
fn table(leases: Vec<v1::Lease>, is_document: bool) -> Rows {
    if is_document {
        let mut rows = Rows::new(&[
            "lease",
            "state",
            "agent",
            "task",
            "charter",
            "grant",
            "role",
            "environment",
            "target",
            "expires",
            "kill",
        ]);
        for lease in leases {
            let state = state(lease.state()).to_owned();
            let expires = shown(lease.expire_time);
            rows.push([
                lease.id,
                state,
                lease.agent,
                lease.task_id,
                lease.charter,
                lease.grant,
                lease.role,
                lease.environment,
                lease.target,
                expires,
                lease.kill_id,
            ]);
        }
        return rows;
    }
    let mut rows = Rows::of([
        key("lease"),
        whole("agent", 1),
        whole("environment", 2),
        whole("target", 3),
        whole("role", 5),
        whole("state", 4),
        whole("task", 7),
        prose("grant", 6, 20),
    ]);
    for lease in leases {
        let left = span::until(lease.expire_time);
        let state = match (lease.state() == v1::LeaseState::Issued, left.as_str()) {
            (true, "over" | "") => left,
            (true, _) => format!("{left} left"),
            (false, _) => state(lease.state()).to_owned(),
        };
        rows.push([
            lease.id,
            subject(&lease.agent).to_owned(),
            lease.environment,
            lease.target,
            lease.role,
            state,
            lease.task_id,
            format!("{} of {}", lease.grant, lease.charter),
        ]);
    }
    rows
}

/// Returns the part of an agent's name that tells it from others of its issuer.
pub(crate) fn subject(agent: &str) -> &str {
    agent.split_once('#').map_or(agent, |(_, subject)| subject)
}

/// `lanyard who`: the agents that hold something now.
pub(crate) async fn who(global: &Global) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    let held = client.list_holders(v1::ListHoldersRequest {}).await?;
    holders(&held.holders, global.output.is_document()).print(global.output);
    let live: u64 = held.holders.iter().map(|holder| holder.live_leases).sum();
    let stopping: u64 = held
        .holders
        .iter()
        .map(|holder| holder.stopping_leases)
        .sum();
    if global.output == Output::Table {
        let agents = held.holders.len();
        let (leases, of) = (counted(live, "live lease"), counted(agents as u64, "agent"));
        global.note(match (agents, stopping) {
            (0, _) => "no agent holds a live lease".to_owned(),
            (_, 0) => {
                format!("{leases} of {of}; stop one with: lanyard kill --agent AGENT --reason …")
            }
            (_, _) => format!(
                "{leases} of {of}, and {stopping} that {} being stopped",
                verb_for(stopping, "is", "are")
            ),
        });
    }
    Ok(())
}

fn holders(holders: &[v1::Holder], is_document: bool) -> Rows {
    let mut rows = if is_document {
        Rows::new(&[
            "agent",
            "kill_as",
            "live",
            "stopping",
            "tasks",
            "environments",
            "targets",
            "charters",
        ])
    } else {
        Rows::of([
            key("agent"),
            key("live"),
            whole("stopping", 1),
            whole("tasks", 4),
            prose("environments", 2, 12),
            prose("targets", 3, 12),
        ])
    };
    for holder in holders {
        let (live, stopping) = (
            holder.live_leases.to_string(),
            holder.stopping_leases.to_string(),
        );
        let tasks = holder.tasks.to_string();
        let places = [&holder.environments, &holder.targets, &holder.charters];
        let [environments, targets, charters] = places.map(|names| names.join(","));
        if is_document {
            let (agent, kill_as) = (holder.agent.clone(), holder.kill_as.clone());
            rows.push([
                agent,
                kill_as,
                live,
                stopping,
                tasks,
                environments,
                targets,
                charters,
            ]);
        } else {
            // What is printed is what a shell hands to a kill.
            let agent = words::pasted([holder.kill_as.clone()]);
            rows.push([agent, live, stopping, tasks, environments, targets]);
        }
    }
    rows
}

/// A state in the words of the product.
pub(crate) const fn state(state: v1::LeaseState) -> &'static str {
    match state {
        v1::LeaseState::Unspecified => "unknown",
        v1::LeaseState::Intent => "intent",
        v1::LeaseState::Issued => "issued",
        v1::LeaseState::Fenced => "fenced",
        v1::LeaseState::Requested => "requested",
        v1::LeaseState::Acknowledged => "acknowledged",
        v1::LeaseState::PresumedDead => "presumed dead",
        v1::LeaseState::ProvedDead => "proved dead",
        v1::LeaseState::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    fn names(what: &str) -> Vec<String> {
        (0..3)
            .map(|number| format!("{what}-of-some-team-{number}"))
            .collect()
    }

    #[test]
    fn u04_who_fits_a_small_screen_and_names_agents_whole() {
        let subject = "system:serviceaccount:agents:router";
        let holder = v1::Holder {
            agent: format!("https://oidc.eks.eu-west-1.amazonaws.example/id/0123#{subject}"),
            kill_as: "router".to_owned(),
            live_leases: 123_456,
            stopping_leases: 12,
            tasks: 1000,
            charters: names("charter"),
            environments: names("environment"),
            targets: names("target"),
            last_expire_time: None,
        };
        let long = v1::Holder {
            kill_as: "a".repeat(32),
            ..holder.clone()
        };
        let rows = holders(&[holder, long], false);
        let shown = rows.shown(Some(80));
        assert_eq!(shown.lines().count(), 3, "{shown}");
        assert!(shown.lines().all(|line| text::width(line) <= 80), "{shown}");
        assert!(shown.contains("\nrouter "), "{shown}");
        assert!(shown.contains(&"a".repeat(32)), "{shown}");
    }

    #[test]
    fn u04_a_lease_is_listed_with_its_agent_and_where_it_works() {
        let lease = v1::Lease {
            id: "L-01KBA7M4X8R2V5T9W3Y6Z0C1DE".to_owned(),
            agent: "https://agents.acme.example#agent:router".to_owned(),
            environment: "production".to_owned(),
            target: "shop".to_owned(),
            role: "plan".to_owned(),
            state: v1::LeaseState::Issued.into(),
            ..v1::Lease::default()
        };
        let shown = table(vec![lease], false).shown(Some(80));
        let row = shown.lines().find(|line| line.starts_with("L-")).unwrap();
        for what in ["agent:router", "production", "shop", "plan"] {
            assert!(row.contains(what), "{shown}");
        }
    }
}
