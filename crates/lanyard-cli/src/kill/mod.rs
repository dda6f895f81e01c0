//! `lanyard kill` and `lanyard rearm`. Killing is quick; re-arming takes two people.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use clap::{Args, Subcommand, ValueEnum};
use lanyard_client::{Client, v1};
use lanyard_core::document::escaped;

use crate::Global;
use crate::lease::shown;
use crate::outcome::Outcome;
use crate::output::Rows;

mod break_glass;
mod document;
mod rearm;
mod screen;
mod ticket;
mod trial;
mod watch;

use break_glass::BreakGlass;
pub(crate) use rearm::{Rearm, rearm};
pub(crate) use screen::span;
use ticket::Ticket;
use trial::Trial;
use watch::watch;

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
    /// Sign with a break-glass key: a bearer token for `/v1/kill`, for ten minutes.
    BreakGlass(BreakGlass),
    /// Sign a ticket, offline: a bearer token for `/v1/kill` that needs no identity provider.
    Ticket(Ticket),
    /// As an agent: get a credential, have a breaker kill its task, and see that nothing more is given.
    Test(Trial),
    /// How far an order got, now; `-o json` gives the whole report, lease by lease.
    Show {
        /// The order.
        id: String,
    },
    /// Follow how far an order got.
    Watch {
        /// The order.
        id: String,
        /// Follow until everything is confirmed, at most this many seconds.
        #[arg(long)]
        wait: Option<u64>,
    },
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
    if let Some(Command::BreakGlass(key)) = kill.command {
        println!("{}", key.sign()?);
        return Ok(());
    }
    if let Some(Command::Ticket(ticket)) = kill.command {
        println!("{}", ticket.sign()?);
        return Ok(());
    }
    if let Some(Command::Test(trial)) = kill.command {
        return trial.run(global).await;
    }
    let mut client = global.client().await?;
    match kill.command {
        Some(Command::List) => return list(global, &mut client).await,
        Some(Command::Watch { id, wait }) => return watch(global, client, id, wait).await,
        Some(Command::Show { id }) => return watch::show(global, client, id).await,
        Some(Command::Ticket(_) | Command::BreakGlass(_) | Command::Test(_)) | None => {}
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
        request_id: String::new(),
    };
    if !kill.yes {
        let looked = client.engage_kill(request.clone()).await?;
        if !looked.unknown_name.is_empty() {
            eprintln!("lanyard: {}", escaped(&looked.unknown_name));
        }
        let radius = looked.live_leases;
        // Everything at once is asked for by the name of the place, so that nobody stops the wrong one.
        let all = matches!(
            request.scope,
            Some(v1::Scope {
                kind: Some(v1::scope::Kind::All(_))
            })
        );
        let context = global.context()?;
        let name = context.file_stem().unwrap_or_default();
        let name = all.then(|| name.to_string_lossy().into_owned());
        let what = stops(request.scope.clone(), roles);
        confirm(global, &what, &radius, name.as_deref())?;
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
    let followed = watch(global, client, id.clone(), kill.wait).await;
    followed.map_err(|outcome| unfollowed(outcome, &id))?;
    if !engaged.unknown_name.is_empty() {
        return Err(Outcome::Unconfirmed(format!(
            "{id} is engaged and stops nothing that lives: {}",
            escaped(&engaged.unknown_name)
        )));
    }
    Ok(())
}

/// Whoever engaged a kill is told how far it got, or that this is not known: never that the kill itself failed.
fn unfollowed(outcome: Outcome, id: &str) -> Outcome {
    match outcome {
        Outcome::Client(error) => Outcome::Unconfirmed(format!(
            "{id} is engaged; how far its revocations got is not known: {error}; ask again with `lanyard kill show {id}`"
        )),
        other @ (Outcome::Done
        | Outcome::Negative
        | Outcome::Usage(_)
        | Outcome::Unconfirmed(_)
        | Outcome::Pending(_)
        | Outcome::TimedOut(_)
        | Outcome::NotRun(_)
        | Outcome::Child(_)) => other,
    }
}

fn confirm(
    global: &Global,
    what: &str,
    radius: &HashMap<String, u64>,
    name: Option<&str>,
) -> Result<(), Outcome> {
    if !global.may_ask() {
        return Err(Outcome::usage("nobody can be asked here: say --yes"));
    }
    eprint!("{}", prompt(what, radius, name));
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

/// What an order over a scope stops, in words.
fn stops(asked: Option<v1::Scope>, roles: v1::RoleFilter) -> String {
    let roles = match roles {
        v1::RoleFilter::Both | v1::RoleFilter::Unspecified => "both roles",
        v1::RoleFilter::ApplyOnly => "the apply role",
    };
    format!("{}, {roles}", scope(asked))
}

/// What a person confirms: what is stopped, how much of it lives, and where.
fn prompt(what: &str, radius: &HashMap<String, u64>, name: Option<&str>) -> String {
    let sorted: BTreeMap<_, _> = radius.iter().collect();
    let all = radius.values().sum::<u64>();
    let mut prompt = format!("This stops {}. Live leases: {all}\n", escaped(what));
    for (target, count) in sorted {
        prompt.push_str(&format!("  {count:>8}  {}\n", escaped(target)));
    }
    prompt.push_str(&match name {
        Some(name) => format!("Type `{}` to kill everything there: ", escaped(name)),
        None => "Press Enter to kill, Ctrl-C to leave: ".to_owned(),
    });
    prompt
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

#[cfg(test)]
mod tests {
    use lanyard_client::ClientError;

    use super::*;

    #[test]
    fn a_prompt_asks_one_question_whatever_a_target_is_called() {
        for text in crate::text::tests::hostile() {
            let radius = HashMap::from([(text.clone(), 7)]);
            for name in [None, Some(text.as_str())] {
                let prompt = prompt(&format!("agent {text}, both roles"), &radius, name);
                let lines: Vec<&str> = prompt.lines().collect();
                let [count, target, question] = lines.as_slice() else {
                    unreachable!("{prompt}");
                };
                assert!(count.starts_with("This stops agent "), "{count}");
                assert!(count.ends_with(". Live leases: 7"), "{count}");
                assert!(target.starts_with("         7  "), "{target}");
                assert!(question.starts_with(['T', 'P']), "{question}");
                assert!(!prompt.contains(|c: char| c != '\n' && c.is_control()));
                assert!(prompt.len() < 4000);
            }
        }
    }

    #[test]
    fn a_message_is_one_line_whatever_the_broker_says() {
        for text in crate::text::tests::hostile() {
            let client = || Outcome::Client(ClientError::Unavailable(text.clone()));
            for outcome in [
                client(),
                unfollowed(client(), "K-1"),
                Outcome::Pending(text.clone()),
            ] {
                let line = outcome.told().1.unwrap();
                assert!(!line.contains(char::is_control), "{line}");
                assert!(line.len() <= 20_100);
            }
        }
    }

    #[test]
    fn s53_an_engaged_kill_that_cannot_be_followed_is_unconfirmed_and_no_failed_login() {
        for error in [
            ClientError::NotLoggedIn("expired".to_owned()),
            ClientError::Unavailable("gone".to_owned()),
            ClientError::NotFound("no".to_owned()),
        ] {
            let (code, line) = unfollowed(Outcome::Client(error), "K-1").told();
            let line = line.unwrap();
            assert_eq!(code, 8, "{line}");
            assert!(line.starts_with("K-1 is engaged; "), "{line}");
        }
    }
}
