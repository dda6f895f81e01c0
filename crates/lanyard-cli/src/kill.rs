//! `lanyard kill` and `lanyard rearm`. Killing is quick; re-arming takes two people.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use lanyard_client::{Client, ticket, v1};
use lanyard_core::document::escaped;
use serde_json::json;

use crate::Global;
use crate::lease::{shown, state};
use crate::outcome::Outcome;
use crate::output::{Output, Rows};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Kill {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    scope: ScopeArguments,
    /// Why.
    #[arg(long, required = true)]
    reason: Option<String>,
    /// Which role to stop.
    #[arg(long, value_enum, default_value_t = Role::Both)]
    role: Role,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Follow until everything is confirmed, at most this many seconds; without it, until every provider has
    /// acknowledged, at most a minute.
    #[arg(long)]
    wait: Option<u64>,
}

#[derive(Subcommand)]
enum Command {
    /// The kill orders, newest first.
    List,
    /// Sign a ticket, offline: a bearer token for `/v1/kill` that needs no identity provider.
    Ticket(Ticket),
    /// Follow how far an order got.
    Watch {
        /// The order.
        id: String,
        /// Follow until everything is confirmed, at most this many seconds.
        #[arg(long)]
        wait: Option<u64>,
    },
}

#[derive(Args)]
struct Ticket {
    /// The offline key: Ed25519, PKCS #8.
    #[arg(long)]
    key: PathBuf,
    /// The key's name in the broker's `kill_tickets`.
    #[arg(long)]
    kid: String,
    /// The broker's `audience`.
    #[arg(long)]
    audience: String,
    /// How long it is good for; a year at most.
    #[arg(long, default_value_t = 90)]
    days: u32,
    #[command(flatten)]
    scope: ScopeArguments,
}

impl Ticket {
    fn sign(self) -> Result<String, Outcome> {
        use v1::scope::Kind;
        let scope = match self.scope.kind() {
            Some(Kind::Environment(name)) => json!({"environment": name}),
            Some(Kind::Target(name)) => json!({"target": name}),
            Some(Kind::Charter(name)) => json!({"charter": name}),
            Some(Kind::Agent(name)) => json!({"agent": name}),
            Some(Kind::TaskId(id)) => json!({"task": id}),
            Some(Kind::LeaseId(id)) => json!({"lease": id}),
            Some(Kind::All(_)) | None => json!("all"),
        };
        let life = Duration::from_secs(u64::from(self.days) * 24 * 3600);
        let signed = ticket::sign(&self.key, &self.kid, &self.audience, &scope, life);
        signed.map_err(|error| Outcome::usage(error.to_string()))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Both,
    Apply,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct ScopeArguments {
    /// Everything.
    #[arg(long)]
    all: bool,
    /// One environment.
    #[arg(long)]
    environment: Option<String>,
    /// One target.
    #[arg(long)]
    target: Option<String>,
    /// One charter.
    #[arg(long)]
    charter: Option<String>,
    /// One agent.
    #[arg(long)]
    agent: Option<String>,
    /// One task.
    #[arg(long)]
    task: Option<String>,
    /// One lease.
    #[arg(long)]
    lease: Option<String>,
}

impl ScopeArguments {
    fn kind(self) -> Option<v1::scope::Kind> {
        use v1::scope::Kind;
        let all = self.all.then_some(Kind::All(true));
        all.or(self.environment.map(Kind::Environment))
            .or(self.target.map(Kind::Target))
            .or(self.charter.map(Kind::Charter))
            .or(self.agent.map(Kind::Agent))
            .or(self.task.map(Kind::TaskId))
            .or(self.lease.map(Kind::LeaseId))
    }
}

pub(crate) async fn run(global: &Global, kill: Kill) -> Result<(), Outcome> {
    if let Some(Command::Ticket(ticket)) = kill.command {
        println!("{}", ticket.sign()?);
        return Ok(());
    }
    let mut client = global.client().await?;
    match kill.command {
        Some(Command::List) => return list(global, &mut client).await,
        Some(Command::Watch { id, wait }) => return watch(global, &mut client, id, wait).await,
        Some(Command::Ticket(_)) | None => {}
    }
    let roles = match kill.role {
        Role::Both => v1::RoleFilter::Both,
        Role::Apply => v1::RoleFilter::ApplyOnly,
    };
    let mut request = v1::EngageKillRequest {
        scope: Some(v1::Scope {
            kind: kill.scope.kind(),
        }),
        roles: roles.into(),
        reason: kill.reason.unwrap_or_default(),
        validate_only: true,
    };
    if !kill.yes {
        let radius = client.engage_kill(request.clone()).await?.live_leases;
        // Everything at once is asked for by the name of the place, so that nobody stops the wrong one.
        let all = matches!(
            request.scope,
            Some(v1::Scope {
                kind: Some(v1::scope::Kind::All(_))
            })
        );
        let name = global.context()?.file_stem().unwrap_or_default();
        let name = all.then(|| name.to_string_lossy().into_owned());
        confirm(&radius, name.as_deref())?;
    }
    request.validate_only = false;
    let engaged = client.engage_kill(request).await?;
    let id = engaged.order.unwrap_or_default().id;
    let took = engaged.fenced_in.unwrap_or_default();
    let seconds = f64::from(took.nanos) / 1e9;
    eprintln!("FENCED {id} {seconds:.4}s");
    if !engaged.durable {
        let line = format!("{id} is in effect in this process only: the journal cannot be written");
        return Err(Outcome::Unconfirmed(line));
    }
    watch(global, &mut client, id, kill.wait).await
}

fn confirm(
    radius: &std::collections::HashMap<String, u64>,
    name: Option<&str>,
) -> Result<(), Outcome> {
    if !std::io::stdin().is_terminal() {
        return Err(Outcome::usage("without a terminal, say --yes"));
    }
    let sorted: BTreeMap<_, _> = radius.iter().collect();
    eprintln!(
        "Live leases that this stops: {}",
        radius.values().sum::<u64>()
    );
    sorted
        .iter()
        .for_each(|(target, count)| eprintln!("  {count:>8}  {}", escaped(target)));
    match name {
        Some(name) => eprint!("Type `{}` to kill everything there: ", escaped(name)),
        None => eprint!("Press Enter to kill, Ctrl-C to leave: "),
    }
    let mut typed = String::new();
    std::io::stderr()
        .flush()
        .and_then(|()| std::io::stdin().read_line(&mut typed))
        .map_err(|error| Outcome::usage(error.to_string()))?;
    // Without the end of a line nothing was entered: the terminal was closed.
    let entered = typed.strip_suffix('\n').map(str::trim);
    if entered.is_some_and(|entered| name.is_none_or(|name| name == entered)) {
        return Ok(());
    }
    Err(Outcome::usage("nothing was stopped"))
}

async fn list(global: &Global, client: &mut Client) -> Result<(), Outcome> {
    let orders = client
        .list_kill_orders(v1::ListKillOrdersRequest {})
        .await?
        .orders;
    let mut rows = Rows::new(&["order", "scope", "lifted", "by", "at", "reason"]);
    for order in orders {
        let at = shown(order.engage_time);
        let scope = scope(order.scope);
        rows.push([
            order.id,
            scope,
            order.lifted,
            order.engaged_by,
            at,
            order.reason,
        ]);
    }
    rows.print(global.output);
    Ok(())
}

fn scope(scope: Option<v1::Scope>) -> String {
    use v1::scope::Kind;
    match scope.and_then(|scope| scope.kind) {
        None => String::new(),
        Some(Kind::All(_)) => "everything".to_owned(),
        Some(Kind::Environment(name)) => format!("environment {name}"),
        Some(Kind::Target(name)) => format!("target {name}"),
        Some(Kind::Charter(name)) => format!("charter {name}"),
        Some(Kind::Agent(name)) => format!("agent {name}"),
        Some(Kind::TaskId(id) | Kind::LeaseId(id)) => id,
    }
}

/// How long a watch goes on at most, where nothing else was said.
const PATIENCE: Duration = Duration::from_secs(60);

/// Follows an order and prints its report. Without `wait`, that is until every provider has acknowledged: what
/// some of them then still need is time, which the report names.
async fn watch(
    global: &Global,
    client: &mut Client,
    id: String,
    wait: Option<u64>,
) -> Result<(), Outcome> {
    let mut reports = client.watch_kill(id.clone()).await?;
    let mut last = v1::WatchKillResponse::default();
    let mut progress = Progress::default();
    let follow = async {
        while let Some(report) = reports
            .message()
            .await
            .map_err(lanyard_client::ClientError::from)?
        {
            last = report;
            progress.show(&last);
            if wait.is_none() && last.unswept == 0 && last.requested == 0 {
                break;
            }
        }
        Ok::<(), Outcome>(())
    };
    let patience = wait.map_or(PATIENCE, Duration::from_secs);
    if let Ok(ended) = tokio::time::timeout(patience, follow).await {
        ended?;
    }
    progress.end();
    print_report(global.output, &last);
    if last.confirmed {
        return Ok(());
    }
    let acknowledged = last.acknowledged;
    let open = last.unswept + last.requested + acknowledged;
    Err(Outcome::Unconfirmed(format!(
        "{id}: {open} revocations are not confirmed, of which {acknowledged} are acknowledged by their provider; \
         follow with `lanyard kill watch {id} --wait 600`"
    )))
}

/// How far an order got, on stderr: one line that changes in place on a terminal, a line a change elsewhere.
#[derive(Default)]
struct Progress {
    shown: String,
}

impl Progress {
    fn show(&mut self, report: &v1::WatchKillResponse) {
        let counts = [
            (report.dead, "dead"),
            (report.acknowledged, "acknowledged"),
            (report.requested, "requested"),
            (report.unswept, "fenced"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let parts = counts.map(|(count, what)| format!("{count} {what}"));
        let line = parts.collect::<Vec<_>>().join(", ");
        if line.is_empty() || line == self.shown {
            return;
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[2K{line}");
        } else {
            eprintln!("{line}");
        }
        self.shown = line;
    }

    fn end(&self) {
        if !self.shown.is_empty() && std::io::stderr().is_terminal() {
            eprintln!();
        }
    }
}

fn print_report(output: Output, report: &v1::WatchKillResponse) {
    let mut rows = Rows::new(&["lease", "target", "state", "live at worst until"]);
    for line in &report.lines {
        let mut state = state(line.state()).to_owned();
        if line.collateral {
            state.push_str(" (collateral)");
        }
        rows.push([
            line.lease_id.clone(),
            line.target.clone(),
            state,
            shown(line.worst_expire_time),
        ]);
    }
    rows.print(output);
    let all = report.requested + report.acknowledged + report.dead;
    let more = all.saturating_sub(report.lines.len() as u64);
    if more > 0 {
        eprintln!("and {more} more, no further from dead than these");
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Stage {
    /// Let the plan role be issued again.
    Plan,
    /// Let the apply role be issued again.
    Apply,
}

#[derive(Args)]
pub(crate) struct Rearm {
    /// The kill order to propose for, or the proposal to confirm.
    id: String,
    /// Which step to propose.
    #[arg(long, value_enum, default_value_t = Stage::Plan)]
    stage: Stage,
    /// Why; for a proposal.
    #[arg(long)]
    reason: Option<String>,
    /// Confirm another person's proposal.
    #[arg(long, conflicts_with = "reason")]
    confirm: bool,
    /// Even while revocations of the order are not confirmed; both people have to say so.
    #[arg(long)]
    despite_unconfirmed: bool,
}

pub(crate) async fn rearm(global: &Global, rearm: Rearm) -> Result<(), Outcome> {
    let mut client = global.client().await?;
    if rearm.confirm {
        let request = v1::ConfirmRearmRequest {
            rearm_id: rearm.id,
            despite_unconfirmed: rearm.despite_unconfirmed,
        };
        let order = client
            .confirm_rearm(request)
            .await?
            .order
            .unwrap_or_default();
        eprintln!("{} is lifted for: {}", order.id, order.lifted);
        return Ok(());
    }
    let reason = rearm
        .reason
        .ok_or_else(|| Outcome::usage("a proposal needs --reason"))?;
    let stage = match rearm.stage {
        Stage::Plan => v1::RearmStage::Plan,
        Stage::Apply => v1::RearmStage::Apply,
    };
    let request = v1::ProposeRearmRequest {
        kill_id: rearm.id,
        stage: stage.into(),
        reason,
        despite_unconfirmed: rearm.despite_unconfirmed,
    };
    println!("{}", client.propose_rearm(request).await?.rearm_id);
    eprintln!("another person has to confirm it within the hour: lanyard rearm --confirm <id>");
    Ok(())
}
