//! `lanyard kill` and `lanyard rearm`. Killing is quick; re-arming takes two people.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use lanyard_client::{Client, ClientError, Context, v1};
use lanyard_vocabulary::count::word_for;
use lanyard_vocabulary::text::escaped;
use serde_json::json;

use crate::outcome::Outcome;
use crate::terminal::say;
use crate::{Global, terminal, text};

mod break_glass;
mod document;
mod list;
mod plane;
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
use watch::{Told, watch};

/// So many identities of an agent are named beside its name.
const IDENTITIES_SHOWN: usize = 5;
/// So many targets are named before a kill is confirmed.
const TARGETS_SHOWN: usize = 10;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Kill {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    scope: ScopeArguments,
    /// The reason, for the record.
    #[arg(long, required = true)]
    reason: Option<String>,
    /// The role to stop.
    #[arg(long, value_enum, default_value_t = Role::Both)]
    role: Role,
    /// Do not ask for a confirmation.
    #[arg(long)]
    yes: bool,
    /// Follow until everything is confirmed, for this long at most; without it, until every
    /// provider has acknowledged, for a minute at most.
    #[arg(long, value_name = "SPAN", value_parser = crate::span::seconds)]
    wait: Option<u64>,
}

#[derive(Subcommand)]
enum Command {
    /// List kill orders, one line each: those that stop something, then those that are lifted.
    List(list::List),
    /// Lift an order that reaches nothing: one person may. Any other order takes a re-arm.
    Withdraw {
        /// The id of the kill order to withdraw.
        id: String,
        /// The reason, for the record.
        #[arg(long)]
        reason: String,
    },
    /// Sign with a break-glass key: a bearer token for `/v1/kill`, for ten minutes.
    BreakGlass(BreakGlass),
    /// Sign a ticket, offline: a bearer token for `/v1/kill` that needs no identity provider.
    Ticket(Ticket),
    /// Try it as an agent: get a credential, have a breaker kill its task, and see that nothing
    /// more is given.
    Test(Trial),
    /// Show how far an order got by now; `-o json` gives the whole report, lease by lease.
    Show {
        /// The id of the kill order to show.
        id: String,
    },
    /// Follow how far an order got.
    Watch {
        /// The id of the kill order to follow.
        id: String,
        /// Follow until everything is confirmed, for this long at most.
        #[arg(long, value_name = "SPAN", value_parser = crate::span::seconds)]
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
    /// Stop everything.
    #[arg(long)]
    all: bool,
    /// Stop one environment with all that runs in it.
    #[arg(long)]
    environment: Option<String>,
    /// Stop one target with all its leases.
    #[arg(long)]
    target: Option<String>,
    /// Stop one charter in all its revisions.
    #[arg(long)]
    charter: Option<String>,
    /// Stop one agent under all its identities.
    #[arg(long)]
    agent: Option<String>,
    /// Stop one task, with the tasks that it opened.
    #[arg(long)]
    task: Option<String>,
    /// Stop one lease, by its id.
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
    if let Some(command) = kill.command {
        return of_orders(global, command).await;
    }
    let roles = match kill.role {
        Role::Both => v1::RoleFilter::Both,
        Role::Apply => v1::RoleFilter::ApplyOnly,
    };
    let asked = kill.scope.kind();
    let mut request = v1::EngageKillRequest {
        scope: Some(v1::Scope {
            kind: asked.clone(),
        }),
        roles: roles.into(),
        reason: kill.reason.unwrap_or_default(),
        validate_only: true,
        // The broker and its kill plane may both get the order: together they engage it once.
        request_id: format!("{}-{}", std::process::id(), jiff::Timestamp::now()),
    };
    if !kill.yes {
        let (_, looked) = plane::engage(global, &request).await?;
        let what = stops(request.scope.clone(), roles);
        confirm(global, &what, &looked, &request)?;
    }
    request.validate_only = false;
    let (client, engaged) = plane::engage(global, &request).await?;
    let id = engaged.order.clone().unwrap_or_default().id;
    let took = engaged.fenced_in.unwrap_or_default();
    let seconds = took.seconds as f64 + f64::from(took.nanos) / 1e9;
    eprintln!("FENCED {id} {seconds:.4}s");
    if !engaged.durable {
        let line = format!("{id} is in effect in this process only: the journal cannot be written");
        return Err(Outcome::Unconfirmed(line));
    }
    if engaged.reaches_nothing {
        if global.output.is_document() {
            watch::document_of(global, client, &id, &engaged).await?;
        }
        return Err(nothing(&id, &engaged));
    }
    for line in reached_by_name(&engaged, asked.as_ref()) {
        say(text::line(&line));
    }
    let told = Told::Order(&engaged.note);
    let followed = watch(global, client, id.clone(), kill.wait, told).await;
    followed.map_err(|outcome| unfollowed(outcome, &id))
}

/// Runs a command about orders that are engaged.
async fn of_orders(global: &Global, command: Command) -> Result<(), Outcome> {
    match command {
        Command::BreakGlass(key) => println!("{}", key.sign()?),
        Command::Ticket(ticket) => println!("{}", ticket.sign()?),
        Command::Test(trial) => return trial.run(global).await,
        Command::List(asked) => {
            return list::run(global, plane::connect(global).await?, asked).await;
        }
        Command::Withdraw { id, reason } => {
            return withdraw(global, plane::connect(global).await?, id, reason).await;
        }
        Command::Watch { id, wait } => {
            let client = plane::connect(global).await?;
            return watch(global, client, id, wait, Told::Nothing).await;
        }
        Command::Show { id } => {
            return watch::show(global, plane::connect(global).await?, id).await;
        }
    }
    Ok(())
}

/// The last word about an order that reaches nothing.
fn nothing(id: &str, engaged: &v1::EngageKillResponse) -> Outcome {
    let line = format!(
        "{id} is engaged and REACHES NOTHING: {}\nkill again with the right name; lift this one with: lanyard kill withdraw {id} --reason …",
        text::line(&engaged.unknown_name)
    );
    let facts = json!({
        "kill_id": id,
        "unknown_name": engaged.unknown_name,
        "near_names": engaged.near_names,
    });
    Outcome::ReachesNothing(line, facts)
}

/// Lines for the identities that a name means, where the name is not one of them itself: every one
/// of them is stopped.
fn reached_by_name(
    engaged: &v1::EngageKillResponse,
    asked: Option<&v1::scope::Kind>,
) -> Vec<String> {
    let is_named = |identity: &String| match asked {
        Some(v1::scope::Kind::Agent(name)) => name.trim() == identity,
        Some(_) | None => false,
    };
    let others = engaged.identities.iter();
    let mut others = others.filter(|identity| !is_named(identity));
    let shown = others.by_ref().take(IDENTITIES_SHOWN);
    let mut lines: Vec<String> = shown
        .map(|identity| format!("it reaches {identity}"))
        .collect();
    let rest = engaged.identity_count.max(engaged.identities.len() as u64);
    let more = rest.saturating_sub(IDENTITIES_SHOWN as u64);
    if others.next().is_some() {
        lines.push(format!(
            "it reaches {more} more of that name: name one in full to stop that one alone"
        ));
    }
    lines
}

async fn withdraw(
    global: &Global,
    mut client: Client,
    id: String,
    reason: String,
) -> Result<(), Outcome> {
    let request = v1::WithdrawKillRequest { id, reason };
    let order = client.withdraw_kill(request).await?.order;
    let order = order.unwrap_or_default();
    let over = scope(order.scope);
    global.note(format_args!("{} over {over} is lifted", order.id));
    Ok(())
}

/// Tells whoever engaged a kill how far it got, or that this is not known: never that the kill
/// itself failed.
fn unfollowed(outcome: Outcome, id: &str) -> Outcome {
    match outcome {
        Outcome::Client(error) => Outcome::Unconfirmed(format!(
            "{id} is engaged; how far its revocations got is not known: {error}; ask again with `lanyard kill show {id}`"
        )),
        other @ (Outcome::Done
        | Outcome::Negative
        | Outcome::Usage(_)
        | Outcome::HeldUp(_)
        | Outcome::Unconfirmed(_)
        | Outcome::ReachesNothing(..)
        | Outcome::ClientThen(..)
        | Outcome::Pending(_)
        | Outcome::TimedOut(_)
        | Outcome::NotRun(_)
        | Outcome::Child(_)) => other,
    }
}

fn confirm(
    global: &Global,
    what: &str,
    looked: &v1::EngageKillResponse,
    request: &v1::EngageKillRequest,
) -> Result<(), Outcome> {
    if !global.may_ask() {
        return Err(Outcome::usage("nobody can be asked here: say --yes"));
    }
    // Everything at once is asked for by the name of the broker, so that nobody stops the wrong
    // one.
    let kind = request.scope.as_ref().and_then(|scope| scope.kind.as_ref());
    let all = matches!(kind, Some(v1::scope::Kind::All(_)));
    let context = Context::load(&global.context()?).map_err(ClientError::from)?;
    let name = all.then(|| context.broker());
    let typed = terminal::answer(&prompt(what, (looked, kind), name))
        .map_err(|error| Outcome::usage(error.to_string()))?;
    // Without the end of a line nothing was entered: the terminal was closed.
    let entered = typed.strip_suffix('\n').map(str::trim);
    if entered.is_some_and(|entered| name.is_none_or(|name| name == entered)) {
        return Ok(());
    }
    Err(Outcome::usage("nothing was stopped"))
}

/// Says in words what an order over a scope stops.
fn stops(asked: Option<v1::Scope>, roles: v1::RoleFilter) -> String {
    let roles = match roles {
        v1::RoleFilter::Both | v1::RoleFilter::Unspecified => "both roles",
        v1::RoleFilter::ApplyOnly => "the apply role",
    };
    format!("{}, {roles}", scope(asked))
}

/// Returns the question that a person confirms: what is stopped, how much of it lives, and where.
fn prompt(
    what: &str,
    (looked, kind): (&v1::EngageKillResponse, Option<&v1::scope::Kind>),
    name: Option<&str>,
) -> String {
    if looked.reaches_nothing {
        return format!(
            "This reaches nothing: {}\nPress Enter to engage it all the same, Ctrl-C to leave: ",
            text::line(&looked.unknown_name)
        );
    }
    let sorted: BTreeMap<_, _> = looked.live_leases.iter().collect();
    let all = looked.live_leases.values().sum::<u64>();
    let mut prompt = format!("This stops {}. Live leases: {all}\n", escaped(what));
    for (target, count) in sorted.iter().take(TARGETS_SHOWN) {
        prompt.push_str(&format!("  {count:>8}  {}\n", escaped(target)));
    }
    if let Some(more) = sorted.len().checked_sub(TARGETS_SHOWN).filter(|it| *it > 0) {
        let targets = word_for(more as u64, "target");
        prompt.push_str(&format!("            at {more} more {targets}\n"));
    }
    for line in reached_by_name(looked, kind) {
        prompt.push_str(&format!("  {}\n", text::line(&line)));
    }
    prompt.push_str(&match name {
        Some(name) => format!(
            "Type the broker's name, {}, to kill everything there: ",
            escaped(name)
        ),
        None => "Press Enter to kill, Ctrl-C to leave: ".to_owned(),
    });
    prompt
}

pub(crate) fn scope(scope: Option<v1::Scope>) -> String {
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
    use super::*;

    #[test]
    fn a_prompt_asks_one_question_whatever_a_target_is_called() {
        for text in crate::text::tests::hostile() {
            let looked = v1::EngageKillResponse {
                live_leases: [(text.clone(), 7)].into(),
                ..v1::EngageKillResponse::default()
            };
            for name in [None, Some(text.as_str())] {
                let what = format!("agent {text}, both roles");
                let prompt = prompt(&what, (&looked, None), name);
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
    fn u06_a_prompt_fits_a_small_screen_at_a_hundred_targets() {
        let looked = v1::EngageKillResponse {
            live_leases: (0..100).map(|it| (format!("target-{it}"), 10)).collect(),
            ..v1::EngageKillResponse::default()
        };
        let what = "everything, both roles";
        let prompt = prompt(what, (&looked, None), Some("lanyard.example"));
        assert!(prompt.starts_with("This stops everything, both roles. Live leases: 1000\n"));
        assert!(prompt.contains("at 90 more targets\n"), "{prompt}");
        let question = "Type the broker's name, lanyard.example, to kill everything there: ";
        assert!(prompt.ends_with(question), "{prompt}");
        assert!(prompt.lines().count() <= 14);
    }

    #[test]
    fn u01_a_prompt_says_that_an_order_reaches_nothing() {
        let looked = v1::EngageKillResponse {
            reaches_nothing: true,
            unknown_name: "no charter `shp` is known; did you mean `shop`?".to_owned(),
            ..v1::EngageKillResponse::default()
        };
        let prompt = prompt("charter shp, both roles", (&looked, None), None);
        assert!(
            prompt.starts_with("This reaches nothing: no charter `shp` is known; did you mean")
        );
        let (code, line) = nothing("K-1", &looked).told();
        let line = line.unwrap();
        assert_eq!(code, 10);
        assert!(
            line.starts_with("K-1 is engaged and REACHES NOTHING: no charter `shp`"),
            "{line}"
        );
        assert!(
            line.ends_with("lanyard kill withdraw K-1 --reason …"),
            "{line}"
        );
    }

    #[test]
    fn u01_every_agent_that_a_short_name_means_is_shown_before_and_after_a_kill() {
        let of = |number: usize| format!("https://issuer-{number}.example#agent:router");
        let looked = |count: usize| v1::EngageKillResponse {
            identities: (0..count.min(100)).map(of).collect(),
            identity_count: count as u64,
            ..v1::EngageKillResponse::default()
        };
        let asked = |name: &str| Some(v1::scope::Kind::Agent(name.to_owned()));
        assert_eq!(reached_by_name(&looked(1), asked(&of(0)).as_ref()), [""; 0]);
        let two = reached_by_name(&looked(2), asked("router").as_ref());
        assert_eq!(
            two,
            [
                format!("it reaches {}", of(0)),
                format!("it reaches {}", of(1))
            ]
        );
        let many = reached_by_name(&looked(300), asked("router").as_ref());
        assert_eq!(many.len(), 6);
        assert!(
            many[5].starts_with("it reaches 295 more of that name"),
            "{many:?}"
        );
        let prompt = prompt(
            "agent router, both roles",
            (&looked(2), asked("router").as_ref()),
            None,
        );
        assert!(
            prompt.contains(&format!("\n  it reaches {}\n", of(1))),
            "{prompt}"
        );
    }

    #[test]
    fn u01_a_near_name_is_told_whole() {
        let long = format!(
            "https://oidc.eks.eu-west-1.amazonaws.example/id/{}#system:serviceaccount:agents:router",
            "7".repeat(200)
        );
        let looked = v1::EngageKillResponse {
            reaches_nothing: true,
            unknown_name: format!("no agent `ruter` is known; did you mean `{long}`?"),
            near_names: vec![long.clone()],
            ..v1::EngageKillResponse::default()
        };
        let prompt = prompt("agent ruter, both roles", (&looked, None), None);
        assert!(prompt.contains(&format!("`{long}`?")), "{prompt}");
        let line = nothing("K-1", &looked).told().1.unwrap();
        assert!(line.contains(&format!("`{long}`?")), "{line}");
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
