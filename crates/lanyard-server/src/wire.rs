//! Where everything meets: the ledger, the providers, the engine, the listeners.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use lanyard_core::charter::Name;
use lanyard_core::command::Command;
use lanyard_core::provider::Provider;
use lanyard_engine::charters::Charters;
use lanyard_engine::clock::{Clock, SystemClock, SystemRandomness};
use lanyard_engine::{Engine, Parts};
use lanyard_identity::Verifier;
use lanyard_ledger::Embedded;
use lanyard_provider_token::Keyring;
use tokio::sync::watch;

use crate::charters::CharterDirectory;
use crate::config::Config;
use crate::plans::PlanStore;

/// What every request may need.
pub(crate) struct Broker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) ledger: Arc<Embedded>,
    pub(crate) verifier: Verifier,
    pub(crate) charters: Arc<CharterDirectory>,
    pub(crate) plans: PlanStore,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) issuer: String,
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Serves until the process is told to end.
pub(crate) async fn serve(config: Config) -> Result<()> {
    let clock = Arc::new(SystemClock::default());
    let broker = assemble(&config, &clock).await?;
    let engine = Arc::clone(&broker.engine);
    engine
        .record(Command::Started {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            disarmed: None,
        })
        .await?;
    let left = engine.recover().await;
    tracing::info!(
        left.unconfirmed,
        left.undelivered,
        "what the last process left is being revoked"
    );
    broker.charters.look().await;

    let (stop, stopping) = watch::channel(false);
    let engine_runs = tokio::spawn(Arc::clone(&engine).run(stopping.clone()));
    let charters_followed = tokio::spawn(Arc::clone(&broker.charters).follow(stopping));
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let ledger = Arc::clone(&broker.ledger);
    axum::serve(listener, crate::rpc::router(Arc::new(broker)))
        .with_graceful_shutdown(told_to_end())
        .await?;
    stop.send_replace(true);
    engine_runs.await?;
    charters_followed.await?;
    tokio::task::spawn_blocking(move || ledger.close()).await?;
    Ok(())
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

async fn assemble(config: &Config, clock: &Arc<SystemClock>) -> Result<Broker> {
    let now = clock.now();
    let stamp = Arc::clone(clock);
    let (ledger, recovery) = Embedded::open(
        &config.data_dir.join("journal"),
        lanyard_journal::Options::default(),
        Arc::new(move || stamp.now()),
    )?;
    let ledger = Arc::new(ledger);
    if recovery.cut > 0 {
        tracing::warn!(
            bytes = recovery.cut,
            "the journal ended in a batch that was never acknowledged: cut"
        );
    }
    let keyring = Arc::new(Keyring::load_or_create(&config.data_dir.join("keys"), now)?);
    let mut providers: BTreeMap<Name, Arc<dyn Provider>> = BTreeMap::new();
    for (name, target) in &config.targets {
        let provider = target.connect(name, &config.issuer, &keyring).await?;
        providers.insert(name.clone(), provider);
    }
    let engine = Engine::new(Parts {
        ledger: Arc::clone(&ledger) as Arc<dyn lanyard_core::ledger::Ledger>,
        providers,
        charters: Arc::new(Charters::default()),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        randomness: Arc::new(SystemRandomness::default()),
        agents: BTreeMap::new(),
    });
    let issuers = config
        .issuers
        .iter()
        .map(crate::config::IssuerConfig::open)
        .collect::<Result<Vec<_>>>()?;
    let charters = CharterDirectory::new(
        config.charters.clone(),
        config.data_dir.join("revisions"),
        config.world.clone(),
        Arc::clone(&engine),
    )?;
    let broker = Broker {
        engine,
        ledger,
        verifier: Verifier::new(config.audience.clone(), issuers, now),
        charters: Arc::new(charters),
        plans: PlanStore::open(config.data_dir.join("plans"))?,
        keyring,
        issuer: config.issuer.clone(),
    };
    Ok(broker)
}
