//! A plan that could not be applied is denied when it is submitted, before people are asked.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where its footing gives way"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lanyard_core::charter::{TargetKind, parse};
use lanyard_core::command::Command;
use lanyard_core::decide::Rule;
use lanyard_core::plan::PlanFormat;
use lanyard_core::time::Timestamp;
use lanyard_engine::charters::Charters;
use lanyard_engine::clock::{Clock, SystemRandomness};
use lanyard_engine::mint::IssueError;
use lanyard_engine::plans::Proposal;
use lanyard_engine::tasks::OpenTask;
use lanyard_engine::{Engine, Parts};
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::fake::FakeProvider;
use lanyard_testkit::ledger::MemoryLedger;
use lanyard_testkit::world;

struct Time(Arc<ManualClock>);

impl Clock for Time {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

/// What comes of a plan for a target that revokes within ten seconds, where the charter asks for this.
async fn submitted(revocable_within: &str) -> Result<(), Rule> {
    let clock = Arc::new(ManualClock::at(ManualClock::START));
    let charters = Arc::new(Charters::default());
    let text = format!(
        "{}    revocable_within: {revocable_within}\n",
        world::CHARTER
    );
    charters.replace(vec![parse(&text, &world::world()).unwrap().charter]);
    let provider = Arc::new(FakeProvider::new(Arc::clone(&clock)));
    let engine = Engine::new(Parts {
        ledger: Arc::new(MemoryLedger::replay(Arc::clone(&clock), Vec::new())),
        providers: [(world::target(TargetKind::Kubernetes), provider as _)].into(),
        charters,
        clock: Arc::new(Time(clock)),
        randomness: Arc::new(SystemRandomness::default()),
        agents: BTreeMap::new(),
    });
    let charter = engine.charters().all().pop().unwrap();
    let (charter, revision) = (charter.name.clone(), charter.revision.clone());
    engine
        .record(Command::CharterInForce {
            charter: charter.clone(),
            revision,
        })
        .await
        .unwrap();
    let ask = OpenTask {
        charter,
        environment: world::name("staging"),
        reason: "a run".to_owned(),
        sponsor: None,
        request: None,
    };
    let task = engine.open_task(&world::agent(), ask).await.unwrap().id;
    let proposal = Proposal {
        task,
        grant: world::name("restart"),
        format: PlanFormat::Text,
        summary: "restart".to_owned(),
        destructive: BTreeSet::new(),
    };
    match engine
        .submit_plan(&world::agent(), proposal, b"restart")
        .await
    {
        Ok(_) => Ok(()),
        Err(IssueError::Denied { denial, .. }) => Err(denial.rule),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_plan_whose_credential_revokes_too_slowly_is_denied_at_once() {
    assert_eq!(submitted("10s").await, Ok(()));
    assert_eq!(submitted("9s").await, Err(Rule::Limits));
}
