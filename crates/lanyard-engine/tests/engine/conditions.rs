//! The conditions: what stops issuing, who lifts it, and that revoking and killing go on.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use lanyard_core::command::Command;
use lanyard_core::condition::{Condition, Kind, Reason};
use lanyard_core::kill::Actor;
use lanyard_core::ledger::{CommitError, Ledger, StateGuard};
use lanyard_engine::Engine;
use lanyard_engine::condition::{AcceptError, Accepted};
use lanyard_engine::gate::Closed;
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::world;
use lanyard_vocabulary::scope::{RoleFilter, Scope};
use lanyard_vocabulary::seq::Seq;
use parking_lot::Mutex;

use crate::common::{Bench, bench, person};

fn ask(bench: &Bench) -> IssueRequest {
    IssueRequest {
        task: bench.task,
        grant: world::name("read-deployments"),
        ttl: None,
        plan: None,
        request: None,
    }
}

fn unreadable(file: &str) -> Reason {
    Reason::SpoolUnreadable {
        file: file.to_owned(),
        why: "EOF while parsing".to_owned(),
    }
}

fn damaged() -> Reason {
    Reason::ReplayCacheDamaged {
        file: "used".to_owned(),
        why: "a checksum does not hold".to_owned(),
    }
}

#[tokio::test]
async fn s11_a_reason_stops_issuing_and_takes_no_kill_away() {
    let bench = bench(world::CHARTER).await;
    let issued = bench
        .engine
        .mints()
        .issue(&world::caller(), &ask(&bench))
        .await;
    let lease = issued.unwrap();
    let conditions = bench.engine.conditions();
    conditions.raise(unreadable("K-1.json"));
    assert_eq!(conditions.condition(), Condition::RevokeOnly);
    let refused = bench
        .engine
        .mints()
        .issue(&world::caller(), &ask(&bench))
        .await;
    let Err(IssueError::NotIssuing(why)) = refused else {
        panic!("something was issued");
    };
    // Agents read it: the kind, and no file.
    let line = why.to_string();
    assert!(
        line.contains("revoke-only (spool-unreadable)") && !line.contains("K-1.json"),
        "{line}"
    );
    // A mint that was under way is not handed over either.
    let id = lease.lease;
    assert_eq!(lease.release.hand_over(|| ()), Err(Closed::NotIssuing));
    let order = bench.engine.kills().draft(
        Scope::All,
        RoleFilter::Both,
        "drill".to_owned(),
        Actor::Local,
    );
    assert!(
        bench
            .engine
            .kills()
            .engage(order.unwrap())
            .await
            .is_durable()
    );
    bench.engine.kills().sweep_orders().await;
    let live = bench.engine.context().query(|state| {
        let lease = state.leases().get(id);
        lease.is_some_and(lanyard_core::lease::Lease::is_live)
    });
    assert!(!live.await.unwrap());
}

#[tokio::test]
async fn s11_a_mint_under_way_at_the_end_is_handed_over_unless_another_reason_stands() {
    let bench = bench(world::CHARTER).await;
    let conditions = bench.engine.conditions();
    let (last, refused) = (
        bench
            .engine
            .mints()
            .issue(&world::caller(), &ask(&bench))
            .await,
        bench
            .engine
            .mints()
            .issue(&world::caller(), &ask(&bench))
            .await,
    );
    conditions.raise(Reason::Ending);
    assert_eq!(last.unwrap().release.hand_over(|| ()), Ok(()));
    conditions.raise(unreadable("K-1.json"));
    assert_eq!(conditions.condition(), Condition::Stopped);
    let refused = refused.unwrap().release.hand_over(|| ());
    assert_eq!(refused, Err(Closed::NotIssuing));
}

#[tokio::test]
async fn a_reason_that_is_looked_at_again_goes_with_its_cause() {
    let bench = bench(world::CHARTER).await;
    let conditions = bench.engine.conditions();
    let both = [unreadable("a"), unreadable("b")];
    conditions.replace(Kind::SpoolUnreadable, both);
    conditions.replace(Kind::SpoolUnreadable, [unreadable("b")]);
    assert_eq!(conditions.reasons(), [unreadable("b")]);
    conditions.replace(Kind::SpoolUnreadable, []);
    assert_eq!(conditions.condition(), Condition::Issuing);
    assert!(
        bench
            .engine
            .mints()
            .issue(&world::caller(), &ask(&bench))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_kill_order_that_is_not_durable_stops_issuing_for_everybody() {
    let bench = bench(world::CHARTER).await;
    bench.ledger.die();
    let order = bench.engine.kills().draft(
        Scope::Agent(lanyard_vocabulary::agent::AgentName("another".to_owned())),
        RoleFilter::Both,
        "drill".to_owned(),
        Actor::Local,
    );
    let fenced = bench.engine.kills().engage(order.unwrap()).await;
    assert!(!fenced.is_durable());
    let reasons = bench.engine.conditions().reasons();
    let order = fenced.order.id;
    assert_eq!(reasons, [Reason::OrderNotDurable { order }]);
}

#[tokio::test]
async fn giving_up_a_safety_takes_two_people_and_is_journaled() {
    let bench = bench(world::CHARTER).await;
    let engine = &bench.engine;
    let kind = Kind::ReplayCacheDamaged;
    let (ann, bob) = (person("ann").person(), person("bob").person());
    let said = |by| {
        engine
            .acceptances()
            .accept(kind, by, "nothing was shown twice".to_owned())
    };
    assert!(matches!(said(&ann).await, Err(AcceptError::NotRaised(_))));
    engine.conditions().raise(damaged());
    assert!(matches!(
        said(&ann).await,
        Ok(Accepted::SecondPersonBy(until)) if until > bench.clock.now()
    ));
    assert!(matches!(said(&ann).await, Err(AcceptError::SamePerson(_))));
    assert_eq!(engine.conditions().condition(), Condition::RevokeOnly);
    // S33: another account of what may be the same person.
    let elsewhere = lanyard_vocabulary::person::Person {
        issuer: "https://partners.acme.example".to_owned(),
        ..bob.clone()
    };
    assert!(matches!(
        said(&elsewhere).await,
        Err(AcceptError::SamePerson(_))
    ));
    assert!(matches!(said(&bob).await, Ok(Accepted::Lifted)));
    assert_eq!(engine.conditions().condition(), Condition::Issuing);
    let last = bench.ledger.records().pop().unwrap();
    let record = lanyard_records::decode(&last).unwrap();
    let Command::Accept(accepted) = record.command else {
        panic!("the acceptance is not in the journal");
    };
    assert_eq!(
        (accepted.by, accepted.of),
        (ann, vec![damaged().to_string()])
    );
    assert_eq!(accepted.second.unwrap().0, bob);
}

#[tokio::test]
async fn a_second_person_lifts_only_what_the_first_one_saw_and_in_time() {
    let bench = bench(world::CHARTER).await;
    let engine = &bench.engine;
    let kind = Kind::ReplayCacheDamaged;
    let (ann, bob) = (person("ann").person(), person("bob").person());
    let said = |by| engine.acceptances().accept(kind, by, "seen".to_owned());
    engine.conditions().raise(damaged());
    said(&ann).await.unwrap();
    // Something else is damaged since.
    engine.conditions().raise(Reason::ReplayCacheDamaged {
        file: "used".to_owned(),
        why: "another record".to_owned(),
    });
    assert!(matches!(said(&bob).await, Ok(Accepted::SecondPersonBy(_))));
    bench
        .clock
        .advance(lanyard_engine::condition::SECOND_PERSON_WAIT * 2);
    assert!(matches!(said(&ann).await, Ok(Accepted::SecondPersonBy(_))));
    assert_eq!(engine.conditions().condition(), Condition::RevokeOnly);
}

#[tokio::test]
async fn what_only_its_cause_lifts_nobody_accepts() {
    let bench = bench(world::CHARTER).await;
    bench.engine.conditions().raise(unreadable("a"));
    let by = person("ann").person();
    let said = bench
        .engine
        .acceptances()
        .accept(Kind::SpoolUnreadable, &by, "no".to_owned());
    let line = said.await.unwrap_err().to_string();
    assert!(line.contains("cannot be accepted; mend the file"), "{line}");
}

/// A ledger during whose record of an acceptance another reason is found.
struct Finds {
    ledger: Arc<MemoryLedger>,
    engine: Mutex<Weak<Engine>>,
}

#[async_trait]
impl Ledger for Finds {
    async fn commit(&self, command: Command) -> Result<Seq, CommitError> {
        if matches!(command, Command::Accept(_))
            && let Some(engine) = self.engine.lock().upgrade()
        {
            engine.conditions().raise(unreadable_witness("late"));
        }
        self.ledger.commit(command).await
    }

    fn read(&self) -> StateGuard<'_> {
        self.ledger.read()
    }

    async fn settle(&self) -> Result<(), CommitError> {
        self.ledger.settle().await
    }
}

fn unreadable_witness(file: &str) -> Reason {
    Reason::WitnessUnreadable {
        file: file.to_owned(),
        why: "permission denied".to_owned(),
    }
}

#[tokio::test]
async fn a_reason_that_nobody_saw_is_not_lifted() {
    let bench = bench(world::CHARTER).await;
    let ledger = Arc::new(Finds {
        ledger: Arc::clone(&bench.ledger),
        engine: Mutex::default(),
    });
    let engine = bench.engine_over(Arc::clone(&ledger) as _);
    *ledger.engine.lock() = Arc::downgrade(&engine);
    let kind = Kind::WitnessUnreadable;
    let (ann, bob) = (person("ann").person(), person("bob").person());
    let said = |seen: Vec<String>, by| {
        let engine = &engine;
        async move {
            engine
                .acceptances()
                .accept_seen((kind, &seen), by, "seen".to_owned())
                .await
        }
    };
    let seen = vec![unreadable_witness("first").to_string()];
    engine.conditions().raise(unreadable_witness("first"));
    engine.conditions().raise(unreadable_witness("second"));
    said(seen.clone(), &ann).await.unwrap();
    assert_eq!(said(seen.clone(), &bob).await.unwrap(), Accepted::Lifted);
    let left = ["late", "second"].map(unreadable_witness);
    assert_eq!(engine.conditions().reasons(), left);
    assert_eq!(engine.conditions().condition(), Condition::RevokeOnly);
    // What is gone is not lifted again.
    let again = said(seen, &ann).await;
    assert!(matches!(again, Err(AcceptError::NotRaised(_))));
}
