//! `lanyardd kill --local`: stops a scope from the data directory, with or without a running daemon
//! (T75).

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::lease::Progress;
use lanyard_engine::clock::{Clock as _, Randomness as _, SystemClock, SystemRandomness};
use lanyard_engine::reach::BlastRadius;
use lanyard_engine::report::KillReport;
use lanyard_journal::OpenError;
use lanyard_ledger::StartError;
use lanyard_vocabulary::count::{verb_for, word_for};
use lanyard_vocabulary::id::KillId;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::text::{escaped, visible};
use tokio::sync::{oneshot, watch};

use crate::asked_scope::AskedScope;
use crate::broker::Broker;
use crate::config::Config;
use crate::machine::Machine;
use crate::spool::{Spool, bounded};
use crate::terminal::say;
use crate::wire;

/// The time for which a running daemon has to take the order over.
const TAKEN_OVER: Duration = Duration::from_secs(10);
/// The time for which revocations are followed.
const FOLLOWED: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// Identities of an agent's name that are told one by one.
const IDENTITIES_SHOWN: usize = 10;
/// The time for which the charter directory has to be read.
const LEARNED: Duration = Duration::from_secs(2);

/// The scope to stop.
#[derive(Args)]
pub(crate) struct LocalKill {
    /// On this machine, in the data directory of the configuration; no network, no identity
    /// provider.
    #[arg(long, required = true)]
    local: bool,
    #[command(flatten)]
    scope: LocalScope,
    /// The reason, for the record.
    #[arg(long)]
    reason: String,
    /// The role to stop.
    #[arg(long, value_enum, default_value_t = LocalRole::Both)]
    role: LocalRole,
    /// Stop the apply role alone: the same as `--role apply`.
    #[arg(long, conflicts_with = "role")]
    apply_only: bool,
    /// The order, which root has kept already for the owner of the data directory.
    #[arg(long, hide = true)]
    kept: Option<KillId>,
}

/// The roles, as `lanyard kill` names them.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LocalRole {
    Both,
    Apply,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct LocalScope {
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
}

impl LocalScope {
    fn scope(self) -> Result<Scope> {
        let asked = match (self.environment, self.target, self.charter, self.agent) {
            (Some(name), ..) => AskedScope::Environment(name),
            (_, Some(name), ..) => AskedScope::Target(name),
            (_, _, Some(name), _) => AskedScope::Charter(name),
            (_, _, _, Some(name)) => AskedScope::Agent(name),
            (None, None, None, None) if self.all => AskedScope::All,
            (None, None, None, None) => bail!("name what to stop"),
        };
        let scope = asked.scope();
        scope.map_err(|refused| anyhow::anyhow!("{}; nothing is stopped", refused.message))
    }
}

/// The progress that an order made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything in reach is dead as far as can be known.
    Confirmed,
    /// Something is not confirmed, or another process knows.
    Unconfirmed,
    /// The order reaches nothing that is known, and is engaged all the same.
    ReachesNothing,
}

/// Keeps the order, then has it carried out.
pub(crate) async fn run(config: &Config, kill: LocalKill) -> Result<Ended> {
    let id = match kill.kept {
        Some(id) => id,
        None => {
            let bits = SystemRandomness::default().draw();
            KillId::from_bits(bits.context("the system gives no random bits")?)
        }
    };
    let order = KillOrder {
        id,
        scope: kill.scope.scope()?,
        roles: match (kill.role, kill.apply_only) {
            (LocalRole::Both, false) => RoleFilter::Both,
            (LocalRole::Apply, _) | (LocalRole::Both, true) => RoleFilter::ApplyOnly,
        },
        reason: bounded(kill.reason),
        by: Actor::Local,
        at: SystemClock::default().now(),
        evidence: Vec::new(),
        key: None,
        identities: std::collections::BTreeSet::new(),
        as_typed: false,
        reaches_nothing: false,
    };
    let disk = lanyard_disk::system();
    let spool = Spool::open(&disk, &config.data_dir);
    let mut kept = Ok(());
    if kill.kept.is_none() {
        kept = spool.keep(&order).context("the order cannot be kept");
        if kept.is_ok() {
            say(format_args!(
                "KEPT {} over {}:\nnothing there is issued before the order is in effect",
                order.id,
                escaped(&order.scope.to_string())
            ));
            as_the_owner(&config.data_dir, order.id);
        }
    }
    if kept.is_ok() && is_anothers(&config.data_dir) {
        // Files that root makes here are no use to a daemon that is not root.
        return taken_over(&spool, &order).await;
    }
    match wire::assemble(config, &Machine::default()).await {
        // A disk that does not keep the order is no reason not to revoke.
        Ok(broker) => {
            let kept = kept.map_err(|error| say(format_args!("NOT KEPT: {error:#}")));
            carry_out(Arc::new(broker), &order, kept.is_ok()).await
        }
        Err(error) if is_locked(&error) => match kept {
            Ok(()) => taken_over(&spool, &order).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(not_opened(kept, error)),
    }
}

/// The error of a data directory that does not open, which says what became of the order.
fn not_opened(kept: Result<()>, error: anyhow::Error) -> anyhow::Error {
    match kept {
        Ok(()) => error.context("the order is kept, but its leases cannot be revoked from here"),
        Err(not_kept) => error.context(format!(
            "{not_kept:#}; nothing is stopped, and its leases cannot be revoked from here"
        )),
    }
}

/// Tells if root runs this on the data directory of somebody else.
fn is_anothers(data_dir: &Path) -> bool {
    owner(data_dir).is_some()
}

/// Returns the owner of the data directory, if root runs this and that is somebody else.
fn owner(data_dir: &Path) -> Option<(u32, u32)> {
    let of = std::fs::metadata(data_dir).ok()?;
    let is_root = rustix::process::geteuid().is_root();
    (is_root && of.uid() != 0).then(|| (of.uid(), of.gid()))
}

/// Root goes on as the owner of the data directory, so that whatever it makes there is the daemon's
/// to read. The order is kept by then. Returns where that is not possible.
fn as_the_owner(data_dir: &Path, kept: KillId) {
    let Some((user, group)) = owner(data_dir) else {
        return;
    };
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg(format!("--kept={kept}"))
        .uid(user)
        .gid(group)
        .exec();
    say(format_args!(
        "this cannot go on as the owner of {} (user {user}): {error}",
        data_dir.display()
    ));
}

fn is_locked(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(StartError::Journal(OpenError::Locked(_)))
    )
}

/// A daemon runs: it looks into the spool several times a second.
async fn taken_over(spool: &Spool, order: &KillOrder) -> Result<Ended> {
    let taken = async {
        while spool.waits(order.id) {
            if spool.is_taken(order.id) {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    };
    let Ok(is_durable) = tokio::time::timeout(TAKEN_OVER, taken).await else {
        bail!(
            "no daemon has taken the order over in {} s; the next start does, before it issues anything",
            TAKEN_OVER.as_secs()
        );
    };
    say(format_args!(
        "FENCED {} by the daemon that runs, which revokes",
        order.id
    ));
    if !is_durable {
        say("its journal does not take the order, which stays in the spool for the next start");
    }
    if let Some(why) = spool.reaches_nothing(order.id) {
        nothing(order, &why);
        return Ok(Ended::ReachesNothing);
    }
    say(format_args!(
        "follow with:\n  lanyard kill watch {}",
        order.id
    ));
    Ok(Ended::Unconfirmed)
}

/// Lines for the identities that a name means, where it does not say so itself.
fn reached_by_name(order: &KillOrder, radius: &BlastRadius) -> Vec<String> {
    let others = radius.identities.iter();
    let others = others.filter(|identity| !order.scope.is_agent(identity));
    let mut lines: Vec<String> = others
        .map(|identity| format!("it reaches {identity}"))
        .collect();
    let more = lines.len().saturating_sub(IDENTITIES_SHOWN);
    lines.truncate(IDENTITIES_SHOWN);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// The last word about an order that reaches nothing.
fn nothing(order: &KillOrder, why: &str) {
    let id = order.id;
    say(format_args!(
        "{id} is engaged and REACHES NOTHING: {}\nkill again with the right name; lift this one with:\n  lanyard kill withdraw {id} --reason …",
        visible(why)
    ));
}

/// No daemon runs: this process revokes, and issues nothing.
async fn carry_out(broker: Arc<Broker>, order: &KillOrder, kept: bool) -> Result<Ended> {
    let engine = Arc::clone(&broker.engine);
    // What the names of charters, environments and agents are, also where no daemon has run yet. A
    // directory that hangs keeps no credential alive.
    let (charters, (done, learned)) = (Arc::clone(&broker.charters), oneshot::channel());
    // A thread of its own: this process ends without it.
    std::thread::spawn(move || {
        charters.learn();
        done.send(()).ok();
    });
    if tokio::time::timeout(LEARNED, learned).await.is_err() {
        say("the charter directory does not answer: which names there are is not known here");
    }
    wire::begin(&broker).await?;
    if !kept {
        // What is kept was taken over from the spool.
        engine.kills().engage(order.clone()).await;
    }
    say(format_args!(
        "FENCED {}: no daemon runs, this process revokes",
        order.id
    ));
    let (looking, given) = (Arc::clone(&engine), order.clone());
    let looked = tokio::task::spawn_blocking(move || {
        looking
            .scopes()
            .blast_radius(&given.scope, given.roles, Some(given.id))
    });
    let radius = looked.await?;
    for identity in reached_by_name(order, &radius) {
        say(visible(&identity));
    }
    let unknown = radius.unknown_name;
    let (stop, stopping) = watch::channel(false);
    let runs = tokio::spawn(Arc::clone(&engine).run(stopping));
    let mut changes = engine.context().changes();
    let follow = async {
        loop {
            changes.mark_unchanged();
            let report = engine.kills().report(order.id).await;
            if report.as_ref().is_some_and(KillReport::is_taken) || changes.changed().await.is_err()
            {
                return report;
            }
        }
    };
    let report = match tokio::time::timeout(FOLLOWED, follow).await {
        Ok(report) => report,
        Err(_) => engine.kills().report(order.id).await,
    };
    stop.send_replace(true);
    runs.await?;
    let ledger = Arc::clone(&broker.ledger);
    tokio::task::spawn_blocking(move || ledger.close()).await?;
    let is_confirmed = report.is_some_and(|report| print(&report));
    if let Some(note) = radius.note {
        say(escaped(&note));
    }
    Ok(match unknown {
        Some(why) => {
            nothing(order, &why);
            Ended::ReachesNothing
        }
        None if is_confirmed => Ended::Confirmed,
        None => Ended::Unconfirmed,
    })
}

fn print(report: &KillReport) -> bool {
    for line in &report.lines {
        let open = if line.progress.is_confirmed() {
            String::new()
        } else {
            format!("  live at worst until {}", line.worst_expiry)
        };
        println!(
            "{}  {}  {}{open}",
            line.lease,
            line.entry.target,
            word(line.progress)
        );
    }
    let (listed, all) = (report.lines.len() as u64, report.total.all());
    if all > listed {
        println!("{}", unlisted(all - listed));
    }
    report.is_confirmed()
}

/// The line for the leases that the report does not list: it lists those first that are furthest
/// from dead.
fn unlisted(count: u64) -> String {
    let (leases, they) = (
        word_for(count, "lease"),
        verb_for(count, "it is", "each is"),
    );
    format!("and {count} more {leases}: {they} at least as far revoked as the last one above")
}

const fn word(progress: Progress) -> &'static str {
    match progress {
        Progress::Fenced => "fenced",
        Progress::Requested => "requested",
        Progress::Acknowledged(_) => "acknowledged",
        Progress::PresumedDead(_) => "presumed dead",
        Progress::ProvedDead(_) => "proved dead",
        Progress::Expired(_) => "expired",
    }
}

#[cfg(test)]
mod tests {
    use lanyard_vocabulary::agent::AgentName;

    use super::*;
    use crate::fields::MAX_TEXT_CHARACTERS;

    fn agent(name: String) -> Result<Scope> {
        let scope = LocalScope {
            all: false,
            environment: None,
            target: None,
            charter: None,
            agent: Some(name),
        };
        scope.scope()
    }

    #[test]
    fn an_agent_has_a_name_that_a_call_could_have() {
        let long = "a".repeat(MAX_TEXT_CHARACTERS);
        let scope = Scope::Agent(AgentName(long.clone()));
        assert_eq!(agent(long.clone()).unwrap(), scope);
        let error = agent(format!("{long}\u{1b}")).unwrap_err().to_string();
        assert!(error.contains("has 1001 characters"), "{error}");
        assert!(error.ends_with("nothing is stopped"), "{error}");
        assert!(error.len() < 300 && !error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn the_leases_that_are_not_listed_are_counted_in_words() {
        let one = "and 1 more lease: it is at least as far revoked as the last one above";
        let two = "and 2 more leases: each is at least as far revoked as the last one above";
        assert_eq!([unlisted(1), unlisted(2)], [one, two]);
    }

    #[test]
    fn s09_an_order_that_no_disk_took_is_not_called_kept() {
        let error = || anyhow::anyhow!("the identities are not configured");
        let kept = format!("{:#}", not_opened(Ok(()), error()));
        assert!(kept.starts_with("the order is kept, but"), "{kept}");
        let full = Err(anyhow::anyhow!("the disk is full").context("the order cannot be kept"));
        let not_kept = format!("{:#}", not_opened(full, error()));
        let said = "the order cannot be kept: the disk is full; nothing is stopped";
        assert!(not_kept.starts_with(said), "{not_kept}");
        assert!(!not_kept.contains("is kept"), "{not_kept}");
        assert!(not_kept.ends_with("are not configured"), "{not_kept}");
    }
}
