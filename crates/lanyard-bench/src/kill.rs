//! Measures a kill of everything with many live leases, the start after it, and the memory of a
//! lease.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use lanyard_charter::{Rate, TargetKind};
use lanyard_core::command::{Command, Intent, LeaseLimits, Record, RequestOptions};
use lanyard_core::kill::Actor;
use lanyard_core::lease::{GrantRef, Handle};
use lanyard_core::ledger::Ledger;
use lanyard_core::state::State;
use lanyard_core::task::Task;
use lanyard_engine::charters::Charters;
use lanyard_engine::clock::{Clock, SystemClock, SystemRandomness};
use lanyard_engine::{Engine, Parts};
use lanyard_ledger::{Embedded, Settings};
use lanyard_provider_token::status::Lists;
use lanyard_provider_token::{Keyring, TokenProvider};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::judge::CannotRead;
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::DecisionId;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::Ttl;
use tokio::sync::watch;

use crate::stopwatch;

/// The number of leases per task.
const OF_A_TASK: usize = 1000;

pub(crate) async fn run(leases: usize, keep: Option<PathBuf>) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let directory = keep.unwrap_or_else(|| temporary.path().to_owned());
    let clock = Arc::new(SystemClock::default());
    println!("{leases} live token leases");
    let taken = state(&clock, leases)?;
    println!("  memory of a lease    {:>8} bytes", taken / leases);
    let ledger = Arc::new(open(&directory, &clock)?);
    fill(&ledger, &clock, leases).await?;

    let keyring = Keyring::load_or_create(&directory.join("keys"), clock.now())?;
    let provider = TokenProvider::new(
        "https://bench.invalid".to_owned(),
        Arc::new(keyring),
        Arc::new(Lists::new(1)),
    );
    let target = world::target(TargetKind::TOKEN);
    let engine = Engine::new(Parts {
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        providers: [(target, Arc::new(provider) as _)].into(),
        charters: Arc::new(Charters::default()),
        judge: Arc::new(CannotRead),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        randomness: Arc::new(SystemRandomness::default()),
        agents: BTreeMap::new(),
        spool: Arc::new(lanyard_testkit::spool::NoSpool),
        rearm_soak: Duration::from_secs(60),
        records: lanyard_engine::records::RecordLimits::UNBOUNDED,
    });
    fences(&engine, "idle").await?;
    let full = Load::of(&ledger, &clock).await?;
    fences(&engine, "with a full ledger").await?;
    full.end().await?;
    let order = engine.kills().draft(
        Scope::All,
        RoleFilter::Both,
        "a measurement".to_owned(),
        Actor::Local,
    )?;
    let (stop, stopping) = watch::channel(false);
    let runs = tokio::spawn(Arc::clone(&engine).run(stopping));
    let id = order.id;
    let began = stopwatch();
    engine.kills().engage(order).await;
    println!("  fence of a kill      {:>8.2?}", began.elapsed());
    let mut left = usize::MAX;
    while left > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        left = engine
            .context()
            .query(|state| state.leases().live())
            .await?;
    }
    println!("  every lease stopped  {:>8.2?}", began.elapsed());
    loop {
        let report = engine.kills().report(id).await;
        if report.context("no report")?.is_confirmed() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("  every lease dead     {:>8.2?}", began.elapsed());
    stop.send_replace(true);
    runs.await?;
    drop(engine);
    ledger.close();
    drop(ledger);
    // A real start happens in a new process, so this one does too.
    let mut again = std::process::Command::new(std::env::current_exe()?);
    let ended = again.arg("start").arg(&directory).status()?;
    anyhow::ensure!(ended.success(), "the start failed");
    Ok(())
}

/// Kill orders that are measured.
const FENCES: usize = 200;
/// Mints in progress at any time while the ledger is full.
const MINTING: usize = 512;

/// Measures how soon an order over one agent is in effect and durable.
async fn fences(engine: &Arc<Engine>, while_what: &str) -> Result<()> {
    let mut took = Vec::with_capacity(FENCES);
    for n in 0..FENCES {
        let scope = Scope::Agent(AgentName(format!("nobody-{n}")));
        let (why, by) = ("a measurement".to_owned(), Actor::Local);
        let order = engine.kills().draft(scope, RoleFilter::Both, why, by)?;
        let began = stopwatch();
        engine.kills().engage(order).await;
        took.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    took.sort_unstable();
    let at = |part: usize| took.get(FENCES * part / 100).copied().unwrap_or_default();
    println!(
        "  fence, {while_what:<18} p50 {:>8.2?}   p99 {:>8.2?}",
        at(50),
        at(99)
    );
    Ok(())
}

/// A constant load of mints, as many at once as on a busy broker.
struct Load {
    stop: watch::Sender<bool>,
    minting: tokio::task::JoinSet<Result<u64>>,
    began: std::time::Instant,
}

impl Load {
    async fn of(ledger: &Arc<Embedded>, clock: &Arc<SystemClock>) -> Result<Self> {
        let (ids, second) = (Arc::new(Ids::seeded(3)), Ttl::from_secs(1)?);
        let task = world::task(&ids, clock.now());
        let open = Command::OpenTask {
            task: task.clone(),
            request: None,
        };
        ledger.commit(open).await?;
        let (stop, stopping) = watch::channel(false);
        let mut minting = tokio::task::JoinSet::new();
        for _ in 0..MINTING {
            let (ledger, ids, task) = (Arc::clone(ledger), Arc::clone(&ids), task.clone());
            let stopping = stopping.clone();
            minting.spawn(async move {
                let mut minted = 0;
                while !*stopping.borrow() {
                    let intent = intent(&ids, &task, second);
                    ledger.commit(Command::BeginMint(Box::new(intent))).await?;
                    minted += 1;
                }
                anyhow::Ok(minted)
            });
        }
        Ok(Self {
            stop,
            minting,
            began: stopwatch(),
        })
    }

    async fn end(mut self) -> Result<()> {
        self.stop.send_replace(true);
        let mut minted = 0;
        while let Some(own) = self.minting.join_next().await {
            minted += own??;
        }
        let rate = minted as f64 / self.began.elapsed().as_secs_f64();
        println!("    meanwhile          {rate:>8.0} intents a second");
        Ok(())
    }
}

/// Measures how long a start needs to rebuild the state.
pub(crate) fn start(directory: &Path) -> Result<()> {
    let clock = Arc::new(SystemClock::default());
    let began = stopwatch();
    let again = open(directory, &clock)?;
    let (size, _) = again.tree();
    println!(
        "  start                {:>8.2?}, {size} records",
        began.elapsed()
    );
    Ok(())
}

fn open(directory: &Path, clock: &Arc<SystemClock>) -> Result<Embedded> {
    let settings = Settings::with_history(directory.join("history"));
    let stamp = Arc::clone(clock);
    let now = Arc::new(move || stamp.now());
    Ok(Embedded::open(&directory.join("journal"), &settings, now)?.0)
}

/// Measures the memory of the state itself, in bytes.
fn state(clock: &SystemClock, leases: usize) -> Result<usize> {
    let (ids, at, second) = (Ids::seeded(2), clock.now(), Ttl::from_secs(1)?);
    let before = resident()?;
    let mut state = State::default();
    let mut task = world::task(&ids, at);
    for n in 0..leases {
        if n % OF_A_TASK == 0 {
            task = world::task(&ids, at);
            let (open, request) = (task.clone(), None);
            let command = Command::OpenTask {
                task: open,
                request,
            };
            state.apply(&Record { at, command });
        }
        let intent = intent(&ids, &task, second);
        let (lease, expires, handle) = (intent.lease, intent.expires, None);
        let command = Command::BeginMint(Box::new(intent));
        state.apply(&Record { at, command });
        let command = Command::ConfirmMint {
            lease,
            expires,
            handle,
        };
        state.apply(&Record { at, command });
    }
    let taken = resident()?.saturating_sub(before);
    drop(state);
    Ok(taken)
}

/// Commits leases that were asked for and issued, a thousand a task, with 256 commits in flight.
async fn fill(ledger: &Arc<Embedded>, clock: &Arc<SystemClock>, leases: usize) -> Result<()> {
    let (ids, now, second) = (Ids::seeded(1), clock.now(), Ttl::from_secs(1)?);
    let first = world::task(&ids, now);
    let in_force = Command::CharterInForce {
        charter: first.charter.clone(),
        revision: first.revision.clone(),
        breakers: Vec::new(),
    };
    ledger.commit(in_force).await?;
    let began = stopwatch();
    let mut left = leases;
    while left > 0 {
        let task = world::task(&ids, now);
        let (open, request) = (task.clone(), None);
        ledger
            .commit(Command::OpenTask {
                task: open,
                request,
            })
            .await?;
        let count = left.min(OF_A_TASK);
        let mut minting = tokio::task::JoinSet::new();
        for _ in 0..count {
            let (ledger, intent) = (Arc::clone(ledger), intent(&ids, &task, second));
            minting.spawn(async move {
                let (lease, expires) = (intent.lease, intent.expires);
                ledger.commit(Command::BeginMint(Box::new(intent))).await?;
                let confirm = Command::ConfirmMint {
                    lease,
                    expires,
                    handle: None,
                };
                ledger.commit(confirm).await
            });
        }
        while let Some(minted) = minting.join_next().await {
            minted??;
        }
        left -= count;
    }
    let took = began.elapsed();
    println!(
        "  journaled            {:>8.0} leases a second: an intent and an answer each, durable",
        leases as f64 / took.as_secs_f64()
    );
    Ok(())
}

fn intent(ids: &Ids, task: &Task, second: Ttl) -> Intent {
    let hours = Duration::from_secs(3600);
    Intent {
        lease: ids.lease(),
        decision: DecisionId::from_bits(ids.bits()),
        task: task.id,
        environment: None,
        entry: GrantRef {
            grant: world::grant(TargetKind::TOKEN),
            role: lanyard_vocabulary::role::Role::Plan,
            target: world::target(TargetKind::TOKEN),
        },
        in_force: task.revision.clone(),
        handle: Handle::default(),
        expires: task.opened + hours,
        worst_expiry: task.opened + hours,
        deadline: task.opened + hours,
        approval: None,
        limits: LeaseLimits {
            budget: None,
            live: u32::MAX,
            mints: Rate {
                count: u32::MAX,
                per: second,
            }
            .into(),
        },
        request: None,
        asked: RequestOptions::default(),
        above: Vec::new(),
        outside_hours: false,
        evidence: None,
        approved_by: Vec::new(),
        document_digest: "0".repeat(64),
    }
}

/// Returns the resident memory of this process, in bytes.
fn resident() -> Result<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.context("no VmRSS")?.parse::<usize>()? * 1024)
}
