//! A confirmation, a release and a kill, in every order in which their threads can meet at the
//! state and at the gate.
//!
//! `cargo test -p lanyard-engine --features model --test model`; the test command does that.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::time::Duration;

use async_trait::async_trait;
use lanyard_charter::TargetKind;
use lanyard_core::command::{Command, Intent, LeaseLimits, Record, RequestOptions};
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::lease::{GrantRef, Handle};
use lanyard_core::ledger::{CommitError, Ledger, StateGuard};
use lanyard_core::state::{State, is_unswept};
use lanyard_engine::gate::Gate;
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{DecisionId, KillId, LeaseId};
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread::{self, JoinHandle};

/// The writer without its thread: admits and applies under the lock of the state.
struct Books(Mutex<State>);

impl Books {
    fn admit(&self, command: Command) -> bool {
        let record = Record {
            at: ManualClock::START,
            command,
        };
        let mut state = self.0.lock().unwrap();
        let admitted = state.admit(&record.command, record.at).is_ok();
        if admitted {
            state.apply(&record);
        }
        admitted
    }
}

#[async_trait]
impl Ledger for Books {
    async fn commit(&self, _: Command) -> Result<Seq, CommitError> {
        Err(CommitError::Unavailable("not in a model".to_owned()))
    }

    fn read(&self) -> StateGuard<'_> {
        Box::new(self.0.lock().unwrap())
    }

    async fn settle(&self) -> Result<(), CommitError> {
        Ok(())
    }
}

/// Books with a task, and an intent of it.
fn asked() -> (Books, LeaseId) {
    let ids = Ids::seeded(1);
    let task = world::task(&ids, ManualClock::START);
    let books = Books(Mutex::new(State::default()));
    assert!(books.admit(Command::CharterInForce {
        charter: task.charter.clone(),
        revision: task.revision.clone(),
        breakers: Vec::new(),
    }));
    let lease = ids.lease();
    let ends = ManualClock::START + Duration::from_secs(600);
    let intent = Intent {
        lease,
        decision: DecisionId::from_bits(ids.bits()),
        task: task.id,
        environment: None,
        entry: GrantRef {
            grant: world::grant(TargetKind::TOKEN),
            role: lanyard_vocabulary::role::Role::Plan,
            target: world::target(TargetKind::TOKEN),
        },
        in_force: task.revision.clone(),
        above: Vec::new(),
        handle: Handle::default(),
        expires: ends,
        worst_expiry: ends,
        deadline: ends,
        approval: None,
        asked: RequestOptions::default(),
        outside_hours: false,
        limits: LeaseLimits {
            live: 10,
            mints: lanyard_charter::Rate {
                count: 10,
                per: lanyard_vocabulary::time::Ttl::at_least_a_second(60),
            }
            .into(),
            budget: None,
        },
        request: None,
        evidence: None,
        approved_by: Vec::new(),
        document_digest: String::new(),
    };
    let request = None;
    assert!(books.admit(Command::OpenTask { task, request }));
    assert!(books.admit(Command::BeginMint(Box::new(intent))));
    (books, lease)
}

fn order() -> KillOrder {
    KillOrder {
        id: KillId::from_bits(1),
        scope: Scope::All,
        roles: RoleFilter::Both,
        reason: "drill".to_owned(),
        by: Actor::Local,
        at: ManualClock::START,
        evidence: Vec::new(),
        key: None,
        identities: std::collections::BTreeSet::new(),
        as_typed: false,
        reaches_nothing: false,
    }
}

/// The stack of a modelled thread, which is 32 KiB where nobody says so: too little for a state
/// without optimisation.
const STACK_BYTES: usize = 256 * 1024;

fn spawn(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let thread = thread::Builder::new().stack_size(STACK_BYTES);
    thread.spawn(work).unwrap()
}

/// C and D against a kill whose order is admitted, or cannot be.
fn meet(durable: bool) {
    loom::model(move || spawn(move || meet_once(durable)).join().unwrap());
}

fn meet_once(durable: bool) {
    let (books, lease) = asked();
    let (books, gate) = (Arc::new(books), Arc::new(Gate::default()));
    let answered = Arc::new(AtomicBool::new(false));
    let killer = {
        let (books, gate, answered) =
            (Arc::clone(&books), Arc::clone(&gate), Arc::clone(&answered));
        spawn(move || {
            let order = order();
            gate.raise(&order);
            if durable {
                assert!(books.admit(Command::Kill(order.clone())));
                gate.lower(order.id);
            }
            answered.store(true, Ordering::SeqCst);
        })
    };
    let confirmed = books.admit(Command::ConfirmMint {
        lease,
        expires: ManualClock::START + Duration::from_secs(600),
        handle: None,
    });
    let handed = confirmed
        && gate
            .release(books.as_ref(), lease, || {
                assert!(
                    !answered.load(Ordering::SeqCst),
                    "a secret left after the kill was answered"
                );
            })
            .is_ok();
    killer.join().unwrap();
    let state = books.0.lock().unwrap();
    let found = state.leases().get(lease).unwrap();
    // Whatever was handed over is in reach of the order, and its sweep finds it.
    if durable {
        assert!(
            state
                .kills()
                .killer(&found.facets(), found.intent)
                .is_some()
        );
        let engaged = state.kills().get(KillId::from_bits(1)).unwrap();
        assert!(is_unswept(found, &engaged.order, engaged.seq));
    }
    drop(state);
    assert!(confirmed || !handed);
    let again = gate.release(books.as_ref(), lease, || ());
    assert!(again.is_err(), "a secret could leave after the kill");
}

// T65
#[test]
fn t65_no_secret_leaves_after_a_kill_was_answered() {
    meet(true);
}

// T65
#[test]
fn t65_nor_after_one_that_is_in_effect_in_this_process_alone() {
    meet(false);
}
