//! The ledger on a real directory.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where its footing gives way"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lanyard_charter::{Breaker, BreakerRule, Event, Per, Rate, Then};
use lanyard_core::command::{Command, Intent, LeaseLimits, RequestOptions};
use lanyard_core::condition::Reason;
use lanyard_core::kill::{Actor, KillOrder};
use lanyard_core::lease::{GrantRef, Handle, StopCause};
use lanyard_core::ledger::{CommitError, Ledger, look};
use lanyard_core::pause::{Demand, Pause, Reach};
use lanyard_core::state::Refusal;
use lanyard_core::task::Task;
use lanyard_document::Position;
use lanyard_journal::Options;
use lanyard_ledger::history::Query;
use lanyard_ledger::{Embedded, Settings};
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{DecisionId, KillId, LeaseId, PauseId};
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::revision::Revision;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::time::{Timestamp, Ttl};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn open(directory: &Path) -> Embedded {
    open_with(directory, 1_000_000)
}

fn open_with(directory: &Path, snapshot_every: u64) -> Embedded {
    let settings = Settings {
        disk: lanyard_disk::system(),
        journal: Options {
            reserve_bytes: 4096,
            segment_bytes: 4096,
        },
        snapshot_every,
        ..Settings::with_history(directory.join("history"))
    };
    Embedded::open(directory, &settings, Arc::new(|| NOW))
        .unwrap()
        .0
}

fn in_force(charter: Name, revision: Revision) -> Command {
    let rule = |on, then, count| BreakerRule {
        breaker: Breaker {
            action: None,
            on,
            count,
            within: Ttl::at_least_a_second(600),
            per: Per::Agent,
            then,
            lasts: None,
        },
        at: Position { line: 1, column: 1 },
        path: None,
    };
    Command::CharterInForce {
        charter,
        revision,
        breakers: vec![
            rule(Event::Minted, Then::Alert, 30),
            rule(Event::NewTarget, Then::StopAgent, 2),
        ],
    }
}

/// A task with leases in every stage, and an order over some of them.
async fn filled(ledger: &Embedded, ids: &Ids) -> Task {
    let task = world::task(ids, NOW);
    let (charter, revision) = (task.charter.clone(), task.revision.clone());
    ledger.commit(in_force(charter, revision)).await.unwrap();
    let (open, request) = (task.clone(), Some("again".to_owned()));
    ledger
        .commit(Command::OpenTask {
            task: open,
            request,
        })
        .await
        .unwrap();
    for turn in 0..40 {
        let lease = ids.lease();
        let begin = Command::BeginMint(Box::new(intent(lease, &task, turn)));
        ledger.commit(begin).await.unwrap();
        if turn % 2 == 0 {
            let (expires, handle) = (NOW + Duration::from_secs(500), None);
            let confirm = Command::ConfirmMint {
                lease,
                expires,
                handle,
            };
            ledger.commit(confirm).await.unwrap();
        }
        if turn % 5 == 0 {
            let (leases, cause) = (vec![lease], StopCause::Released);
            ledger
                .commit(Command::Stop { leases, cause })
                .await
                .unwrap();
        }
    }
    ledger.commit(Command::Kill(order(7))).await.unwrap();
    let pause = Pause {
        id: PauseId::from_bits(9),
        reach: Reach::default(),
        demand: Demand::NoIssuance,
        reason: "looking".into(),
        by: Actor::Local,
        at: NOW,
        until: None,
        evidence: Vec::new(),
    };
    ledger
        .commit(Command::Pause(Box::new(pause)))
        .await
        .unwrap();
    task
}

fn intent(lease: LeaseId, task: &Task, turn: u32) -> Intent {
    Intent {
        lease,
        decision: DecisionId::from_bits(1),
        task: task.id,
        environment: None,
        entry: GrantRef {
            grant: world::name("read-ledger"),
            role: Role::Plan,
            target: world::name("apis"),
        },
        in_force: task.revision.clone(),
        handle: Handle("h".into()),
        expires: NOW + Duration::from_secs(600),
        worst_expiry: NOW + Duration::from_secs(700),
        deadline: NOW + Duration::from_secs(30),
        approval: None,
        limits: LeaseLimits {
            budget: None,
            live: 100,
            mints: Rate {
                count: 1000,
                per: Ttl::from_secs(3600).unwrap(),
            }
            .into(),
        },
        request: turn.is_multiple_of(3).then(|| turn.to_string()),
        asked: RequestOptions::default(),
        above: Vec::new(),
        outside_hours: false,
        evidence: None,
        approved_by: Vec::new(),
        document_digest: String::new(),
    }
}

/// Everything in the state, in an order.
fn image(ledger: &Embedded) -> Vec<String> {
    let mut image = look(ledger, |state| {
        let items = state
            .image()
            .map(|item| serde_json::to_string(&item).unwrap());
        items.collect::<Vec<_>>()
    });
    image.sort();
    image
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn a_start_from_a_snapshot_comes_to_the_same_state_as_the_whole_journal() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_with(directory.path(), 20);
    filled(&ledger, &Ids::seeded(3)).await;
    let (image_then, tree) = (image(&ledger), ledger.tree());
    drop(ledger);
    assert!(!files(directory.path(), "snapshot").is_empty());

    let from_snapshot = open(directory.path());
    assert_eq!(
        (image(&from_snapshot), from_snapshot.tree()),
        (image_then.clone(), tree)
    );
    drop(from_snapshot);

    // A snapshot that is damaged is passed over, and so is the one before it.
    for path in files(directory.path(), "snapshot") {
        std::fs::write(path, "LANYARDS").unwrap();
    }
    let from_all = open(directory.path());
    assert_eq!((image(&from_all), from_all.tree()), (image_then, tree));
}

#[tokio::test]
async fn segments_that_a_snapshot_stands_for_can_be_archived() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open_with(directory.path(), 20);
    filled(&ledger, &Ids::seeded(4)).await;
    let (image_then, tree) = (image(&ledger), ledger.tree());
    drop(ledger);
    let mut segments = files(directory.path(), "seg");
    segments.extend(files(directory.path(), "zst"));
    segments.sort();
    std::fs::remove_file(segments.remove(0)).unwrap();
    let again = open(directory.path());
    assert_eq!((image(&again), again.tree()), (image_then, tree));
    drop(again);
    // A history that has to be made again begins with what is there.
    std::fs::remove_dir_all(directory.path().join("history")).unwrap();
    let again = open(directory.path());
    drop(asked(&again, Query::default()).await);
    let held = again.history().applied();
    again.close();
    assert_eq!(held, again.tree().0);
}

async fn asked(ledger: &Embedded, query: Query) -> Vec<String> {
    let size = ledger.tree().0;
    // The history follows the writer; it is asked until it is there.
    while ledger.history().applied() < size {
        ledger.history().want();
        tokio::task::yield_now().await;
    }
    let (found, _) = ledger.history().query(&query);
    let kinds = found
        .into_iter()
        .map(|(_, record)| lanyard_records::head(&record).kind.into_owned());
    kinds.collect()
}

#[tokio::test]
async fn the_history_finds_what_mentions_an_id_or_a_name_and_is_made_again_when_it_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let task = filled(&ledger, &Ids::seeded(5)).await;
    let everything = Query {
        limit: 1000,
        ..Query::default()
    };
    let by_task = Query {
        mentions: Some(task.id.to_string()),
        ..everything.clone()
    };
    let kills = Query {
        kind: Some("kill".to_owned()),
        ..everything.clone()
    };
    assert_eq!(asked(&ledger, by_task.clone()).await.len(), 41);
    assert_eq!(asked(&ledger, kills.clone()).await, ["kill"]);
    let by_charter = Query {
        mentions: Some(task.charter.to_string()),
        ..everything.clone()
    };
    assert_eq!(
        asked(&ledger, by_charter).await,
        ["charter-in-force", "open-task"]
    );
    let paged = Query {
        limit: 10,
        ..everything
    };
    let (first, next) = ledger.history().query(&paged);
    assert_eq!((first.len(), next), (10, Some(10)));
    drop(ledger);

    for broken in ["deleted", "overwritten", "another journal's"] {
        let history = directory.path().join("history");
        match broken {
            "deleted" => std::fs::remove_dir_all(&history).unwrap(),
            "overwritten" => std::fs::write(history.join("db"), "x".repeat(4096)).unwrap(),
            _ => {
                let other = tempfile::tempdir().unwrap();
                let ledger = open(other.path());
                filled(&ledger, &Ids::seeded(6)).await;
                drop(ledger);
                std::fs::remove_dir_all(&history).unwrap();
                std::fs::rename(other.path().join("history"), &history).unwrap();
            }
        }
        let again = open(directory.path());
        assert_eq!(asked(&again, by_task.clone()).await.len(), 41, "{broken}");
        assert_eq!(asked(&again, kills.clone()).await, ["kill"], "{broken}");
    }
}

fn order(bits: u128) -> KillOrder {
    KillOrder {
        id: KillId::from_bits(bits),
        scope: Scope::All,
        roles: RoleFilter::Both,
        reason: "drill".to_owned(),
        by: Actor::Local,
        at: NOW,
        evidence: Vec::new(),
        key: None,
        identities: std::collections::BTreeSet::new(),
        as_typed: false,
        reaches_nothing: false,
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let task = world::task(&Ids::seeded(1), NOW);
    let ledger = open(directory.path());
    let (charter, revision) = (task.charter.clone(), task.revision.clone());
    ledger.commit(in_force(charter, revision)).await.unwrap();
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
    });
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
    ledger.commit(in_force(charter, revision)).await.unwrap();
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

/// A loss of power may leave any part of an index other than it was written.
#[tokio::test]
async fn s48_a_history_with_a_torn_page_is_made_again_and_answers_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let task = filled(&ledger, &Ids::seeded(8)).await;
    let by_task = Query {
        mentions: Some(task.id.to_string()),
        limit: 1000,
        ..Query::default()
    };
    let expected = asked(&ledger, by_task.clone()).await;
    ledger.close();
    drop(ledger);
    let file = directory.path().join("history/db");
    let clean = directory.path().join("history/clean");
    assert!(clean.exists(), "an orderly end is noted");
    let whole = std::fs::read(&file).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut garbage = 0x9e37_79b9_u32;
    for place in (0..used).step_by(used.div_ceil(24)) {
        for torn in [0, 1] {
            let mut bytes = whole.clone();
            for byte in bytes.iter_mut().skip(place).take(512) {
                garbage = garbage.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = if torn == 0 {
                    0
                } else {
                    garbage.to_le_bytes()[3]
                };
            }
            std::fs::write(&file, bytes).unwrap();
            std::fs::remove_file(&clean).ok();
            let again = open(directory.path());
            let found = asked(&again, by_task.clone()).await;
            assert_eq!(found, expected, "512 bytes from {place} of {used}");
            assert_eq!((again.problems(), again.faults()), (Vec::new(), Vec::new()));
        }
    }
}

#[tokio::test]
async fn an_answer_of_the_history_has_so_many_records_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = std::sync::Arc::new(open(directory.path()));
    let mut orders = tokio::task::JoinSet::new();
    for bits in 0..1001 {
        let ledger = std::sync::Arc::clone(&ledger);
        orders.spawn(async move { ledger.commit(Command::Kill(order(bits))).await });
    }
    while let Some(committed) = orders.join_next().await {
        committed.unwrap().unwrap();
    }
    let all = Query {
        limit: 5000,
        ..Query::default()
    };
    // The history follows the journal.
    while ledger.history().applied() < 1001 {
        tokio::task::yield_now().await;
    }
    let (found, next) = ledger.history().query(&all);
    assert_eq!((found.len(), next), (1000, Some(1000)));
}

#[tokio::test]
async fn r14_no_span_of_times_hides_a_record() {
    let directory = tempfile::tempdir().unwrap();
    // An hour back after the 100th record, for good.
    let turns = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let clock = {
        let turns = Arc::clone(&turns);
        move || {
            let turn = turns.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let behind = if turn < 100 { 0 } else { 3600 };
            Timestamp::from_secs(NOW.as_secs() + turn - behind)
        }
    };
    let settings = Settings::with_history(directory.path().join("history"));
    let opened = Embedded::open(directory.path(), &settings, Arc::new(clock));
    let ledger = Arc::new(opened.unwrap().0);
    for bits in 0..110 {
        ledger.commit(Command::Kill(order(bits))).await.unwrap();
    }
    // More than one span of the history holds, and at once: each record alone waits for the disk.
    let mut orders = tokio::task::JoinSet::new();
    for bits in 110..400 {
        let ledger = Arc::clone(&ledger);
        orders.spawn(async move { ledger.commit(Command::Kill(order(bits))).await });
    }
    while let Some(committed) = orders.join_next().await {
        committed.unwrap().unwrap();
    }
    while ledger.history().applied() < 400 {
        ledger.history().want();
        tokio::task::yield_now().await;
    }
    let times = |query: &Query| -> Vec<Timestamp> {
        let (found, _) = ledger.history().query(query);
        let read = found
            .into_iter()
            .map(|(_, record)| lanyard_records::head(&record).at.unwrap());
        read.collect()
    };
    let all = Query {
        limit: 1000,
        ..Query::default()
    };
    let everything = times(&all);
    assert_eq!(everything.len(), 400);
    for bound in everything.iter().step_by(23) {
        for (since, until) in [
            (Some(*bound), None),
            (None, Some(*bound)),
            (Some(*bound), Some(*bound)),
        ] {
            for kind in [None, Some("kill".to_owned())] {
                let query = Query {
                    since,
                    until,
                    kind,
                    ..all.clone()
                };
                let is_in = |at: &Timestamp| {
                    since.is_none_or(|since| *at >= since) && until.is_none_or(|until| *at <= until)
                };
                let mut found = times(&query);
                found.retain(is_in);
                let mut expected = everything.clone();
                expected.retain(is_in);
                assert_eq!(found, expected, "{since:?} {until:?}");
            }
        }
    }
    // What is asked for is not found by looking at everything.
    let first = Query {
        until: everything.get(9).copied(),
        since: everything.first().copied(),
        ..all
    };
    assert!(times(&first).len() < 400, "{}", times(&first).len());
}

#[tokio::test]
async fn s16_a_journal_whose_directory_cannot_be_used_opens_to_revoke_only() {
    let place = tempfile::tempdir().unwrap();
    let (file, dangling) = (place.path().join("file"), place.path().join("link"));
    std::fs::write(&file, "no directory").unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", &dangling).unwrap();
    for directory in [&file, &dangling] {
        let settings = Settings::with_history(place.path().join("history"));
        let (ledger, recovery) = Embedded::open(directory, &settings, Arc::new(|| NOW)).unwrap();
        let [Reason::JournalDamaged { file: named, .. }] = &ledger.faults()[..] else {
            panic!("{:?}", ledger.faults())
        };
        assert_eq!(*named, directory.display().to_string());
        assert!(recovery.incomplete, "what is lost is not known");
        // A kill is in effect all the same.
        let killed = ledger.commit(Command::Kill(order(1))).await;
        assert!(
            matches!(killed, Err(CommitError::Volatile { .. })),
            "{killed:?}"
        );
        let known = look(&ledger, |state| {
            state.kills().get(KillId::from_bits(1)).is_some()
        });
        assert!(known);
    }
}
