//! Where everything meets: the ledger, the providers, the engine, the listeners.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use lanyard_core::command::Command;
use lanyard_core::condition::{Kind, Reason};
use lanyard_core::kill::Actor;
use lanyard_core::ledger::{CommitError, look};
use lanyard_core::provider::Provider;
use lanyard_core::state::State;
use lanyard_core::target::Shared;
use lanyard_disk::Files;
use lanyard_engine::charters::Charters;
use lanyard_engine::clock::{Clock, Randomness as _, SystemClock, SystemRandomness};
use lanyard_engine::{Engine, Parts};
use lanyard_identity::replay_cache::ReplayCache;
use lanyard_identity::spiffe::TrustDomains;
use lanyard_identity::{IssuerKind, Verifier};
use lanyard_journal::Recovery;
use lanyard_ledger::{Embedded, Settings};
use lanyard_provider_token::Keyring;
use lanyard_provider_token::status::Lists;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use crate::apart::Apart;
use crate::backup::{self, Restored};
use crate::broker::Broker;
use crate::charters::{CharterBook, Sources};
use crate::config::Config;
use crate::hooks::EventSources;
use crate::identity::discovery::KeyWatch;
use crate::identity::issuer::{IssuerConfig, KeySource};
use crate::identity::{Challenges, ClusterDoor, Doors, Place, discovery, people};
use crate::judge::{Assessor, Judges};
use crate::kinds::token::OwnTokens;
use crate::lanes::Lanes;
use crate::machine::Machine;
use crate::newcomers::Newcomers;
use crate::plane::{Plane, Purpose, Router};
use crate::plans::PlanStore;
use crate::quotas::{Inspections, Quotas};
use crate::readings::Readings;
use crate::rpc::submitted_bytes;
use crate::spool::{Spool, Tell};
use crate::status_lists::StatusLists;
use crate::targets::TargetConfig;
use crate::unusable::Unusable;
use crate::watches::Watches;
use crate::witness::WitnessFile;
use crate::{drill, hooks, kill_plane, signing_keys};

/// Takes over the orders that come to the spool, and forgets what does not matter any more, until
/// told to stop.
async fn follow_data(broker: Arc<Broker>, stop: watch::Receiver<bool>) {
    let orders = broker.spool.clone();
    let orders = orders.follow(Arc::clone(&broker.engine), stop.clone());
    tokio::join!(orders, follow_doubts(&broker, stop));
}

/// The interval at which it is checked whether lost uses still matter, and whether further ones can
/// be written down.
const DOUBT_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Lowers what the replay cache has lost, once none of it could count any more.
async fn follow_doubts(broker: &Broker, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        broker.tell_of_memory();
        if broker
            .doors
            .memory
            .damage(broker.engine.clock().now())
            .is_none()
        {
            let conditions = broker.engine.conditions();
            conditions.replace(Kind::ReplayCacheDamaged, []);
        }
        tokio::select! {
            () = tokio::time::sleep(DOUBT_CHECK_INTERVAL) => {}
            _ = stop.changed() => {}
        }
    }
}

/// From when a daemon serves, and how long.
pub(crate) struct Lifetime {
    /// Told once the addresses are open.
    pub(crate) serves: Option<oneshot::Sender<()>>,
    /// Done when the daemon has to end.
    pub(crate) ends: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Lifetime {
    /// Until the process is told to end.
    pub(crate) fn of_process() -> Self {
        Self {
            serves: None,
            ends: Box::pin(told_to_end()),
        }
    }
}

/// Serves for a lifetime.
pub(crate) async fn serve(config: Config, machine: &Machine, lifetime: Lifetime) -> Result<()> {
    let config = Arc::new(config);
    let broker = Arc::new(assemble(&config, machine).await?);
    let Lifetime { serves, ends } = lifetime;
    let engine = Arc::clone(&broker.engine);
    let (close, closing) = watch::channel(false);
    // Closed last: what agents hold open while this process ends keeps no kill from being taken.
    let (close_kills, kills_closing) = watch::channel(false);
    // Before all that the disk may keep waiting: a kill waits for nothing.
    let kills = match kills(&config, &broker) {
        Some(plane) => Some(kill_plane::begin(plane, kills_closing).await?),
        None => None,
    };
    let (stop, stopping) = watch::channel(false);
    // Nor for the keys of those who give it.
    let (of, with, until) = (Arc::clone(&config), Arc::clone(&engine), stopping.clone());
    let doors = Arc::clone(&broker.doors);
    let mut followers = JoinSet::new();
    followers
        .spawn(async move { discovery::follow(&of.identities.issuers, doors, with, until).await });
    begin(&broker).await?;
    broker.charters.look().await;

    followers.spawn(Arc::clone(&engine).run(stopping.clone()));
    followers.spawn(Arc::clone(&broker.charters).follow(stopping.clone()));
    followers.spawn(follow_data(Arc::clone(&broker), stopping.clone()));
    for file in broker.witness.iter().chain([&broker.own_witness]) {
        let of = Arc::clone(&broker.engine);
        followers.spawn(file.clone().follow(of, stopping.clone()));
    }
    followers.spawn(signing_keys::follow(
        Arc::clone(&broker),
        config.switch.rotate_signing_keys_every,
        stopping.clone(),
    ));
    let (drills, of) = (broker.drills.clone(), Arc::clone(&engine));
    followers.spawn(drill::follow(drills, of, stopping.clone()));
    let (plans, of) = (broker.plans.clone(), Arc::clone(&engine));
    followers.spawn(plans.follow(of, stopping.clone()));
    let mut unusable = Unusable::default();
    let webhooks = config.webhooks(&mut unusable);
    unusable.raise(&engine);
    let events = Arc::new(EventSources {
        engine: Arc::clone(&engine),
        ledger: Arc::clone(&broker.ledger),
        keyring: Arc::clone(&broker.keyring),
        issuer: broker.issuer.clone(),
        given_up: Arc::clone(&broker.given_up),
    });
    for webhook in webhooks.into_iter().map(Arc::new) {
        for lane in webhook.lanes() {
            let (of, events) = (Arc::clone(&webhook), Arc::clone(&events));
            followers.spawn(hooks::follow(of, *lane, events, stopping.clone()));
        }
    }
    let mut listeners = JoinSet::new();
    listeners.spawn(serve_beside(metrics(&config, &broker), closing.clone()));
    listeners.spawn(serve_beside(admission(&config, &broker), closing.clone()));
    let everybody = everybody(&config, &broker);
    let served = async {
        let first = everybody.open().await;
        if let (Ok(_), Some(serves)) = (&first, serves) {
            // Nobody may wait for it any more.
            serves.send(()).ok();
        }
        everybody.serve(first, closing).await;
    };
    let ending = Arc::clone(&broker.engine);
    let mut failure = None;
    let ended = async {
        // A daemon without one of its tasks would look sound and not revoke, or not follow its
        // charters: the process ends, so that its supervisor starts another.
        tokio::select! {
            () = ends => {}
            failed = first_failure(&mut followers) => failure = Some(failed),
            failed = first_failure(&mut listeners) => failure = Some(failed),
        }
        ending.conditions().raise(Reason::Ending);
        close.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = served => {}
        () = ended => {}
    }
    failure = failure.or(drain(&mut listeners).await);
    close_kills.send_replace(true);
    if let Some(kills) = kills {
        let joined = tokio::task::spawn_blocking(move || kills.join()).await?;
        if joined.is_err() {
            failure = failure.or(Some(anyhow!("the thread of the kill plane panicked")));
        }
    }
    stop.send_replace(true);
    failure = failure.or(drain(&mut followers).await);
    let ledger = Arc::clone(&broker.ledger);
    tokio::task::spawn_blocking(move || ledger.close()).await?;
    failure.map_or(Ok(()), Err)
}

/// Waits until a task panics. A task that has nothing to follow returns at once, which is no
/// failure.
async fn first_failure(tasks: &mut JoinSet<()>) -> anyhow::Error {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            return failed(error);
        }
    }
    std::future::pending().await
}

/// Waits for every task, also after one has panicked, and returns the first failure.
async fn drain(tasks: &mut JoinSet<()>) -> Option<anyhow::Error> {
    let mut failure = None;
    while let Some(ended) = tasks.join_next().await {
        failure = failure.or(ended.err().map(failed));
    }
    failure
}

fn failed(error: JoinError) -> anyhow::Error {
    tracing::error!(%error, "a task of the daemon panicked: the daemon ends");
    anyhow::Error::new(error).context("a task of the daemon panicked")
}

/// Does what comes before anything is issued: the orders in the spool, what the journal has lost,
/// then what the last process left. A disk that takes nothing stops none of it: what stops
/// credentials is in effect in this process then.
///
/// # Errors
/// When the ledger refuses what it cannot refuse.
pub(crate) async fn begin(broker: &Broker) -> Result<()> {
    let engine = &broker.engine;
    let started = Command::Started {
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    go_on_unwritten(engine.context().commit(started).await.map(drop))?;
    engine.clock().note().await;
    // The charters are not read yet, and no order waits for them.
    broker.spool.take_over(engine, Tell::Nothing).await;
    broker.raise_lost_uses();
    broker.tell_of_memory();
    let is_older = broker.recovery.loss.is_some()
        || broker.recovery.incomplete
        || broker.restored.is_some()
        || broker.emptied.is_some();
    if is_older {
        // Before the loss counts as answered: a start that ends here finds it again.
        signing_keys::replace_after_loss(broker).await;
    }
    if let Some(loss) = &broker.recovery.loss
        && engine.reconciler().heed_loss(&loss.to_string()).await
        && let Err(error) = broker.ledger.loss_answered()
    {
        tracing::warn!(%error, "that records were lost is found again at the next start");
    }
    if let Some(fault) = broker.recovery.faults.first()
        && broker.recovery.incomplete
    {
        engine.reconciler().heed_loss(&fault.to_string()).await;
    }
    let mut is_stopped = broker.recovery.loss.is_some() || broker.recovery.incomplete;
    if let Some(witness) = &broker.witness {
        is_stopped |= witness.heed(engine).await;
    }
    if let Some(restored) = &broker.restored {
        is_stopped = is_stopped || engine.reconciler().heed_loss(&restored.reason).await;
        if is_stopped && let Err(error) = restored.answered() {
            tracing::warn!(%error, "the next start stops everything again after the restore");
        }
    }
    // What the journal itself shows, or another witness saw, has its order; the data directory's
    // own need not repeat it.
    if !is_stopped {
        is_stopped = broker.own_witness.heed(engine).await;
    }
    if let Some(why) = broker.emptied.as_ref().filter(|_| !is_stopped) {
        is_stopped = engine.reconciler().heed_loss(why).await;
    }
    if is_stopped && !is_older {
        signing_keys::replace_after_loss(broker).await;
    }
    broker.own_witness.note(engine, &mut None).await;
    let said = engine.context().in_effect(State::consenting).await;
    for operator in said {
        let again = broker.doors.verifier.with_current_roles(&operator);
        go_on_unwritten(engine.approvals().recognize(&again).await)?;
    }
    engine.reconciler().look_before_issuing();
    let left = engine.recover().await;
    tracing::info!(
        left.unconfirmed,
        left.undelivered,
        "what the last process left is being revoked"
    );
    Ok(())
}

/// A ledger that cannot be written is no reason not to start: it issues nothing, and says why.
fn go_on_unwritten(committed: Result<(), CommitError>) -> Result<()> {
    match committed {
        Err(error @ (CommitError::Unavailable(_) | CommitError::Volatile { .. })) => {
            tracing::error!(%error, "the start goes on, to revoke only");
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Returns what is served at an address, and what else follows from there being nobody.
fn plane(
    (config, broker): (&Config, &Arc<Broker>),
    (purpose, address): (Purpose, SocketAddr),
    router: Router,
) -> Plane {
    Plane {
        purpose,
        address,
        tls: config.tls.clone(),
        router,
        newcomers: None,
        engine: Arc::clone(&broker.engine),
        said: Mutex::default(),
    }
}

fn everybody(config: &Config, broker: &Arc<Broker>) -> Plane {
    let newcomers = Newcomers::default();
    let router = crate::router::router(Arc::clone(broker), newcomers.clone());
    let router = Box::new(move || Ok(router.clone()));
    let place = (Purpose::Everybody, config.listen);
    Plane {
        newcomers: Some(newcomers),
        ..plane((config, broker), place, router)
    }
}

fn kills(config: &Config, broker: &Arc<Broker>) -> Option<Plane> {
    let address = config.kill_listen?;
    let router = crate::router::kill_router(Arc::clone(broker));
    let router = Box::new(move || Ok(router.clone()));
    Some(plane((config, broker), (Purpose::Kills, address), router))
}

/// The numbers, on an address of their own.
fn metrics(config: &Arc<Config>, broker: &Arc<Broker>) -> Option<Plane> {
    let address = config.metrics_listen?;
    let (of, with) = (Arc::clone(config), Arc::clone(broker));
    let router = Box::new(move || {
        let scrapers = of.scrapers.open()?;
        Ok(crate::metrics::router(Arc::clone(&with), scrapers))
    });
    Some(plane((config, broker), (Purpose::Metrics, address), router))
}

/// Returns the plane at which the API server asks about charters, on an address of its own.
fn admission(config: &Config, broker: &Arc<Broker>) -> Option<Plane> {
    let address = config.charter_objects.as_ref()?.admission_listen?;
    let router = crate::charters::webhook::router(Arc::clone(&broker.charters));
    let router = Box::new(move || Ok(router.clone()));
    let place = (Purpose::Admission, address);
    Some(plane((config, broker), place, router))
}

async fn serve_beside(plane: Option<Plane>, closing: watch::Receiver<bool>) {
    if let Some(plane) = plane {
        let first = plane.open().await;
        plane.serve(first, closing).await;
    }
}

async fn told_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Builds what serves each target.
async fn providers(
    config: &Config,
    machine: &Machine,
    own: OwnTokens,
) -> BTreeMap<Name, Arc<dyn Provider>> {
    let mut shared = Shared::default();
    shared.lend(own);
    let mut providers = BTreeMap::new();
    for (name, target) in &config.targets {
        let provider = match machine.providers.get(name) {
            Some(given) => Arc::clone(given),
            None => target.provider(name, &mut shared).await,
        };
        providers.insert(name.clone(), provider);
    }
    providers
}

/// Wires together what knows who asks.
async fn doors(
    config: &Config,
    (disk, was_used): (&Files, bool),
    now: Timestamp,
    unusable: &mut Unusable,
) -> Result<Doors> {
    let identities = &config.identities;
    let mut issuers = Vec::new();
    for issuer in &identities.issuers {
        let (opened, keys) = issuer.open();
        unusable.note(&format!("issuer `{}`", issuer.name), keys);
        issuers.push(opened);
    }
    let tickets = config.tickets.as_ref();
    let tickets = tickets.map(|tickets| tickets.open(&config.audience));
    let tickets = tickets.and_then(|opened| unusable.note("the door of kill tickets", opened));
    let mut clusters = BTreeMap::new();
    for issuer in &identities.issuers {
        if let KeySource::Cluster {
            kubeconfig,
            context,
        } = &issuer.keys
        {
            let door = ClusterDoor::new(Place {
                kubeconfig: kubeconfig.clone(),
                context: context.clone(),
            });
            // Said now, and no reason not to start: kills and revocations ask no cluster.
            door.connected().await.ok();
            clusters.insert(issuer.name.clone(), door);
        }
    }
    // What the broker itself hands out is nobody's identity here.
    let lease_roles = config.targets.values().flat_map(TargetConfig::lease_roles);
    let aws = identities.aws.as_ref().map(|aws| aws.open(lease_roles));
    let aws = aws.and_then(|opened| unusable.note("the door of AWS identities", opened));
    // A certificate is a workload's: people log in.
    let agents = identities.issuers.iter();
    let agents = agents.filter(|issuer| issuer.kind == IssuerKind::Agents);
    let names = agents.map(|issuer| &issuer.name);
    let domains = names.filter_map(|name| name.strip_prefix("spiffe://"));
    let used = config.data_dir.join("used-proofs");
    Ok(Doors {
        verifier: Verifier::new(config.audience.clone(), issuers),
        memory: ReplayCache::open(disk, &used, now, was_used)
            .with_context(|| used.display().to_string())?,
        domains: TrustDomains::new(domains.map(str::to_owned)),
        clusters,
        aws,
        tickets,
        break_glass: identities.break_glass(&config.audience)?,
        keys: KeyWatch::new(&identities.issuers),
        quotas: Quotas::new(identities.quotas),
        turns: Lanes::new(usize::MAX, identities.quotas.calls_at_once),
        inspections: Inspections::default(),
        challenges: Challenges::new().map_err(|_| anyhow!("the system gives no random bits"))?,
        lifetimes: identities.lifetimes,
        fresh: identities.fresh.clone(),
        audience: config.audience.clone(),
        origins: origins(config),
        logins: identities.logins(),
    })
}

/// Under which schemes and authorities the broker is reached.
fn origins(config: &Config) -> Vec<String> {
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let listens = [Some(config.listen), config.kill_listen];
    let listens = listens.into_iter().flatten();
    let listens = listens.flat_map(|address| {
        let port = address.port();
        let local = address
            .ip()
            .is_loopback()
            .then(|| format!("{scheme}://localhost:{port}"));
        local.into_iter().chain([format!("{scheme}://{address}")])
    });
    listens
        .chain([config.issuer.trim_end_matches('/').to_owned()])
        .chain(config.identities.origins.iter().cloned())
        .collect()
}

/// Tells of a journal that is not as the last process left it.
fn tell(recovery: &Recovery) {
    if recovery.cut > 0 && recovery.loss.is_none() {
        tracing::warn!(
            bytes = recovery.cut,
            "the journal ended in a batch that was never acknowledged: cut"
        );
    }
    for fault in &recovery.faults {
        tracing::error!(%fault, "the journal is damaged: nothing is issued, and what can be read is in effect");
    }
}

/// Tells of operators' issuers whose accounts the configuration does not map to people.
fn tell_of_people(issuers: &[IssuerConfig]) {
    for doubt in people::doubts(issuers) {
        tracing::warn!("{doubt}");
    }
}

/// Tells if anybody who shows a token has left anything in the books. The daemon's own witness file
/// comes with the file of used tokens; a data directory of an earlier version has neither before
/// the first token comes.
fn has_callers(state: &State) -> bool {
    let by_caller = |by: &Actor| {
        !matches!(
            by,
            Actor::Local | Actor::Broker | Actor::Breaker { .. } | Actor::Signal { .. }
        )
    };
    state.tasks().next().is_some()
        || state
            .kills()
            .iter()
            .any(|engaged| by_caller(&engaged.order.by))
}

/// Says why a journal without records is not one of a first start: its own directory was not
/// mounted, or was left out of a restore. Each of these is written once there are records, and not
/// before.
fn emptied(data_dir: &Path, recovery: &Recovery) -> Option<String> {
    if recovery.records > 0 {
        return None;
    }
    let has_entries = |name: &str| {
        let mut entries = std::fs::read_dir(data_dir.join(name)).ok()?;
        entries.next()?.ok()?;
        Some(name.to_owned())
    };
    let beside = ["plans", "revisions"].into_iter().find_map(has_entries)?;
    // Agents read the reason of an order: it names no path.
    Some(format!(
        "the journal has no records, and there are files in `{beside}` beside it"
    ))
}

/// Wires the parts together.
///
/// # Errors
/// When one of them cannot be set up: where a daemon runs, the journal is locked.
pub(crate) async fn assemble(config: &Config, machine: &Machine) -> Result<Broker> {
    let clock = Arc::new(SystemClock::over(Arc::clone(&machine.clocks)));
    let now = clock.now();
    let stamp = Arc::clone(&clock);
    let disk = lanyard_disk::system();
    backup::unfinished_restore(&config.data_dir)?;
    let (ledger, recovery) = Embedded::open(
        &config.data_dir.join("journal"),
        &Settings {
            retention: config.retention(&disk),
            ..Settings::with_history(config.data_dir.join("history"))
        },
        Arc::new(move || stamp.now()),
    )?;
    let ledger = Arc::new(ledger);
    tell(&recovery);
    let emptied = emptied(&config.data_dir, &recovery);
    let restored = Restored::find(&config.data_dir);
    tell_of_people(&config.identities.issuers);
    let mut unusable = Unusable::default();
    let keyring = Arc::new(Keyring::load_or_create(&config.data_dir.join("keys"), now)?);
    for problem in keyring.problems() {
        unusable.note::<(), _>("a signing key", Err(anyhow!(problem)));
    }
    let randomness = SystemRandomness::default();
    let lists = Arc::new(Lists::new(randomness.draw()?));
    look(ledger.as_ref(), |state| {
        clock.resume(state.latest(), state.clock());
        for lease in state.leases().iter() {
            lists.note(&lease.handle, lease.id, lease.worst_expiry);
        }
    });
    let own = OwnTokens {
        issuer: config.issuer.clone(),
        keyring: Arc::clone(&keyring),
        lists: Arc::clone(&lists),
    };
    let providers = providers(config, machine, own).await;
    let (plans, opened) = PlanStore::open(&config.data_dir, config.plan_sealing_keys.as_deref());
    let place = config.data_dir.join("plans");
    unusable.note(&format!("the plans in `{}`", place.display()), opened);
    let apart = Arc::new(Apart::new()?);
    let spool = Spool::open(&disk, &config.data_dir);
    let engine = Engine::new(Parts {
        ledger: Arc::clone(&ledger) as Arc<dyn lanyard_core::ledger::Ledger>,
        providers,
        charters: Arc::new(Charters::default()),
        judge: Arc::new(Assessor::new(
            plans.clone(),
            Judges::of(machine.judge.clone()),
            Arc::clone(&apart),
            config.world.more_kinds,
        )),
        clock: clock as Arc<dyn Clock>,
        randomness: Arc::new(randomness),
        agents: config.identities.agents.clone(),
        spool: Arc::new(spool.clone()),
        rearm_soak: config.switch.rearm_soak,
        records: config.identities.quotas.records,
    });
    let forgettable = engine.clock().forgettable();
    let (canary, drills) = drill::prepared(config)?.unzip();
    let revisions = config.data_dir.join("revisions");
    let sources = Sources {
        directory: config.charters.clone(),
        objects: config.charter_objects.as_ref(),
        revisions: revisions.clone(),
    };
    let charters = CharterBook::new(sources, config.world.clone(), (Arc::clone(&engine), canary));
    let what = format!("the kept revisions in `{}`", revisions.display());
    unusable.note(&what, charters.remember());
    let own_witness = WitnessFile::own(&config.data_dir);
    let was_used = recovery.records > 0
        && (own_witness.is_there()
            || recovery.incomplete
            || recovery.loss.is_some()
            || look(ledger.as_ref(), has_callers));
    let doors = doors(config, (&disk, was_used), forgettable, &mut unusable).await?;
    let reporters = config.reporters(&mut unusable);
    let signals = config.signals.open(&mut unusable);
    unusable.raise(&engine);
    let witness = config.switch.witness_file.clone();
    let broker = Broker {
        engine,
        ledger,
        doors: Arc::new(doors),
        charters: Arc::new(charters),
        plans,
        status_lists: StatusLists::new(Arc::clone(&keyring), lists, config.issuer.clone()),
        keyring,
        issuer: config.issuer.clone(),
        approval_url: config.approval_url.clone(),
        spool,
        recovery,
        witness: witness.map(|path| WitnessFile::configured(path, &config.data_dir)),
        own_witness,
        emptied,
        restored,
        reporters,
        given_up: Arc::default(),
        drills: drills.map(Arc::new),
        signals,
        watches: Watches::default(),
        plan_bytes: submitted_bytes(),
        readings: Readings::new(apart),
    };
    Ok(broker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_task_that_panics_is_seen_while_others_run() {
        let (stop, mut stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            stopping.changed().await.unwrap();
        });
        tasks.spawn(async {});
        tasks.spawn(async { panic!("a story") });
        let failure = first_failure(&mut tasks).await;
        assert!(format!("{failure:#}").contains("a story"), "{failure:#}");
        assert_eq!(tasks.len(), 1, "the task that goes on is still there");
        stop.send_replace(true);
        assert!(drain(&mut tasks).await.is_none());
        assert!(tasks.is_empty());
    }

    #[tokio::test]
    async fn every_task_is_waited_for_after_one_has_panicked() {
        let (ended, mut seen) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async { panic!("a story") });
        tasks.spawn(async move {
            tokio::task::yield_now().await;
            ended.send_replace(true);
        });
        assert!(drain(&mut tasks).await.is_some());
        assert!(*seen.borrow_and_update());
    }
}
