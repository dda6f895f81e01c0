//! A kill among very many open tasks: how often the state is read before the order is durable, and
//! while its leases are swept, does not grow with the tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use lanyard_core::command::{Command, Record};
use lanyard_core::kill::Actor;
use lanyard_core::ledger::{CommitError, Ledger, StateGuard};
use lanyard_core::state::{MAX_OPEN_TASKS, MAX_OPEN_TASKS_PER_IDENTITY, State};
use lanyard_engine::Engine;
use lanyard_engine::pass::MAX_LEASES_PER_LOOK;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::RwLock;

use crate::common::bench;

/// A ledger that counts how often its state is looked at.
struct Counted {
    state: RwLock<State>,
    at: Timestamp,
    looks: AtomicUsize,
}

#[async_trait]
impl Ledger for Counted {
    async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        let mut state = self.state.write();
        let at = self.at;
        state.admit(&command, at)?;
        Ok(state.apply(&Record { at, command }))
    }

    fn read(&self) -> StateGuard<'_> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        Box::new(self.state.read())
    }

    async fn settle(&self) -> Result<(), CommitError> {
        Ok(())
    }
}

/// An engine in whose books so many tasks are open, of as few agents as may have them.
async fn with_tasks(count: usize) -> (Arc<Engine>, Arc<Counted>) {
    let bench = bench(world::CHARTER).await;
    let ids = Ids::seeded(1);
    let ledger = Arc::new(Counted {
        state: RwLock::default(),
        at: bench.clock.now(),
        looks: AtomicUsize::new(0),
    });
    for number in 0..count {
        let mut task = world::task(&ids, ledger.at);
        task.identity = Identity {
            issuer: "https://agents.acme.example".to_owned(),
            subject: format!("team:{}", number / MAX_OPEN_TASKS_PER_IDENTITY),
        };
        task.agent = AgentName(task.identity.to_string());
        let open = Command::OpenTask {
            task,
            request: None,
        };
        // As of a journal that is read again.
        let at = ledger.at;
        ledger.state.write().apply(&Record { at, command: open });
    }
    (bench.engine_over(Arc::clone(&ledger) as _), ledger)
}

/// Counts how often the state is looked at for an order over each kind of scope, from the request
/// to the end of the sweep.
async fn looks(count: usize) -> BTreeMap<String, usize> {
    let (engine, ledger) = with_tasks(count).await;
    // A process has passed over its leases once before it serves.
    engine.kills().sweep_orders().await;
    let task = ledger.state.read().tasks().next().unwrap().task.id;
    let agent = |name: &str| Scope::Agent(AgentName(name.to_owned()));
    let mut looks = BTreeMap::new();
    for scope in [
        agent("0"),
        agent("https://agents.acme.example#team:0"),
        agent("nobody"),
        Scope::Task(task),
        Scope::Charter(world::name("payments-terraform")),
        Scope::Environment(world::name("staging")),
        Scope::Target(world::name("payments-cluster")),
        Scope::All,
    ] {
        let (said, before) = (scope.to_string(), ledger.looks.load(Ordering::Relaxed));
        let reason = "it loops".to_owned();
        let draft = engine
            .kills()
            .draft(scope, RoleFilter::Both, reason, Actor::Local);
        let fenced = engine.kills().engage(draft.unwrap()).await;
        assert!(fenced.is_durable());
        engine.kills().sweep_orders().await;
        looks.insert(said, ledger.looks.load(Ordering::Relaxed) - before);
    }
    looks
}

#[tokio::test]
async fn s28_a_kill_among_a_hundred_thousand_open_tasks_reads_no_more_than_among_one() {
    let (few, many) = (looks(1).await, looks(MAX_OPEN_TASKS).await);
    let kinds = |looks: &BTreeMap<String, usize>| looks.values().copied().collect::<Vec<_>>();
    assert_eq!(kinds(&few), kinds(&many), "{few:?} {many:?}");
    // A pass over all tasks would take more of them, page by page.
    let pages = MAX_OPEN_TASKS / MAX_LEASES_PER_LOOK;
    assert!(many.values().all(|looks| looks * 4 < pages), "{many:?}");
}
