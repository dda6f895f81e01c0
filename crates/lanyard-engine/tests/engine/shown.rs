//! What people are shown is what counts: the risk, and what they have not seen.

use std::collections::BTreeSet;
use std::sync::Arc;

use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::requirement::Requirement;
use lanyard_charter::{ActionPattern, Charter, RequestLimits};
use lanyard_core::approval::{ConsentError, Seen, Unusable};
use lanyard_core::command::Command;
use lanyard_core::decide::Rule;
use lanyard_core::judge::Judge;
use lanyard_core::ledger::CommitError;
use lanyard_core::plan::{Judgement, Plan, Reading, Unjudged};
use lanyard_core::provider::Rehearsed;
use lanyard_core::state::Refusal;
use lanyard_core::task::Task;
use lanyard_engine::mint::IssueError;
use lanyard_engine::plans::Proposal;
use lanyard_testkit::world;
use lanyard_vocabulary::id::{ApprovalId, PlanId};

use crate::common::{Bench, apply, bench, person, submit, submitted};

async fn two_people() -> Bench {
    let charter = world::CHARTER.replace("role: apply, environment: production", "role: apply");
    bench(&format!("{charter}\n")).await
}

/// A plan as an earlier broker, or a reader that sees more, would have recorded it.
async fn recorded(bench: &Bench, change: impl FnOnce(&mut Plan, &mut Requirement)) -> Plan {
    let mut plan = submit(bench).await.unwrap();
    plan.id = PlanId::from_bits(7);
    plan.approval = Some(ApprovalId::from_bits(7));
    let mut requirement = Requirement {
        people: 2,
        ..Requirement::of_one()
    };
    change(&mut plan, &mut requirement);
    let submitted = Command::SubmitPlan {
        plan: Box::new(plan.clone()),
        requirement: Some(requirement),
        requests: RequestLimits::default(),
    };
    bench.engine.context().commit(submitted).await.unwrap();
    plan
}

#[tokio::test]
async fn s02_a_sensitive_value_that_changes_is_acknowledged_by_each_approver() {
    let bench = two_people().await;
    let plan = recorded(&bench, |plan, _| {
        for name in ["a: password", "b: token"] {
            plan.sensitive.note(|| name.to_owned());
        }
    })
    .await;
    let approval = plan.approval.unwrap();
    let consent = async |by: &str, sensitive| {
        let seen = Seen {
            digest: plan.digest,
            sensitive,
        };
        let said = bench
            .engine
            .approvals()
            .approve(approval, seen, person(by), "seen".into());
        said.await
    };
    for acknowledged in [0, 1, 3] {
        let refused = consent("one", acknowledged).await.unwrap_err();
        let CommitError::Refused(Refusal::Consent(why)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(
            why,
            ConsentError::NotAcknowledged {
                acknowledged,
                actual: 2
            }
        );
    }
    consent("one", 2).await.unwrap();
    consent("two", 0).await.unwrap_err();
    consent("two", 2).await.unwrap();
    let kept = bench
        .engine
        .context()
        .query(|state| state.approval(approval).cloned());
    let consents = kept.await.unwrap().unwrap().consents;
    assert_eq!(
        consents
            .iter()
            .map(|it| it.acknowledged)
            .collect::<Vec<_>>(),
        [2, 2]
    );

    // Where nothing sensitive changes, nothing is acknowledged.
    let bench = two_people().await;
    let plan = submit(&bench).await.unwrap();
    let seen = Seen {
        digest: plan.digest,
        sensitive: 1,
    };
    let refused =
        bench
            .engine
            .approvals()
            .approve(plan.approval.unwrap(), seen, person("one"), "x".into());
    refused.await.unwrap_err();
}

/// A judge that finds nothing risky.
struct SaysLow;

#[async_trait::async_trait]
impl Judge for SaysLow {
    async fn read(
        &self,
        _: &Task,
        format: Option<PlanFormat>,
        _: &Arc<[u8]>,
    ) -> Result<(PlanFormat, Reading), Unjudged> {
        Ok((format.unwrap_or(PlanFormat::Text), Reading::default()))
    }

    async fn compared(&self, _: &Task, _: Vec<Rehearsed>) -> Result<Arc<[u8]>, Unjudged> {
        Err(Unjudged::Store("there are no words here".to_owned()))
    }

    async fn store(&self, _: &Task, _: Vec<Arc<[u8]>>) -> Result<(), Unjudged> {
        Ok(())
    }

    async fn stored(&self, _: &Plan) -> Result<(), Unjudged> {
        Ok(())
    }

    async fn judge(
        &self,
        (charter, _): (&Charter, &Task),
        _: &Plan,
        _: Option<&Arc<[u8]>>,
    ) -> Result<Judgement, Unjudged> {
        Ok(Judgement {
            risk: Risk::Low,
            ..Judgement::unread(charter.policies_digest())
        })
    }
}

// The plan's own risk is low; its credential is not narrowed, so the one that counts is high.
#[tokio::test]
async fn a_risk_that_is_shown_is_the_one_that_counts() {
    let bench = two_people().await.judged_by(Arc::new(SaysLow));
    let plan = submit(&bench).await.unwrap();
    assert_eq!(plan.judged_risk(), Risk::Low);
    assert_eq!(
        plan.risk(),
        Risk::High,
        "shown, and asked for at a fresh login"
    );
    let id = plan.approval.unwrap();
    let approval = bench
        .engine
        .context()
        .query(|state| state.approval(id).cloned());
    let requirement = approval.await.unwrap().unwrap().requirement;
    assert_eq!(requirement.risk, Some(Risk::High), "what was decided on");
    // A record of before has no risk of its own.
    let old = Plan {
        counted: None,
        ..plan
    };
    assert_eq!(old.risk(), Risk::High);
}

#[tokio::test]
async fn s20_the_risk_that_counts_is_kept_over_a_restart() {
    let bench = two_people().await.judged_by(Arc::new(SaysLow));
    let plan = submit(&bench).await.unwrap();
    let bench = bench.restarted();
    let (id, asked) = (plan.id, plan.approval.unwrap());
    let kept = bench.engine.context().query(|state| {
        let risk = state.approval(asked)?.requirement.risk;
        Some((state.plan(id)?.risk(), risk))
    });
    assert_eq!(kept.await.unwrap(), Some((Risk::High, Some(Risk::High))));
}

#[tokio::test]
async fn s20_a_yes_to_a_lower_risk_carries_no_apply_of_a_higher() {
    let bench = two_people().await;
    let plan = recorded(&bench, |_, requirement| {
        requirement.risk = Some(Risk::Medium)
    })
    .await;
    for by in ["one", "two"] {
        let consent = bench.engine.approvals().approve(
            plan.approval.unwrap(),
            plan.digest,
            person(by),
            "seen".into(),
        );
        consent.await.unwrap();
    }
    match apply(&bench, plan.id).await.map_err(IssueError::cause) {
        Err(IssueError::ApprovalNeeded { why, .. }) => assert_eq!(
            why,
            Unusable::RiskRose {
                then: Risk::Medium,
                now: Risk::High
            }
        ),
        other => panic!("{other:?}"),
    }
    // A record of before says no risk, and goes on.
    let bench = two_people().await;
    let plan = recorded(&bench, |_, requirement| requirement.risk = None).await;
    for by in ["one", "two"] {
        let consent = bench.engine.approvals().approve(
            plan.approval.unwrap(),
            plan.digest,
            person(by),
            "seen".into(),
        );
        consent.await.unwrap();
    }
    apply(&bench, plan.id).await.unwrap();
}

#[tokio::test]
async fn s41_a_destructive_action_that_nothing_holds_back_is_refused() {
    let bench = two_people().await;
    let proposal = |destructive: BTreeSet<ActionPattern>| Proposal {
        task: bench.task,
        grant: world::name("restart"),
        format: Some(PlanFormat::Text),
        summary: "restart".to_owned(),
        destructive,
    };
    let named = [ActionPattern("delete deployments".to_owned())].into();
    let refused = submitted(&bench, &world::caller(), proposal(named)).await;
    match refused {
        Err(IssueError::Denied { denial, .. }) => {
            assert_eq!(denial.rule, Rule::Grants);
            assert!(denial.message.contains("delete deployments"), "{denial}");
        }
        other => panic!("{other:?}"),
    }
    let submitted = submitted(&bench, &world::caller(), proposal(BTreeSet::new())).await;
    submitted.unwrap();
}
