//! The ledger on a real directory.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::path::Path;
use std::sync::Arc;

use lanyard_core::charter::Revision;
use lanyard_core::command::Command;
use lanyard_core::id::KillId;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::ledger::{CommitError, Ledger, look};
use lanyard_core::scope::{RoleFilter, Scope};
use lanyard_core::state::Refusal;
use lanyard_core::time::Timestamp;
use lanyard_journal::Options;
use lanyard_ledger::Embedded;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn open(directory: &Path) -> Embedded {
    let options = Options {
        reserve_bytes: 4096,
        ..Options::default()
    };
    Embedded::open(directory, options, Arc::new(|| NOW))
        .unwrap()
        .0
}

fn order(bits: u128) -> KillOrder {
    KillOrder {
        id: KillId::from_bits(bits),
        scope: Scope::All,
        roles: RoleFilter::Both,
        reason: "drill".to_owned(),
        by: Actor::Local,
        at: NOW,
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let task = world::task(&Ids::seeded(1), NOW);
    let ledger = open(directory.path());
    let (charter, revision) = (task.charter.clone(), task.revision.clone());
    ledger
        .commit(Command::CharterInForce { charter, revision })
        .await
        .unwrap();
    ledger
        .commit(Command::OpenTask {
            task: task.clone(),
            request: None,
        })
        .await
        .unwrap();
    ledger.commit(Command::Kill(order(7))).await.unwrap();
    drop(ledger);

    let again = open(directory.path());
    again.settle().await.unwrap();
    look(&again, |state| {
        assert_eq!(*state.task(task.id).unwrap().task, task);
        assert!(state.kills().get(KillId::from_bits(7)).is_some());
    })
    .unwrap();
}

#[tokio::test]
async fn a_refused_command_leaves_no_record() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let task = world::task(&Ids::seeded(1), NOW);
    let refused = ledger
        .commit(Command::OpenTask {
            task: task.clone(),
            request: None,
        })
        .await;
    assert_eq!(
        refused,
        Err(CommitError::Refused(Refusal::CharterMoved(task.charter)))
    );
    assert_eq!(ledger.tree().0, 0);
}

#[tokio::test]
async fn the_same_order_twice_is_one_order() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    ledger.commit(Command::Kill(order(7))).await.unwrap();
    assert!(matches!(
        ledger.commit(Command::Kill(order(7))).await,
        Err(CommitError::Refused(Refusal::Exists(_)))
    ));
    assert_eq!(ledger.tree().0, 1);
}

#[tokio::test]
async fn t74_an_open_under_a_revision_that_has_moved_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let task = world::task(&Ids::seeded(1), NOW);
    let (charter, revision) = (task.charter.clone(), Revision::of(b"another"));
    ledger
        .commit(Command::CharterInForce { charter, revision })
        .await
        .unwrap();
    let refused = ledger
        .commit(Command::OpenTask {
            task: task.clone(),
            request: None,
        })
        .await;
    assert_eq!(
        refused,
        Err(CommitError::Refused(Refusal::CharterMoved(task.charter)))
    );
}
