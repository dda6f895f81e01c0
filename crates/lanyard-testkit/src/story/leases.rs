//! Plans, approvals and leases.

use std::collections::BTreeSet;
use std::time::Duration;

use lanyard_charter::plan::{PlanFormat, Risk};
use lanyard_charter::reach::{Effects, Named, Narrowing, PlanReach, RecordedReach, Sensitive};
use lanyard_charter::requirement::Requirement;
use lanyard_charter::{Arn, Budget, KubernetesObject, Rate, Rates, RequestLimits};
use lanyard_core::command::{Command, Intent, LeaseLimits, RequestOptions};
use lanyard_core::lease::{GrantRef, Handle, Progress, StopCause};
use lanyard_core::plan::{Judgement, Plan, Rehearsal};
use lanyard_vocabulary::digest::Digest;
use lanyard_vocabulary::id::{ApprovalId, DecisionId, LeaseId, PlanId};
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::{Timestamp, Ttl};

use super::START;
use super::parts::{ann, bob, evidence, identity, operator, proposed, revision, task, task_below};
use crate::world::{self, name};

/// A lease that is issued, delivered and then killed.
pub(super) const fn confirmed() -> LeaseId {
    LeaseId::from_bits(200)
}

fn requirement() -> Requirement {
    Requirement {
        uses: 2,
        ..Requirement::of_one()
    }
}

fn whole_requirement() -> Requirement {
    let texts = |texts: [&str; 2]| texts.map(str::to_owned).into();
    Requirement {
        people: 2,
        from: texts(["group:oncall", "group:security"]),
        also: texts(["group:dba", "group:owners"]),
        besides: [ann()].into(),
        sponsors: [bob()].into(),
        risk: Some(Risk::Medium),
        ..requirement()
    }
}

fn plan(bits: u128, format: PlanFormat) -> Plan {
    Plan {
        id: PlanId::from_bits(bits),
        grant: name("change-queues"),
        approval: Some(ApprovalId::from_bits(bits)),
        submitted: START,
        ..world::plan(&task(), format)
    }
}

fn whole_plan() -> Plan {
    let risk = Risk::Low;
    Plan {
        namespace: Some("payments".to_owned()),
        size: 12_345,
        summary: "two queues".to_owned(),
        destructive: proposed(),
        effects: Effects {
            created: 1,
            updated: 2,
            replaced: 3,
            destroyed: 4,
            forgotten: 5,
            imported: 6,
            moved: 7,
        },
        rehearsed: Some(Effects::default()),
        sensitive: Sensitive {
            count: 1,
            names: vec!["aws_db_instance.main password".to_owned()],
        },
        beyond: Some("it can create any queue".to_owned()),
        counted: Some(risk),
        reach: Some(reach()),
        narrowing: Some(Narrowing {
            gives: vec!["sqs:SetQueueAttributes".to_owned()],
            withholds: vec!["sqs:DeleteQueue".to_owned()],
            lacks: vec!["iam:PassRole".to_owned()],
        }),
        rehearsal: Some(Rehearsal::Done(Digest::of(b"rehearsal"))),
        judgements: vec![Judgement {
            policies: Digest::of(b"policies"),
            denied: vec!["no".to_owned()],
            warned: vec!["careful".to_owned()],
            risk,
            reasons: vec!["it creates".to_owned()],
            people: 1,
            groups: ["group:dba".to_owned()].into(),
        }],
        ..plan(2, PlanFormat::TerraformJson)
    }
}

fn reach() -> PlanReach {
    let arn = |partition: Option<&str>, place: Option<&str>| Arn {
        partition: partition.map(str::to_owned),
        service: "sqs".to_owned(),
        region: place.map(str::to_owned),
        account: place.map(str::to_owned),
        resource: "queue-?".to_owned(),
    };
    let arns = Named {
        named: [arn(None, None), arn(Some("aws"), Some(""))].into(),
        unnamed: ["module.queue[0]".to_owned()].into(),
    };
    let object = KubernetesObject {
        group: "apps".to_owned(),
        resource: "deployments".to_owned(),
        namespace: String::new(),
        name: "web".to_owned(),
        created: true,
    };
    let objects = Named {
        named: [object].into(),
        unnamed: BTreeSet::new(),
    };
    PlanReach::default().with(arns).with(objects)
}

/// A plan that is approved and used, one that is rejected, and one whose approval is withdrawn.
pub(super) fn approved() -> Vec<Command> {
    let approval = ApprovalId::from_bits;
    let submit = |plan: Plan, requirement| Command::SubmitPlan {
        plan: Box::new(plan),
        requirement,
        requests: RequestLimits {
            open: 10,
            cooldown: Ttl::at_least_a_second(1),
        },
    };
    let rejected = Plan {
        rehearsal: Some(Rehearsal::Not("the cluster does not answer".to_owned())),
        reach: Some(PlanReach::default()),
        ..plan(3, PlanFormat::Manifests)
    };
    let approve = |bits, by, acknowledged| Command::Approve {
        approval: approval(bits),
        digest: Digest::of(b""),
        operator: operator(by),
        comment: "fine".to_owned(),
        acknowledged,
    };
    vec![
        submit(plan(1, PlanFormat::Text), Some(requirement())),
        approve(1, "erin", 0),
        submit(whole_plan(), Some(whole_requirement())),
        approve(2, "frank", 1),
        Command::Withdraw {
            approval: approval(2),
            by: identity("frank"),
            reason: "I looked at another plan".to_owned(),
        },
        submit(rejected, Some(requirement())),
        Command::Reject {
            approval: approval(3),
            operator: operator("erin"),
            reason: "not today".to_owned(),
        },
        Command::SubmitPlan {
            plan: Box::new(Plan {
                approval: None,
                ..plan(4, PlanFormat::ManifestDiff)
            }),
            requirement: None,
            requests: RequestLimits::default(),
        },
        Command::BeginMint(Box::new(whole_intent())),
    ]
}

/// A plan that changes something of a kind of target that is not built in.
pub(super) fn of_an_added_kind() -> Command {
    let changed =
        r#"{"named": [{"words": "queue orders", "object": "orders"}], "unnamed": ["x.y"]}"#;
    let changed = RecordedReach::read("broker", changed).expect("the form of a record");
    Command::SubmitPlan {
        plan: Box::new(Plan {
            reach: Some(reach().with(changed)),
            ..plan(10, PlanFormat::TerraformJson)
        }),
        requirement: None,
        requests: RequestLimits::default(),
    }
}

/// A plan of each format.
pub(super) fn formats() -> Vec<Command> {
    let formats = [
        PlanFormat::TerraformJson,
        PlanFormat::Manifests,
        PlanFormat::ManifestDiff,
        PlanFormat::Text,
    ];
    let submit = |format| Command::SubmitPlan {
        plan: Box::new(Plan {
            counted: Some(Risk::High),
            ..plan(9, format)
        }),
        requirement: None,
        requests: RequestLimits::default(),
    };
    formats.map(submit).into()
}

fn intent(lease: LeaseId) -> Intent {
    Intent {
        lease,
        decision: DecisionId::from_bits(300),
        task: task().id,
        environment: None,
        entry: GrantRef {
            grant: name("read-state"),
            role: Role::Plan,
            target: name("payments-aws"),
        },
        in_force: revision("payments"),
        above: Vec::new(),
        handle: Handle("lanyard-1".into()),
        expires: START + Duration::from_secs(600),
        worst_expiry: START + Duration::from_secs(4200),
        deadline: START + Duration::from_secs(90),
        approval: None,
        approved_by: Vec::new(),
        asked: RequestOptions::default(),
        outside_hours: false,
        limits: LeaseLimits {
            live: 50,
            mints: Rate {
                count: 100,
                per: Ttl::at_least_a_second(3600),
            }
            .into(),
            budget: None,
        },
        request: None,
        evidence: None,
        document_digest: "9f86d081884c7d659a2feaa0c55ad015".to_owned(),
    }
}

fn whole_intent() -> Intent {
    let burst = Rate {
        count: 20,
        per: Ttl::at_least_a_second(60),
    };
    let average = Rate {
        count: 200,
        per: Ttl::at_least_a_second(7200),
    };
    Intent {
        environment: Some(name("production")),
        entry: GrantRef {
            grant: name("change-queues"),
            role: Role::Apply,
            target: name("payments-aws"),
        },
        above: vec![(name("platform"), revision("platform"))],
        worst_expiry: Timestamp::NEVER,
        approval: Some((ApprovalId::from_bits(1), requirement())),
        approved_by: vec![identity("erin")],
        asked: RequestOptions {
            ttl: Some(Ttl::at_least_a_second(60)),
            plan: Some(PlanId::from_bits(1)),
            proposed: Some(BTreeSet::new()),
        },
        outside_hours: true,
        limits: LeaseLimits {
            live: 50,
            mints: Rates::from(burst).and(&average.into()),
            budget: Some(Budget {
                mints: 12,
                time: Ttl::at_least_a_second(36_000),
            }),
        },
        request: Some("request-2".to_owned()),
        evidence: Some(evidence()),
        ..intent(confirmed())
    }
}

/// Leases through every stage.
pub(super) fn plain() -> Vec<Command> {
    let lease = |bits| LeaseId::from_bits(bits);
    let begin = |bits| Command::BeginMint(Box::new(intent(lease(bits))));
    let below = Intent {
        task: task_below().id,
        in_force: revision("platform"),
        ..intent(lease(204))
    };
    let confirm = |lease, handle: Option<&str>| Command::ConfirmMint {
        lease,
        expires: START + Duration::from_secs(600),
        handle: handle.map(|text| Handle(text.into())),
    };
    vec![
        confirm(confirmed(), Some("accessor-7")),
        begin(201),
        begin(202),
        begin(203),
        Command::BeginMint(Box::new(below)),
        confirm(lease(201), None),
        Command::ExpiryExtended {
            lease: lease(202),
            until: START + Duration::from_secs(5000),
        },
        Command::Delivered {
            leases: vec![confirmed(), lease(201)],
        },
        Command::Stop {
            leases: vec![lease(201), lease(202), lease(203)],
            cause: StopCause::Released,
        },
        Command::Advance {
            progress: vec![
                (lease(201), Progress::Requested),
                (lease(202), Progress::Acknowledged(START)),
                (lease(203), Progress::ProvedDead(START)),
            ],
        },
        Command::Advance {
            progress: vec![(lease(202), Progress::Expired(START))],
        },
        Command::Advance {
            progress: vec![(lease(201), Progress::Fenced)],
        },
        Command::Forget {
            leases: vec![lease(203)],
        },
    ]
}
