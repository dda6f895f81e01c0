//! The power goes, after every operation of a history of the whole data directory: journal,
//! snapshots, spool and replay cache on one disk, put together as the daemon does.

use lanyard_core::command::Command;
use lanyard_core::ledger::Ledger as _;
use lanyard_disk::Disk as _;
use lanyard_disk::simulated::SimulatedDisk;
use lanyard_identity::replay_cache::{Owner, ProofId, ReplayCache, Use};
use lanyard_journal::{Options, Recovery};
use lanyard_ledger::{Embedded, Settings};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::agent::AgentName;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::scope::Scope;
use lanyard_vocabulary::time::Timestamp;

use super::tests::{PLACE, engine_with, in_effect, order};
use super::*;

const NOW: Timestamp = ManualClock::START;
/// The number of ways to lose what was not synced that are tried at each moment.
const SEEDS: u64 = 4;
const OPTIONS: Options = Options {
    segment_bytes: 4096,
    reserve_bytes: 4096,
};

/// A daemon over the data directory.
struct Process {
    ledger: Arc<Embedded>,
    engine: Arc<Engine>,
    spool: Spool,
    memory: Arc<ReplayCache>,
}

impl Process {
    /// Starts; there is no history, whose files are not on this disk.
    async fn start(disk: &Arc<SimulatedDisk>, nowhere: &Path) -> (Self, Recovery) {
        let (files, place): (Files, _) = (Arc::<SimulatedDisk>::clone(disk), Path::new(PLACE));
        let settings = Settings {
            disk: Files::clone(&files),
            journal: OPTIONS,
            snapshot_every: 6,
            ..Settings::with_history(nowhere.to_path_buf())
        };
        let opened = Embedded::open(&place.join("journal"), &settings, Arc::new(|| NOW));
        let (ledger, recovery) = opened.unwrap();
        let ledger = Arc::new(ledger);
        let spool = Spool::open(&files, place);
        let process = Self {
            engine: engine_with(Arc::clone(&ledger) as _, Arc::new(spool.clone())),
            ledger,
            spool,
            memory: ReplayCache::open(&files, &place.join("used-proofs"), NOW, false).unwrap(),
        };
        process.spool.take_over(&process.engine, Tell::Reach).await;
        (process, recovery)
    }
}

/// An order that stops nothing of what happens here.
fn elsewhere(bits: u128) -> KillOrder {
    KillOrder {
        scope: Scope::Agent(AgentName("another".to_owned())),
        ..order(bits)
    }
}

/// The answer that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acknowledged {
    Opened(TaskId),
    Closed(TaskId),
    Ordered(KillId),
    Used(ProofId),
}

impl Acknowledged {
    fn holds(self, after: &Process) -> bool {
        let state = |at: &dyn Fn(&lanyard_core::state::State) -> bool| {
            after.engine.context().peek(|state| at(state))
        };
        match self {
            Self::Opened(task) => state(&|state| state.task(task).is_some()),
            Self::Closed(task) => {
                state(&|state| state.task(task).is_some_and(|it| it.closed.is_some()))
            }
            Self::Ordered(order) => state(&|state| state.kills().get(order).is_some()),
            Self::Used(id) => after.memory.knows(id) || after.memory.damage(NOW).is_some(),
        }
    }
}

/// The answers that a history acknowledged, and after how many operations of the disk.
struct Told {
    disk: Arc<SimulatedDisk>,
    all: Vec<(usize, Acknowledged)>,
}

impl Told {
    fn note(&mut self, what: Acknowledged) {
        self.all.push((self.disk.moments(), what));
    }

    /// A process's work: tasks that come and go, orders that the journal takes, that another
    /// process leaves in the spool, and that come while the disk is full, and tokens that are used.
    async fn live(&mut self, process: &Process, ids: &Ids, life: u128) {
        let first = world::task(ids, NOW);
        let in_force = Command::CharterInForce {
            charter: first.charter.clone(),
            revision: first.revision.clone(),
            breakers: Vec::new(),
        };
        process.ledger.commit(in_force).await.ok();
        for turn in 0..7 {
            let task = world::task(ids, NOW);
            let id = task.id;
            let open = Command::OpenTask {
                task,
                request: None,
            };
            if process.ledger.commit(open).await.is_ok() {
                self.note(Acknowledged::Opened(id));
            }
            if turn % 2 == 0
                && process
                    .ledger
                    .commit(Command::CloseTask { task: id })
                    .await
                    .is_ok()
            {
                self.note(Acknowledged::Closed(id));
            }
            let used = Use {
                id: ProofId::of(&[&format!("{life} {turn}")]),
                key: None,
                until: NOW + Duration::from_secs(600),
            };
            let owner = Owner {
                issuer: "issuer",
                name: "agent",
                is_known: true,
            };
            let remembered = process.memory.remember(&used, owner, NOW).unwrap();
            if remembered.durable().await.is_ok() {
                self.note(Acknowledged::Used(used.id));
            }
            let order = elsewhere(100 * life + turn);
            match turn % 3 {
                // `lanyardd kill --local`, beside the daemon.
                0 => {
                    process.spool.keep(&order).unwrap();
                    self.note(Acknowledged::Ordered(order.id));
                    process.spool.take_over(&process.engine, Tell::Reach).await;
                }
                1 => {
                    let fenced = process.engine.kills().engage(order).await;
                    assert!(fenced.is_durable());
                    self.note(Acknowledged::Ordered(fenced.order.id));
                }
                _ => {
                    self.disk.set_capacity(Some(self.disk.used()));
                    process.spool.keep(&order).unwrap();
                    self.note(Acknowledged::Ordered(order.id));
                    process.spool.take_over(&process.engine, Tell::Reach).await;
                    self.disk.set_capacity(None);
                }
            }
        }
    }

    async fn check(&self, cut: &Arc<SimulatedDisk>, nowhere: &Path, at: &str, moment: usize) {
        let (process, recovery) = Process::start(cut, nowhere).await;
        assert_eq!((recovery.loss, recovery.faults), (None, Vec::new()), "{at}");
        let acknowledged = self.all.iter().filter(|(when, _)| *when <= moment + 1);
        for (_, what) in acknowledged {
            // A task that was closed may have left memory; it comes back open in no case.
            assert!(what.holds(&process), "{at}: {what:?} is lost");
        }
        // The start issues, and takes another order.
        assert_eq!(process.engine.conditions().reasons(), [], "{at}");
        let next = process.engine.kills().engage(elsewhere(99_999)).await;
        assert!(next.seq.is_some(), "{at}");
        assert!(in_effect(&process.engine).contains(&next.order.id), "{at}");
        process.ledger.close();
    }
}

#[tokio::test]
async fn t58_power_loss_after_every_write_to_the_data_directory_loses_nothing_that_was_acknowledged()
 {
    let (disk, ids) = (SimulatedDisk::shared(), Ids::seeded(58));
    disk.create_directories(Path::new(PLACE)).unwrap();
    disk.record();
    let nowhere = tempfile::NamedTempFile::new().unwrap();
    let mut told = Told {
        disk: Arc::clone(&disk),
        all: Vec::new(),
    };
    for life in 1..=2 {
        let (process, _) = Process::start(&disk, nowhere.path()).await;
        told.live(&process, &ids, life).await;
        process.ledger.close();
    }
    assert!(told.all.len() > 40, "{:?}", told.all);
    let mut cuts = 0;
    for moment in 0..disk.moments() {
        for seed in 0..SEEDS {
            let at = format!("after operation {moment}, seed {seed}");
            told.check(&disk.cut(moment, seed), nowhere.path(), &at, moment)
                .await;
            cuts += 1;
        }
    }
    assert!(cuts >= 1000, "only {cuts}");
}
