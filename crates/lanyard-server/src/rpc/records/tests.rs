//! Records are found by what they are about, by when they were made, and from an id on.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use lanyard_core::action::{Outcome, Report, Reporter};
use lanyard_core::command::{Command, Record};
use lanyard_core::kill::{Actor, KillOrder, RearmProposal, RearmStage};
use lanyard_core::pause::{Demand, Pause, Reach};
use lanyard_core::task::Task;
use lanyard_engine::Engine;
use lanyard_journal::merkle::Frontier;
use lanyard_journal::{Journal, Options};
use lanyard_ledger::{Embedded, Settings};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{ActionId, ApprovalId, DecisionId, KillId, PauseId, RearmId};
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use lanyard_vocabulary::time::Timestamp;
use serde_json::json;

use super::*;
use crate::rpc::caught_up::caught_up;
use crate::spool::tests::engine_over;

mod about;
mod said;

const START: Timestamp = ManualClock::START;

/// A broker's journal and what is asked of it.
struct Stage {
    _folder: tempfile::TempDir,
    ledger: Arc<Embedded>,
    engine: Arc<Engine>,
}

impl Stage {
    /// With a journal of these records, whatever their times and kinds.
    async fn with(records: &[Vec<u8>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("journal");
        write(&directory, records);
        let settings = Settings::with_history(folder.path().join("history"));
        let (ledger, _) = Embedded::open(&directory, &settings, Arc::new(|| START)).unwrap();
        let ledger = Arc::new(ledger);
        caught_up(&ledger, false).await.unwrap();
        let engine = engine_over(Arc::clone(&ledger) as _);
        Self {
            _folder: folder,
            ledger,
            engine,
        }
    }

    async fn of(commands: impl IntoIterator<Item = Command>) -> Self {
        let records = commands.into_iter().map(|command| record(START, command));
        Self::with(&records.collect::<Vec<_>>()).await
    }

    /// The places of all pages of an answer, each of this many records.
    fn pages(&self, request: v1::QueryRecordsRequest, size: i32) -> Vec<u64> {
        let mut request = v1::QueryRecordsRequest {
            page_size: size,
            ..request
        };
        let mut places = Vec::new();
        loop {
            let answer = self.asked(request.clone()).unwrap();
            places.extend(answer.records.iter().map(|record| record.index));
            request.page_token = answer.next_page_token;
            if request.page_token.is_empty() {
                return places;
            }
        }
    }

    fn asked(
        &self,
        request: v1::QueryRecordsRequest,
    ) -> Result<v1::QueryRecordsResponse, tonic::Status> {
        AskedRecords::of(request)?.found(&self.engine, self.ledger.history())
    }

    fn places(&self, request: v1::QueryRecordsRequest) -> Vec<u64> {
        self.pages(request, 1000)
    }

    /// Returns what a tail from the first record on shows.
    fn tailed(&self, request: v1::TailRecordsRequest) -> Vec<u64> {
        let asked = AskedNames::of_tail(request).unwrap();
        let (mut places, size) = (Vec::new(), self.ledger.tree().0);
        let mut lookup = Lookup::new(&self.engine, self.ledger.history());
        let read = self.ledger.records(0).read(size, |entry| {
            let told = asked.record(&mut lookup, (entry.index, entry.record));
            places.extend(told.map(|record| record.index));
        });
        read.unwrap();
        places
    }
}

fn write(directory: &Path, records: &[Vec<u8>]) {
    let options = Options {
        reserve_bytes: 4096,
        segment_bytes: 64 << 10,
    };
    let disk = lanyard_disk::system();
    let opened = Journal::open(&disk, directory, options, Frontier::default(), |_, _| {});
    let (mut journal, _) = opened.unwrap();
    for some in records.chunks(7) {
        journal.append(some).unwrap();
    }
}

fn record(at: Timestamp, command: Command) -> Vec<u8> {
    serde_json::to_vec(&Record { at, command }).unwrap()
}

fn opened(task: &Task) -> Command {
    Command::OpenTask {
        task: task.clone(),
        request: None,
    }
}

fn order(bits: u128, scope: Scope, by: Actor) -> KillOrder {
    KillOrder {
        id: KillId::from_bits(bits),
        scope,
        roles: RoleFilter::Both,
        reason: "it loops".to_owned(),
        by,
        at: START,
        evidence: Vec::new(),
        key: None,
        identities: BTreeSet::new(),
        reaches_nothing: false,
        as_typed: false,
    }
}

fn pause(bits: u128, reach: Reach) -> Pause {
    Pause {
        id: PauseId::from_bits(bits),
        reach,
        demand: Demand::NoIssuance,
        reason: "three denials".to_owned(),
        by: Actor::Broker,
        at: START,
        until: None,
        evidence: Vec::new(),
    }
}

fn person(issuer: &str, subject: &str) -> Identity {
    Identity {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    }
}

fn wire(at: Timestamp) -> prost_types::Timestamp {
    let millis = i64::try_from(at.as_millis()).unwrap();
    prost_types::Timestamp {
        seconds: millis / 1000,
        nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap(),
    }
}

/// Returns what lifts orders and pauses, behind what it lifts, with who does it.
fn lifts(kill: &KillOrder, by: &Identity) -> [Command; 3] {
    let rearm = RearmId::from_bits(kill.id.bits());
    [
        Command::ProposeRearm(RearmProposal {
            id: rearm,
            kill: kill.id,
            stage: RearmStage::Plan,
            by: by.clone().into(),
            reason: "mended".to_owned(),
            at: START,
            despite_unconfirmed: false,
            epoch: Seq(0),
            soak: 0,
        }),
        Command::ConfirmRearm {
            rearm,
            kill: kill.id,
            by: by.clone().into(),
            despite: None,
        },
        Command::WithdrawKill {
            kill: kill.id,
            by: by.clone().into(),
            reason: "a slip".to_owned(),
        },
    ]
}

/// Times that go up by a second, but for a clock that was an hour behind for a while, twice, and
/// once years ahead.
fn times() -> Vec<Timestamp> {
    let at = |place: u64| {
        let seconds = START.as_secs() + 100_000 + place;
        Timestamp::from_secs(match place {
            10 | 555 => seconds + 1_000_000_000,
            300..360 => seconds - 3600,
            700.. => seconds - 86_400,
            _ => seconds,
        })
    };
    (0..800).map(at).collect()
}

#[tokio::test]
async fn r14_a_record_is_found_by_its_time_when_the_clock_went_back() {
    let (times, task) = (times(), world::task(&Ids::seeded(14), START));
    let of = |place: usize| match place % 3 {
        0 => Command::Kill(order(place as u128, Scope::All, Actor::Local)),
        1 => Command::CloseTask { task: task.id },
        _ => Command::Forget { leases: Vec::new() },
    };
    let all = times.iter().enumerate();
    let records: Vec<_> = all.map(|(place, at)| record(*at, of(place))).collect();
    let stage = Stage::with(&records).await;
    let bounds = [10, 299, 330, 555, 750];
    let bounds = bounds.map(|place| times.get(place).copied().unwrap());
    let pairs = bounds.iter().flat_map(|since| {
        let until = bounds.iter().copied().map(Some).chain([None]);
        until.map(move |until| (Some(*since), until))
    });
    let open = bounds.iter().map(|until| (None, Some(*until)));
    for (since, until) in pairs.chain(open) {
        let is_in = |at: Timestamp| {
            since.is_none_or(|since| at >= since) && until.is_none_or(|until| at <= until)
        };
        let expected = |kind: Option<usize>| -> Vec<u64> {
            let all = times.iter().enumerate();
            let of_kind = all.filter(|(place, _)| kind.is_none_or(|kind| place % 3 == kind));
            let found = of_kind.filter(|(_, at)| is_in(**at));
            found.map(|(place, _)| place as u64).collect()
        };
        let request = v1::QueryRecordsRequest {
            since: since.map(wire),
            until: until.map(wire),
            ..Default::default()
        };
        let kills = v1::QueryRecordsRequest {
            kind: "kill".to_owned(),
            ..request.clone()
        };
        let of_task = v1::QueryRecordsRequest {
            mentions: task.id.to_string(),
            ..request.clone()
        };
        let bare = v1::QueryRecordsRequest {
            bare: true,
            ..request.clone()
        };
        let what = format!("{since:?} to {until:?}");
        assert_eq!(stage.places(request.clone()), expected(None), "{what}");
        assert_eq!(stage.pages(request, 200), expected(None), "{what}");
        assert_eq!(stage.places(bare), expected(None), "{what}");
        assert_eq!(stage.places(kills), expected(Some(0)), "{what}");
        assert_eq!(stage.pages(of_task, 200), expected(Some(1)), "{what}");
    }
}

#[tokio::test]
async fn r15_a_record_of_a_later_version_is_told_and_never_dropped() {
    let of_tomorrow = |at: Timestamp, command: serde_json::Value| {
        serde_json::to_vec(&json!({"at": at, "command": command})).unwrap()
    };
    let later = Timestamp::from_secs(START.as_secs() + 60);
    let anna = json!({"issuer": "https://people.example", "subject": "anna"});
    let stage = Stage::with(&[
        record(START, Command::Forget { leases: Vec::new() }),
        of_tomorrow(
            START,
            json!({"type": "of-tomorrow", "charter": "payments", "by": anna}),
        ),
        of_tomorrow(
            later,
            json!({"type": "of-tomorrow", "where": {"environment": "production"}}),
        ),
        b"no JSON at all".to_vec(),
    ])
    .await;
    let ask = v1::QueryRecordsRequest::default;
    assert_eq!(stage.places(ask()), [0, 1, 2, 3]);
    let shown = stage.asked(ask()).unwrap().records;
    let body: Vec<&str> = shown.iter().map(|record| record.body.as_str()).collect();
    assert!(body[1].contains("of-tomorrow") && body[3] == "no JSON at all");
    assert_eq!(
        (shown[1].kind.as_str(), shown[1].said.as_str()),
        ("of-tomorrow", "")
    );
    for (request, expected) in [
        (
            v1::QueryRecordsRequest {
                bare: true,
                ..ask()
            },
            vec![0, 1, 2, 3],
        ),
        (
            v1::QueryRecordsRequest {
                kind: "of-tomorrow".to_owned(),
                ..ask()
            },
            vec![1, 2],
        ),
        // What says no time may be of any.
        (
            v1::QueryRecordsRequest {
                since: Some(wire(later)),
                ..ask()
            },
            vec![2, 3],
        ),
        (
            v1::QueryRecordsRequest {
                until: Some(wire(START)),
                ..ask()
            },
            vec![0, 1, 3],
        ),
        (
            v1::QueryRecordsRequest {
                charter: "payments".to_owned(),
                ..ask()
            },
            vec![1],
        ),
        (
            v1::QueryRecordsRequest {
                environment: "production".to_owned(),
                ..ask()
            },
            vec![2],
        ),
        (
            v1::QueryRecordsRequest {
                who: "https://people.example#anna".to_owned(),
                ..ask()
            },
            vec![1],
        ),
        (
            v1::QueryRecordsRequest {
                who: "anna".to_owned(),
                ..ask()
            },
            vec![1],
        ),
        (
            v1::QueryRecordsRequest {
                who: "https://other.example#anna".to_owned(),
                ..ask()
            },
            vec![],
        ),
        (
            v1::QueryRecordsRequest {
                outcome: "denied".to_owned(),
                ..ask()
            },
            vec![],
        ),
        (
            v1::QueryRecordsRequest {
                indices: vec![1, 3, 9],
                ..ask()
            },
            vec![1, 3],
        ),
    ] {
        assert_eq!(stage.places(request.clone()), expected, "{request:?}");
    }
}

#[tokio::test]
async fn r16_filters_hold_for_what_an_id_leads_to_and_rests_on() {
    let mut task = world::task(&Ids::seeded(16), START);
    task.ticket = Some("OPS-7".to_owned());
    let by_breaker = Pause {
        evidence: vec![Seq(1)],
        ..pause(7, Reach::default())
    };
    let id = by_breaker.id.to_string();
    let stage = Stage::of([
        opened(&task),
        Command::CloseTask { task: task.id },
        Command::Pause(Box::new(by_breaker)),
    ])
    .await;
    let ask = || v1::QueryRecordsRequest {
        mentions: id.clone(),
        follow: true,
        ..Default::default()
    };
    let later = wire(Timestamp::from_secs(START.as_secs() + 1));
    for (request, expected) in [
        (ask(), vec![1, 2]),
        (
            v1::QueryRecordsRequest {
                outcome: "stopped".to_owned(),
                ..ask()
            },
            vec![2],
        ),
        (
            v1::QueryRecordsRequest {
                outcome: "other".to_owned(),
                ..ask()
            },
            vec![1],
        ),
        (
            v1::QueryRecordsRequest {
                ticket: "ops-7".to_owned(),
                ..ask()
            },
            vec![1],
        ),
        (
            v1::QueryRecordsRequest {
                kind: "pause".to_owned(),
                ..ask()
            },
            vec![2],
        ),
        (
            v1::QueryRecordsRequest {
                since: Some(later),
                ..ask()
            },
            vec![],
        ),
        (
            v1::QueryRecordsRequest {
                who: "nobody".to_owned(),
                ..ask()
            },
            vec![],
        ),
    ] {
        assert_eq!(stage.places(request.clone()), expected, "{request:?}");
    }
}

#[tokio::test]
async fn u10_an_id_is_followed_to_what_it_rests_on() {
    let mut task = world::task(&Ids::seeded(10), START);
    task.ticket = Some("OPS-7".to_owned());
    let by_breaker = Pause {
        evidence: vec![Seq(1)],
        ..pause(7, Reach::default())
    };
    let id = by_breaker.id.to_string();
    let stage = Stage::of([
        opened(&task),
        Command::CloseTask { task: task.id },
        Command::Pause(Box::new(by_breaker)),
    ])
    .await;
    let followed = stage.asked(v1::QueryRecordsRequest {
        mentions: id.to_ascii_lowercase(),
        follow: true,
        ..Default::default()
    });
    let followed = followed.unwrap();
    assert!(!followed.truncated);
    // The pause, and the record that it rests on, with what that is about.
    let [closed, paused] = followed.records.as_slice() else {
        unreachable!("{followed:?}");
    };
    assert_eq!(closed.environment, task.environment.to_string());
    assert_eq!(closed.ticket, "OPS-7");
    let said = &paused.said;
    assert!(
        said.ends_with("; it rests on: lanyard audit show 1"),
        "{said}"
    );
}
