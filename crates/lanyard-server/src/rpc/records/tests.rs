//! An id is followed, and records are found by what they are about.

use lanyard_core::id::PauseId;
use lanyard_core::kill::Actor;
use lanyard_core::lease::Seq;
use lanyard_core::ledger::Ledger as _;
use lanyard_core::pause::{Demand, Pause, Reach};
use lanyard_ledger::{Embedded, Settings};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::ids::Ids;
use lanyard_testkit::world;

use super::*;
use crate::rpc::audit::caught_up;
use crate::spool::tests::engine_over;

#[tokio::test]
async fn u10_an_id_is_followed_to_what_it_rests_on() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::with_history(folder.path().join("history"));
    let now = Arc::new(|| ManualClock::START);
    let (ledger, _) = Embedded::open(&folder.path().join("journal"), &settings, now).unwrap();
    let ledger = Arc::new(ledger);
    let mut task = world::task(&Ids::seeded(10), ManualClock::START);
    task.ticket = Some("OPS-7".to_owned());
    let in_force = Command::CharterInForce {
        charter: task.charter.clone(),
        revision: task.revision.clone(),
        breakers: Vec::new(),
    };
    ledger.commit(in_force).await.unwrap();
    let open = Command::OpenTask {
        task: task.clone(),
        request: None,
    };
    ledger.commit(open).await.unwrap();
    ledger
        .commit(Command::CloseTask { task: task.id })
        .await
        .unwrap();
    let pause = Pause {
        id: PauseId::from_bits(7),
        reach: Reach::default(),
        demand: Demand::Stillness,
        reason: "three denials".to_owned(),
        by: Actor::Broker,
        at: ManualClock::START,
        until: None,
        evidence: vec![Seq(2)],
    };
    let id = pause.id.to_string();
    ledger
        .commit(Command::Pause(Box::new(pause)))
        .await
        .unwrap();
    caught_up(&ledger, false).await.unwrap();
    let engine = engine_over(Arc::clone(&ledger) as _);
    let looked = tokio::task::spawn_blocking(move || {
        let mut lookup = Lookup::new(&engine, ledger.history());
        let (followed, is_all) = follow(&mut lookup, &id, &Filters::default());
        let by = |filters: Filters| query(&mut lookup, None, &filters, (0, 100)).0;
        let mut by = by;
        let of_ticket = by(Filters {
            ticket: Some("ops-7".to_owned()),
            ..Filters::default()
        });
        let stopped = by(Filters {
            outcome: Some("stopped".to_owned()),
            ..Filters::default()
        });
        (followed, is_all, of_ticket, stopped)
    });
    let (followed, is_all, of_ticket, stopped) = looked.await.unwrap();
    let places = |records: &[v1::AuditRecord]| -> Vec<u64> {
        records.iter().map(|record| record.index).collect()
    };
    // The pause, and the record that it rests on, with what that is about.
    assert!(is_all);
    assert_eq!(places(&followed), [2, 3]);
    let [closed, paused] = followed.as_slice() else {
        unreachable!("{followed:?}");
    };
    assert_eq!(closed.environment, task.environment.to_string());
    assert_eq!(closed.ticket, "OPS-7");
    assert!(
        paused.said.ends_with("; it rests on: lanyard audit show 2"),
        "{}",
        paused.said
    );
    assert_eq!(places(&of_ticket), [1, 2]);
    assert_eq!(places(&stopped), [3]);
}

#[test]
fn u13_somebody_is_found_by_a_name_or_the_end_of_one() {
    let agent = "https://agents.acme.example#agent:router";
    for asked in [agent, "agent:router", "router"] {
        assert!(is_name_of(agent, asked), "{asked}");
    }
    assert!(is_name_of("anna", "https://people.example#anna"));
    for other in ["outer", "agent", "#agent:route", "x#agent:routers"] {
        assert!(!is_name_of(agent, other), "{other}");
    }
}
