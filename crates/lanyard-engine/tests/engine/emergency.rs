//! Emergencies.

use std::time::Duration;

use lanyard_core::approval::ConsentError;
use lanyard_core::decide::Rule;
use lanyard_core::ledger::CommitError;
use lanyard_core::state::Refusal;
use lanyard_engine::mint::IssueError;
use lanyard_testkit::world;

use crate::common::{Bench, apply, approve, bench, person, submit};

/// The clock of the tests stands in January 2027, in the freeze.
const TERMS: &str = "  emergency: {grants: [restart], people: 1, lasts: 30m}
  freezes: [{from: 2027-01-01, to: 2027-02-01, roles: [apply], reason: the turn of the year}]
";

async fn frozen() -> Bench {
    let charter = world::CHARTER.replace("role: apply, environment: production", "role: apply");
    bench(&format!("{charter}{TERMS}")).await
}

fn rule<T>(outcome: Result<T, IssueError>) -> Rule {
    match outcome {
        Err(IssueError::Denied { denial, .. }) => denial.rule,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was given"),
    }
}

#[tokio::test]
async fn in_an_emergency_a_second_person_is_enough_and_no_freeze_holds_it_up() {
    let bench = frozen().await;
    assert_eq!(rule(submit(&bench).await), Rule::Freezes);
    let charter = world::name("payments-terraform");
    let one = person("one").person();
    let declared = bench
        .engine
        .emergencies()
        .declare(&charter, &one, "payments are down".into());
    let declared = declared.await.unwrap();
    let again = bench
        .engine
        .emergencies()
        .declare(&charter, &one, "still".into())
        .await;
    assert!(
        matches!(again, Err(CommitError::Refused(Refusal::Exists(_)))),
        "{again:?}"
    );

    let plan = submit(&bench).await.unwrap();
    let own = approve(&bench, &plan, "one").await;
    let Err(CommitError::Refused(Refusal::Consent(why))) = own else {
        panic!("{own:?}");
    };
    assert_eq!(why, ConsentError::OwnEmergency);
    approve(&bench, &plan, "two").await.unwrap();
    // A crash changes nothing of it.
    let bench = bench.restarted();
    bench
        .clock
        .set(declared.until.before(Duration::from_secs(60)));
    let (_, life) = apply(&bench, plan.id).await.unwrap();
    assert_eq!(
        life,
        Duration::from_secs(60),
        "no credential outlives the emergency"
    );
    bench.clock.set(declared.until);
    assert_eq!(rule(apply(&bench, plan.id).await), Rule::Freezes);
}

#[tokio::test]
async fn what_is_not_named_in_the_terms_and_what_a_person_has_ended_are_as_ever() {
    let bench = frozen().await;
    let charter = world::name("payments-terraform");
    let one = person("one").person();
    bench
        .engine
        .emergencies()
        .declare(&charter, &one, "down".into())
        .await
        .unwrap();
    submit(&bench).await.unwrap();
    bench
        .engine
        .emergencies()
        .end(&charter, &person("one").identity, "over".into())
        .await
        .unwrap();
    assert_eq!(rule(submit(&bench).await), Rule::Freezes);
    let twice = bench
        .engine
        .emergencies()
        .end(&charter, &person("one").identity, "over".into())
        .await;
    assert!(
        matches!(twice, Err(CommitError::Refused(Refusal::Unknown(_)))),
        "{twice:?}"
    );
    let none = world::name("nothing");
    let unknown = bench
        .engine
        .emergencies()
        .declare(&none, &one, "down".into())
        .await;
    assert!(
        matches!(unknown, Err(CommitError::Refused(Refusal::Unknown(_)))),
        "{unknown:?}"
    );
}

// Two rules that no group meets both of: nobody can approve, and an emergency, which lowers the
// number of people, changes nothing of that.
#[tokio::test]
async fn s42_an_emergency_does_not_turn_nobody_into_anybody() {
    let charter = world::CHARTER.replace("role: apply, environment: production", "role: apply");
    let other = "    - when: {role: apply}
      people: 1
      from: [group:lawyers]
      expires: 30m
      uses: 1
  limits:
";
    let charter = charter.replace("  limits:\n", other);
    let bench = bench(&format!("{charter}{TERMS}")).await;
    let one = person("one").person();
    let charter = world::name("payments-terraform");
    let declared = bench
        .engine
        .emergencies()
        .declare(&charter, &one, "payments are down".into());
    declared.await.unwrap();
    assert_eq!(rule(submit(&bench).await), Rule::Approvals);
}
