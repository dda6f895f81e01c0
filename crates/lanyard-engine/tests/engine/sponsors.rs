//! Who is a second person: nobody behind the agent, and nobody who may be somebody that has had a
//! say.

use lanyard_charter::plan::PlanFormat;
use lanyard_core::approval::{ConsentError, Unusable};
use lanyard_core::decide::Rule;
use lanyard_core::kill::{Actor, RearmStage};
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::Plan;
use lanyard_core::state::Refusal;
use lanyard_engine::mint::{IssueError, IssueRequest};
use lanyard_engine::plans::Proposal;
use lanyard_engine::rearm::RearmStep;
use lanyard_engine::tasks::{OpenTask, TaskError};
use lanyard_testkit::world;
use lanyard_vocabulary::caller::Caller;
use lanyard_vocabulary::id::TaskId;
use lanyard_vocabulary::identity::Identity;
use lanyard_vocabulary::operator::Operator;
use lanyard_vocabulary::person::{Person, Sponsor};
use lanyard_vocabulary::scope::{RoleFilter, Scope};

use crate::common::{Bench, bench, bench_of, person, submit, submitted};

const OTHERS: &str = "https://partners.acme.example";

/// Apply takes the approval of so many people in staging.
fn charter(people: u32) -> String {
    let staging = format!(
        "    - when: {{role: apply, environment: staging}}
      people: {people}
      from: [group:platform]
      expires: 30m
      uses: 1
  limits:
"
    );
    world::CHARTER.replace("  limits:\n", &staging)
}

fn on_behalf_of(agent: Identity, name: &str) -> Caller {
    Caller {
        sponsor: Sponsor::Person(person(name).person()),
        ..Caller::unproved(&agent)
    }
}

fn ask(charter: &str, under: Option<(TaskId, Identity)>) -> OpenTask {
    OpenTask {
        charter: world::name(charter),
        environment: world::name("staging"),
        reason: "a run".to_owned(),
        ticket: None,
        version: None,
        under,
        request: None,
    }
}

async fn propose(bench: &Bench, caller: &Caller, task: TaskId) -> Result<Plan, IssueError> {
    let proposal = Proposal {
        task,
        grant: world::name("restart"),
        format: Some(PlanFormat::Manifests),
        summary: "restart".to_owned(),
        destructive: [].into(),
    };
    submitted(bench, caller, proposal).await
}

async fn apply(bench: &Bench, caller: &Caller, plan: &Plan) -> Result<(), IssueError> {
    let ask = IssueRequest {
        task: plan.task,
        grant: world::name("restart"),
        ttl: None,
        plan: Some(plan.id),
        request: None,
    };
    let issued = bench.engine.mints().issue(caller, &ask).await?;
    issued.release.hand_over(|| ()).map_err(IssueError::Closed)
}

async fn approve(bench: &Bench, plan: &Plan, by: Operator) -> Result<(), ConsentError> {
    let approval = plan.approval.unwrap();
    let given = bench
        .engine
        .approvals()
        .approve(approval, plan.digest, by, "seen".into())
        .await;
    match given {
        Ok(()) => Ok(()),
        Err(CommitError::Refused(Refusal::Consent(why))) => Err(why),
        Err(other) => panic!("{other:?}"),
    }
}

/// Somebody of the platform team who logs in elsewhere, in this directory and by this name.
fn elsewhere(subject: &str, directory: Option<&str>, name: Option<&str>) -> Operator {
    Operator {
        identity: Identity {
            issuer: OTHERS.to_owned(),
            subject: subject.to_owned(),
        },
        directory: directory.map(world::name),
        name: name.map(str::to_owned),
        ..person(subject)
    }
}

fn known(operator: Operator, directory: &str, name: &str) -> Operator {
    Operator {
        directory: Some(world::name(directory)),
        name: Some(name.to_owned()),
        ..operator
    }
}

// T19
#[tokio::test]
async fn s01_the_sponsor_of_an_agent_does_not_approve_its_plans() {
    let bench = bench(&charter(1)).await;
    let agent = on_behalf_of(world::agent(), "ann");
    let task = bench
        .engine
        .tasks()
        .open(&agent, ask("payments-terraform", None))
        .await
        .unwrap();
    let plan = propose(&bench, &agent, task.id).await.unwrap();
    assert_eq!(
        approve(&bench, &plan, person("ann")).await,
        Err(ConsentError::OwnRequest)
    );
    let no = bench
        .engine
        .approvals()
        .reject(plan.approval.unwrap(), person("ann"), "no".into())
        .await;
    assert!(no.is_err(), "a sponsor decides neither way");
    // The same person by another issuer, where that cannot be ruled out.
    let other = approve(&bench, &plan, elsewhere("ann", None, None)).await;
    assert!(
        matches!(other, Err(ConsentError::MaybeSponsor { .. })),
        "{other:?}"
    );
    let bench = bench.restarted();
    assert_eq!(
        approve(&bench, &plan, person("ann")).await,
        Err(ConsentError::OwnRequest)
    );
    approve(&bench, &plan, person("bob")).await.unwrap();
    apply(&bench, &agent, &plan).await.unwrap();
}

/// The usual charter, which delegates to itself for a helper and a helper's helper.
async fn delegating() -> (Bench, Identity, Identity) {
    let named = |name: &str| {
        let text = charter(1)
            .replace("name: payments-terraform", &format!("name: {name}"))
            .replace("agent:terraformer", &format!("agent:{name}"));
        text + "  delegates: [helper, second]\n"
    };
    let usual = format!("{}  delegates: [helper, second]\n", charter(1));
    let bench = bench_of(&[&usual, &named("helper"), &named("second")]).await;
    let of = |name: &str| Identity {
        subject: format!("agent:{name}"),
        ..world::agent()
    };
    (bench, of("helper"), of("second"))
}

#[tokio::test]
async fn s01_no_sponsor_of_a_task_above_approves() {
    let (bench, helper, second) = delegating().await;
    let first = on_behalf_of(world::agent(), "ann");
    let top = bench
        .engine
        .tasks()
        .open(&first, ask("payments-terraform", None))
        .await
        .unwrap();
    let under = ask("helper", Some((top.id, helper.clone())));
    let middle = bench
        .engine
        .tasks()
        .open(&on_behalf_of(world::agent(), "ann"), under)
        .await
        .unwrap();
    let under = ask("second", Some((middle.id, second.clone())));
    let below = bench
        .engine
        .tasks()
        .open(&on_behalf_of(helper, "bob"), under)
        .await
        .unwrap();
    let agent = on_behalf_of(second, "cleo");
    let plan = propose(&bench, &agent, below.id).await.unwrap();
    for behind in ["ann", "bob", "cleo"] {
        let given = approve(&bench, &plan, person(behind)).await;
        assert_eq!(given, Err(ConsentError::OwnRequest), "{behind}");
    }
    approve(&bench, &plan, person("dan")).await.unwrap();
    apply(&bench, &agent, &plan).await.unwrap();
}

// An agent's identity may serve several people, one after the other.
#[tokio::test]
async fn s01_whoever_approved_does_not_apply_it_as_the_next_sponsor() {
    let bench = bench(&charter(1)).await;
    let ann = on_behalf_of(world::agent(), "ann");
    let plan = propose(&bench, &ann, bench.task).await.unwrap();
    approve(&bench, &plan, person("bob")).await.unwrap();
    let own = apply(&bench, &on_behalf_of(world::agent(), "bob"), &plan).await;
    let Err(IssueError::ApprovalNeeded { why, .. }) = own.map_err(IssueError::cause) else {
        panic!("allowed");
    };
    assert_eq!(
        why,
        Unusable::Pending {
            given: 0,
            needed: 1
        }
    );
    apply(&bench, &ann, &plan).await.unwrap();
}

#[tokio::test]
async fn s01_an_agent_whose_sponsor_nobody_can_map_gets_nothing() {
    let bench = bench(&charter(1)).await;
    let agent = Caller {
        sponsor: Sponsor::Unmapped {
            why: "the claim `sponsor` is not the name of one person".to_owned(),
        },
        ..Caller::unproved(&world::agent())
    };
    let opened = bench
        .engine
        .tasks()
        .open(&agent, ask("payments-terraform", None))
        .await;
    let Err(TaskError::Denied { denial, .. }) = opened else {
        panic!("{opened:?}");
    };
    assert_eq!(denial.rule, Rule::Sponsor);
    assert!(denial.message.contains("`sponsor`"), "{denial}");
    // Nor in a task that it opened under a better token.
    let plan = submit(&bench).await.unwrap();
    for refused in [
        propose(&bench, &agent, bench.task).await.map(drop),
        apply(&bench, &agent, &plan).await,
    ] {
        let Err(IssueError::Denied { denial, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(denial.rule, Rule::Sponsor);
    }
}

#[tokio::test]
async fn s33_people_of_two_issuers_are_two_people_only_where_the_configuration_says_so() {
    let bench = bench(&charter(2)).await;
    let plan = submit(&bench).await.unwrap();
    approve(&bench, &plan, person("ann")).await.unwrap();
    let unknown = approve(&bench, &plan, elsewhere("bob", None, None)).await;
    assert!(
        matches!(unknown, Err(ConsentError::MaybeTwice { .. })),
        "{unknown:?}"
    );

    let plan = submit(&bench).await.unwrap();
    let ann = || known(person("ann"), "corp", "ann@acme.example");
    approve(&bench, &plan, ann()).await.unwrap();
    let same = elsewhere("a-7", Some("corp"), Some("Ann@acme.example"));
    assert_eq!(approve(&bench, &plan, same).await, Err(ConsentError::Twice));
    let other = elsewhere("b-9", Some("corp"), Some("bob@acme.example"));
    approve(&bench, &plan, other).await.unwrap();
    apply(&bench, &Caller::unproved(&world::agent()), &plan)
        .await
        .unwrap();

    let plan = submit(&bench).await.unwrap();
    approve(&bench, &plan, ann()).await.unwrap();
    let partner = elsewhere("ann", Some("partners"), None);
    approve(&bench, &plan, partner).await.unwrap();
}

// An issuer of a directory that leaves the name out of a token, or calls the address unverified.
#[tokio::test]
async fn s33_two_accounts_of_a_directory_without_names_are_not_two_people() {
    let bench = bench(&charter(2)).await;
    let account = |subject: &str, name| elsewhere(subject, Some("corp"), name);
    for (first, second) in [(None, None), (Some("ann"), None), (None, Some("bob"))] {
        let plan = submit(&bench).await.unwrap();
        approve(&bench, &plan, account("a-1", first)).await.unwrap();
        let unknown = approve(&bench, &plan, account("a-2", second)).await;
        let Err(ConsentError::MaybeTwice { doubt, .. }) = unknown else {
            panic!("{unknown:?}");
        };
        assert!(doubt.contains("`person_claim`"), "{doubt}");
        let used = apply(&bench, &Caller::unproved(&world::agent()), &plan).await;
        let used = used.map_err(IssueError::cause);
        assert!(matches!(used, Err(IssueError::ApprovalNeeded { .. })));
    }
    let nameless = |subject: &str| account(subject, None).person();
    let again = rearm(&bench, &nameless("a-1"), &nameless("a-2")).await;
    assert!(
        matches!(again, Err(CommitError::Refused(Refusal::Rearm(_)))),
        "{again:?}"
    );
}

// What was recorded before the configuration said anything counts by what it says now.
#[tokio::test]
async fn s33_two_consents_that_turn_out_to_be_one_person_s_count_once() {
    let bench = bench(&charter(2)).await;
    let plan = submit(&bench).await.unwrap();
    approve(&bench, &plan, known(person("ann"), "corp", "ann"))
        .await
        .unwrap();
    let second = elsewhere("a-7", Some("partners"), Some("ann"));
    approve(&bench, &plan, second.clone()).await.unwrap();
    let moved = Operator {
        directory: Some(world::name("corp")),
        ..second
    };
    bench.engine.approvals().recognize(&moved).await.unwrap();
    let used = apply(&bench, &Caller::unproved(&world::agent()), &plan).await;
    let Err(IssueError::ApprovalNeeded { why, .. }) = used.map_err(IssueError::cause) else {
        panic!("allowed");
    };
    assert_eq!(
        why,
        Unusable::Pending {
            given: 1,
            needed: 2
        }
    );
}

async fn rearm(bench: &Bench, one: &Person, two: &Person) -> Result<(), CommitError> {
    let order = bench.engine.kills().draft(
        Scope::All,
        RoleFilter::Both,
        "drill".into(),
        Actor::Operator(person("ann").identity),
    );
    let kill = bench.engine.kills().engage(order.unwrap()).await.order.id;
    bench.engine.kills().sweep_orders().await;
    let step = RearmStep {
        kill,
        stage: RearmStage::Plan,
        reason: "over".to_owned(),
        despite_unconfirmed: false,
    };
    let proposal = bench.engine.rearms().propose(step, one).await.unwrap();
    bench
        .engine
        .rearms()
        .confirm(proposal.id, two, None)
        .await
        .map(drop)
}

// T68
#[tokio::test]
async fn s33_a_re_arm_takes_two_people_and_not_two_accounts() {
    let bench = bench(world::CHARTER).await;
    let ann = known(person("ann"), "corp", "ann").person();
    for second in [
        ann.clone(),
        elsewhere("ann", None, None).person(),
        elsewhere("bob", None, Some("bob")).person(),
        elsewhere("a-7", Some("corp"), Some("ANN")).person(),
        elsewhere("a-7", Some("corp"), None).person(),
    ] {
        let refused = rearm(&bench, &ann, &second).await;
        assert!(
            matches!(refused, Err(CommitError::Refused(Refusal::Rearm(why))) if why.contains("second person")),
            "{second}: {refused:?}"
        );
    }
    let bob = elsewhere("b-9", Some("corp"), Some("bob")).person();
    rearm(&bench, &ann, &bob).await.unwrap();
}

#[tokio::test]
async fn s33_whoever_declared_an_emergency_does_not_approve_by_another_account() {
    let terms = "  emergency: {grants: [restart], people: 1, lasts: 30m}\n";
    let bench = bench(&format!("{}{terms}", charter(2))).await;
    let ann = known(person("ann"), "corp", "ann");
    let charter = world::name("payments-terraform");
    bench
        .engine
        .emergencies()
        .declare(&charter, &ann.person(), "down".into())
        .await
        .unwrap();
    let plan = submit(&bench).await.unwrap();
    for account in [
        ann,
        elsewhere("a-7", Some("corp"), Some("ann")),
        elsewhere("a-7", None, None),
    ] {
        let own = approve(&bench, &plan, account).await;
        assert_eq!(own, Err(ConsentError::OwnEmergency));
    }
    let bob = elsewhere("b-9", Some("corp"), Some("bob"));
    approve(&bench, &plan, bob).await.unwrap();
}
